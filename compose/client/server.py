"""A nephrite server as Python sees it: the messages and methods that it describes by reflection, no generated code."""

import contextlib

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


# A server that is gone is noticed soon, and one that comes back is found soon.
CHANNEL = [("grpc.keepalive_time_ms", 20_000), ("grpc.max_reconnect_backoff_ms", 2000)]


class Server:
    """Calls methods by name, with requests as dictionaries (the JSON form of the messages)."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address, CHANNEL)
        self.contract = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.contract)

    def services(self):
        """Names of all services."""
        return sorted(self.contract.get_services())

    def method(self, name):
        """Description of `package.Service/Method`."""
        service, _, method = name.partition("/")
        return self.pool.FindServiceByName(service).methods_by_name[method]

    def messages(self, name, request, timeout=None):
        """Yields the answers of a method as messages: one, or as many as the server streams.

        Errors are `grpc.RpcError`, with `code()` and `details()`.
        """
        method = self.method(name)
        asked, answered = (message_factory.GetMessageClass(kind) for kind in (method.input_type, method.output_type))
        message = json_format.ParseDict(request, asked())
        kind = self.channel.unary_stream if method.server_streaming else self.channel.unary_unary
        send = kind(f"/{name}", request_serializer=asked.SerializeToString, response_deserializer=answered.FromString)
        answers = send(message, timeout=timeout)
        if not method.server_streaming:
            yield answers
            return
        try:
            yield from answers
        finally:
            answers.cancel()  # the server is told at once that nobody listens any longer

    def call(self, name, request, timeout=None):
        """As `messages`, as dictionaries."""
        with contextlib.closing(self.messages(name, request, timeout)) as answers:
            for answer in answers:
                yield json_format.MessageToDict(answer, preserving_proto_field_name=True, descriptor_pool=self.pool)
