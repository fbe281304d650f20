"""What every mask plugin in Python needs; `plugin.py` has what is yours.

`serve(operation, run)` turns a function into a MaskService with health, reflection, limits and a graceful end. Masks
arrive as `Mask`, inside the message or from a file; parameters are checked against the description; `Refused` says no.
"""

import argparse
import gzip
import io
import os
import signal
import stat
import threading
import time
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import nibabel
import numpy as np
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from nephrite.v1 import mask_pb2 as pb
from nephrite.v1 import mask_pb2_grpc, mount_pb2, mount_pb2_grpc, segmentation_pb2
from scipy import ndimage

import decode as codec

MAX_INLINE_BYTES = 1 << 20  # of an encoded mask; larger ones travel as files
MAX_VOXELS = 1 << 29  # of one mask, which is a dense array here
MAX_MESSAGE_BYTES = 16 << 20
MAX_TEXTS = MAX_TEXT_BYTES = 4096
CHECK_FILE, MAX_CHECK_BYTES = ".nephrite-check-", 64
PRESENT, NOT_FOUND = segmentation_pb2.LABEL_STATUS_PRESENT, segmentation_pb2.LABEL_STATUS_NOT_FOUND

CODES = {  # error codes of nephrite -> gRPC
    "invalid_argument": grpc.StatusCode.INVALID_ARGUMENT,
    "invalid_input": grpc.StatusCode.INVALID_ARGUMENT,
    "not_found": grpc.StatusCode.NOT_FOUND,
    "limit_exceeded": grpc.StatusCode.OUT_OF_RANGE,
    "permission_denied": grpc.StatusCode.PERMISSION_DENIED,
    "environment": grpc.StatusCode.FAILED_PRECONDITION,
    "cancelled": grpc.StatusCode.CANCELLED,
    "deadline_exceeded": grpc.StatusCode.DEADLINE_EXCEEDED,
    "internal": grpc.StatusCode.INTERNAL,
}


class Refused(Exception):
    """The request cannot be served; `code` is a key of CODES."""

    def __init__(self, message, code="invalid_argument"):
        super().__init__(message)
        self.code = code


@dataclass
class Mask:
    """A label map: ids [z, y, x], what they are called, and where the voxels lie."""

    ids: np.ndarray
    labels: dict  # id -> (name, status)
    spacing: tuple  # mm, (z, y, x)
    affine: np.ndarray  # voxel index (x, y, z, 1) -> world mm, RAS+; 4x4

    def named(self, names):
        """The ids of labels that a parameter names, and all of them if it names none."""
        ids = {name: label for label, (name, _) in self.labels.items()}
        for name in names:
            if name not in ids:
                raise Refused(f"unknown label {name[:64]!r}, known are {', '.join(ids)}")
        return [ids[name] for name in names] or list(self.labels)

    def like(self, ids):
        """Other ids on the same grid, under the same names."""
        return Mask(ids, self.labels, self.spacing, self.affine)


def at_least(found, bound):
    """True if a length, area or volume is `bound` or more; headers round spacings to 32 bits, so never compare exactly."""
    return found >= bound * (1 - 1e-6)


# --- masks in messages


def refuse_if(wrong, message, code="invalid_input"):
    if wrong:
        raise Refused(message, code)


def label_table(labels):
    """{id: (name, status)}, sorted; refuses what no table may state."""
    for label in labels:
        name, size = label.name, len(label.name.encode())
        refuse_if(not 1 <= label.id <= 65535, f"label id {label.id} is not in 1 to 65535")
        refuse_if(not 1 <= size <= 256 or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in name), "unusable label name")
        refuse_if(label.status not in (1, 2, 3, 4), f"label {label.id} has no status")
    refuse_if(len({label.id for label in labels}) < len(labels), "a label id occurs twice")
    refuse_if(len({label.name for label in labels}) < len(labels), "a label name occurs twice")
    return {label.id: (label.name, label.status) for label in sorted(labels, key=lambda label: label.id)}


def summaries(ids):
    """{id: (voxels, slices)} of the labels that occur."""
    counts = sum((np.bincount(plane.ravel(), minlength=65536) for plane in ids), np.zeros(65536, int))
    boxes = ndimage.find_objects(ids)
    return {int(label): (int(counts[label]), boxes[label - 1]) for label in counts[1:].nonzero()[0] + 1}


def corners(slices):
    return [s.start for s in slices] + [s.stop for s in slices] if slices else None


def box_corners(message, field="box"):
    if not message.HasField(field):
        return None
    box = getattr(message, field)
    return [box.z_start, box.y_start, box.x_start, box.z_end, box.y_end, box.x_end]


def voxel_box(slices, offset=(0, 0, 0)):
    (z, y, x), (oz, oy, ox) = slices, offset
    return pb.VoxelBox(
        x_start=x.start + ox, y_start=y.start + oy, z_start=z.start + oz,
        x_end=x.stop + ox, y_end=y.stop + oy, z_end=z.stop + oz,
    )  # fmt: skip


def check_grid(shape, spacing, affine):
    refuse_if(min(shape) < 1, f"shape {shape} (z, y, x) has an empty axis")
    refuse_if(np.prod(shape, dtype=object) > MAX_VOXELS, f"over {MAX_VOXELS} voxels", "limit_exceeded")
    refuse_if(not np.all(np.isfinite(spacing)) or min(spacing) <= 0, "spacing must be finite and positive")
    refuse_if(affine.shape != (4, 4) or not np.all(np.isfinite(affine)), "the affine is not 16 finite numbers")
    refuse_if(affine[3].tolist() != [0, 0, 0, 1], "the last row of the affine is not 0, 0, 0, 1")
    lengths = np.linalg.norm(affine[:3, :3], axis=0).prod()
    refuse_if(not abs(np.linalg.det(affine[:3, :3])) > 1e-9 * lengths, "the affine is singular")


def decode(message):
    """A Mask of an EncodedMask; everything that it states is checked, before anything is allocated by it."""
    shape, spacing = message.geometry.shape, message.geometry.spacing
    shape, spacing = (shape.z, shape.y, shape.x), (spacing.z, spacing.y, spacing.x)
    numbers = list(message.geometry.affine)
    affine = np.array(numbers if len(numbers) == 16 else [np.nan] * 16).reshape(4, 4)
    check_grid(shape, spacing, affine)
    refuse_if(message.encoding != pb.MASK_ENCODING_RUNS_DEFLATE, "unknown encoding")
    refuse_if(message.label_bytes not in (1, 2), "labels are neither 1 nor 2 bytes wide")
    table, bounds = label_table(message.labels), box_corners(message)
    if bounds is None:
        refuse_if(message.payload or message.n_runs, "a payload without a box")
        ids = np.zeros(shape, np.uint8)
    else:
        starts, ends = bounds[:3], bounds[3:]
        refuse_if(any(not s < e <= n for s, e, n in zip(starts, ends, shape)), "the box leaves the mask")
        try:
            ids = codec.decode(message, inflate(message, ends[0] - starts[0]))
        except (ValueError, IndexError) as error:
            raise Refused(f"corrupt payload: {error}", "invalid_input") from None
    found = summaries(ids)
    refuse_if(found.keys() - table.keys(), "a label is not in the table")
    for label in message.labels:
        voxels, slices = found.get(label.id, (0, None))
        stated = (label.voxels, box_corners(label))
        refuse_if(stated != (voxels, corners(slices)), f"label {label.id} is not what the table states")
    return Mask(ids, table, spacing, affine)


def inflate(message, n_planes):
    """The payload, inflated to what its runs can take and no further."""
    limit = 4 * n_planes + 2 * (message.n_runs // 8 + 1) + (5 + message.label_bytes) * message.n_runs
    refuse_if(limit > 4 * MAX_VOXELS, "too many runs", "limit_exceeded")
    inflater = zlib.decompressobj(-15)
    try:
        raw = inflater.decompress(message.payload, limit + 1)
    except zlib.error:
        raise Refused("the payload is no deflate stream", "invalid_input") from None
    refuse_if(len(raw) > limit, "the payload inflates past its runs")
    refuse_if(not inflater.eof or inflater.unused_data, "the payload is not one whole deflate stream")
    refuse_if(zlib.crc32(raw) != message.checksum, "the checksum is wrong")
    refuse_if(np.frombuffer(raw[: 4 * n_planes], "<u4").sum() != message.n_runs, "the planes hold another number of runs")
    return raw


def described_labels(mask, found, offset=(0, 0, 0)):
    """The label table for the wire; a label is present exactly if it has voxels."""
    voxel_ml = abs(float(np.linalg.det(np.asarray(mask.affine, float)[:3, :3]))) / 1000
    for label, (name, status) in sorted(mask.labels.items()):
        if label in found:
            voxels, slices = found[label]
            yield pb.MaskLabel(id=label, name=name, status=PRESENT, voxels=voxels, volume_ml=voxels * voxel_ml,
                               box=voxel_box(slices, offset))  # fmt: skip
        else:
            yield pb.MaskLabel(id=label, name=name, status=NOT_FOUND if status == PRESENT else status)


def encode(mask):
    """An EncodedMask: every boundary is new."""
    (nz, ny, nx), (sz, sy, sx) = mask.ids.shape, mask.spacing
    message = pb.EncodedMask(encoding=pb.MASK_ENCODING_RUNS_DEFLATE, label_bytes=1)
    message.geometry.shape.x, message.geometry.shape.y, message.geometry.shape.z = nx, ny, nz
    message.geometry.spacing.x, message.geometry.spacing.y, message.geometry.spacing.z = sx, sy, sz
    message.geometry.affine.extend(np.asarray(mask.affine, float).ravel().tolist())
    occupied = ndimage.find_objects((mask.ids > 0).view(np.uint8))
    if not occupied:
        message.labels.extend(described_labels(mask, {}))
        return message
    offset = tuple(s.start for s in occupied[0])
    inside = np.ascontiguousarray(mask.ids[occupied[0]])
    found = summaries(inside)
    message.box.CopyFrom(voxel_box(occupied[0]))
    message.label_bytes = 1 if max(found) < 256 else 2
    message.labels.extend(described_labels(mask, found, offset))
    planes = [np.flatnonzero(np.diff(plane.ravel(), prepend=plane.dtype.type(0))) for plane in inside]
    counts = np.array([len(at) for at in planes])
    labels = np.concatenate([plane.ravel()[at] for plane, at in zip(inside, planes)])
    moves = 2 * np.concatenate([np.diff(at, prepend=0) for at in planes])
    raw = b"".join(
        [
            counts.astype("<u4").tobytes(),
            np.packbits(np.ones(counts[:-1].sum(), np.uint8)).tobytes(),
            np.packbits(np.ones(len(moves), np.uint8)).tobytes(),
            labels.astype(f"<u{message.label_bytes}").tobytes(),
            np.minimum(moves, 255).astype(np.uint8).tobytes(),
            moves[moves >= 255].astype("<u4").tobytes(),
        ]
    )
    message.n_runs, message.checksum = len(moves), zlib.crc32(raw)
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    message.payload = deflater.compress(raw) + deflater.flush()
    return message


# --- masks in files


def grid_mm(header, affine, n_axes, path):
    """Affine and voxel lengths (z, y, x) of a label map in mm; refuses a header that says two lengths for one axis."""
    unit = {1: 1e3, 3: 1e-3}.get(int(header["xyzt_units"]) & 7, 1.0)
    affine, pixdim = np.array(affine, float), np.abs(np.asarray(header["pixdim"], float)[1:4])
    if n_axes == 2:  # one slice; many writers leave out what they do not know of its third axis
        thickness = pixdim[2] if np.isfinite(pixdim[2]) and pixdim[2] > 0 else 1 / unit
        normal, across = np.cross(affine[:3, 0], affine[:3, 1]), affine[:3, 2]
        area = np.linalg.norm(normal)
        if area > 0 and not abs(normal @ across) > 1e-6 * area * np.linalg.norm(across):
            affine[:3, 2] = normal / area * thickness
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    off = np.abs(pixdim - lengths)
    agrees = (off <= 1e-3 * lengths) | (pixdim == 0)
    refuse_if(not agrees[:n_axes].all(), f"{path}: pixdim {pixdim} contradicts the affine, {lengths} (x, y, z)")
    affine[:3] *= unit
    spacing = (pixdim if (off <= 1e-6 * lengths).all() else lengths) * unit
    return affine, tuple(float(mm) for mm in spacing[::-1])


def whole_numbers(values, path):
    """Label ids 0 to 65535; what was scaled or stored as floats may be a thousandth off."""
    refuse_if(values.dtype.kind not in "iuf", f"{path}: not a label map")
    nearest = values
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            nearest = np.rint(values)
            wrong = ~(np.abs(values - nearest) <= 1e-3)
        refuse_if(wrong.any(), f"{path}: {values[wrong][:1]} is no whole number")
    refuse_if(not (nearest.min() >= 0 and nearest.max() <= 65535), f"{path}: ids are not in 0 to 65535")
    return nearest.astype(np.uint8 if nearest.max() < 256 else np.uint16)


class Root:
    """Only what lies beneath one folder has a name. Checked on what was opened, so that no link leads out."""

    def __init__(self, folder):
        self.path = os.path.abspath(folder)
        self.names = [self.path, os.path.realpath(folder)]

    def _beneath(self, path):
        return any(path == name or path.startswith(name.rstrip("/") + "/") for name in self.names)

    def open(self, path, flags):
        refuse_if("\0" in path or len(path) > MAX_TEXT_BYTES, "unusable path", "invalid_argument")
        full = os.path.normpath(os.path.join(self.path, path))
        refuse_if(not self._beneath(full), f"{path}: leads out of the configured root", "permission_denied")
        try:
            handle = os.open(full, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except FileNotFoundError:
            raise Refused(f"{path}: no such file or folder", "not_found") from None
        except NotADirectoryError:
            raise Refused(f"{path}: not a folder", "invalid_input") from None
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}", "environment") from None
        if not self._beneath(os.readlink(f"/proc/self/fd/{handle}")):
            os.close(handle)
            raise Refused(f"{path}: leads out of the configured root", "permission_denied")
        return handle

    def open_file(self, path):
        """A regular file, for reading."""
        handle = self.open(path, os.O_RDONLY)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise Refused(f"{path}: not a regular file", "invalid_input")
        return os.fdopen(handle, "rb")

    def read_mask(self, path, table):
        """The label map of a NIfTI file; ids that `table` does not name are called label_<id>."""
        with self.open_file(path) as file:
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream = gzip.GzipFile(fileobj=file) if zipped else file
            try:
                size = int.from_bytes(stream.read(4), "little")
                stream.seek(0)
                kind = nibabel.Nifti2Image if size in (540, 0x1C020000) else nibabel.Nifti1Image
                image = kind.from_stream(stream)
                shape = tuple(image.shape)
                x, y, z = (shape + (1, 1))[:3]
                refuse_if(len(shape) < 2 or any(n != 1 for n in shape[3:]), f"{path}: not two or three axes")
                affine, spacing = grid_mm(image.header, image.affine, min(len(shape), 3), path)
                check_grid((z, y, x), spacing, affine)
                values = np.asanyarray(image.dataobj).reshape((x, y, z), order="F").T
            except (Refused, MemoryError):
                raise
            except Exception as error:  # of nibabel, gzip and zlib there are many
                raise Refused(f"{path}: {error}", "invalid_input") from None
        ids = whole_numbers(values, path)
        unnamed = (label for label in summaries(ids) if label not in table)
        labels = dict(sorted((table | {label: (f"label_{label}", PRESENT) for label in unnamed}).items()))
        return Mask(np.ascontiguousarray(ids), labels, spacing, affine)

    def write_mask(self, folder, name, mask):
        """Writes the label map beneath the root, whole or not at all; gives its path."""
        image = nibabel.Nifti2Image(mask.ids.T, mask.affine)  # NIfTI-2: 64-bit numbers, so that no geometry is rounded
        image.header.set_zooms(mask.spacing[::-1])
        image.header.set_xyzt_units("mm")
        content = gzip.compress(image.to_bytes(), 1, mtime=0)
        handle = self.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        file_name = f"{name}-{uuid.uuid4().hex}.nii.gz"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(file_name, flags, 0o666, dir_fd=handle), "wb") as file:
                try:
                    file.write(content)
                    file.flush()
                except OSError:
                    os.unlink(file_name, dir_fd=handle)
                    raise
        except OSError as error:
            raise Refused(f"{folder}: {error.strerror}", "environment") from None
        finally:
            os.close(handle)
        return os.path.join(folder, file_name)


def receive(message, root):
    content = message.WhichOneof("content")
    refuse_if(content is None, "a mask without content", "invalid_argument")
    if content == "path":
        return root.read_mask(message.path, label_table(message.labels))
    return decode(message.encoded)


def send(masks, root, exchange_folder):
    """The masks of a reply: inside of it as long as they fit, else as files, which are removed again if one fails."""
    sent, room = [], MAX_INLINE_BYTES
    try:
        for name, mask in masks:
            encoded = encode(mask)
            if encoded.ByteSize() <= room:
                room -= encoded.ByteSize()
                content = pb.Mask(encoded=encoded)
            else:
                refuse_if(not exchange_folder, f"mask {name} is too large for a message", "limit_exceeded")
                content = pb.Mask(path=root.write_mask(exchange_folder, name, mask), labels=encoded.labels)
            sent.append(pb.NamedMask(name=name, mask=content))
    except Exception:
        for named in sent:
            if named.mask.path:
                os.unlink(os.path.join(root.path, named.mask.path))
        raise
    return sent


# --- requests


def accept(spec, value):
    """The value as the kind of parameter holds it; Refused if it cannot."""
    kind, given = spec.WhichOneof("kind"), value.WhichOneof("value")
    held = getattr(value, given) if given else None
    kind_of = getattr(spec, kind)
    if kind == "flag" and given == "flag":
        return held
    if (kind, given) in (("integer", "integer"), ("number", "integer"), ("number", "number")):
        if np.isfinite(held) and kind_of.min <= held <= kind_of.max:
            return float(held) if kind == "number" else held
    if kind == "text" and given == "text" and len(held.encode()) <= MAX_TEXT_BYTES:
        if not kind_of.choices or held in kind_of.choices:
            return held
    if kind == "texts" and given == "texts" and len(held.values) <= MAX_TEXTS:
        if all(len(text.encode()) <= MAX_TEXT_BYTES for text in held.values):
            return list(held.values)
    raise Refused(f"parameter {spec.name} is {given or 'nothing'} {str(held)[:64]}, expected {kind} {str(kind_of)[:64]}")


def accept_all(specs, given):
    """Values of all parameters by name: as given, else the default, else None (an empty list for texts)."""
    unknown = given.keys() - {spec.name for spec in specs}
    refuse_if(unknown, f"unknown parameter {min(unknown, default='')[:64]!r}", "invalid_argument")
    values = {}
    for spec in specs:
        refuse_if(spec.required and spec.name not in given, f"parameter {spec.name} is missing", "invalid_argument")
        value = given[spec.name] if spec.name in given else spec.default if spec.HasField("default") else None
        off = [] if spec.WhichOneof("kind") == "texts" else None
        values[spec.name] = off if value is None else accept(spec, value)
    return values


def accept_inputs(operation, given, root):
    """Masks by input name; a list where an input may be repeated, None where one was left out."""
    masks = {spec.name: [] for spec in operation.inputs}
    for named in given:
        refuse_if(named.name not in masks, f"unknown input {named.name[:64]!r}", "invalid_argument")
    for spec in operation.inputs:
        count = sum(named.name == spec.name for named in given)
        refuse_if(spec.required and not count, f"input {spec.name} is missing", "invalid_argument")
        refuse_if(count > 1 and not spec.repeated, f"input {spec.name} was given {count} times", "invalid_argument")
    for named in given:
        masks[named.name].append(receive(named.mask, root))
    first = next(mask for spec in operation.inputs for mask in masks[spec.name])
    for spec in operation.inputs:
        for mask in masks[spec.name] if spec.on_first_grid else []:
            same = mask.ids.shape == first.ids.shape and np.allclose(mask.affine, first.affine, rtol=1e-5, atol=1e-4)
            refuse_if(not same, f"input {spec.name} lies on another grid than the first")
    return {spec.name: masks[spec.name] if spec.repeated else (masks[spec.name] or [None])[0] for spec in operation.inputs}


def end(context, error):
    """Ends a request by an error; the service goes on."""
    code, message = "internal", f"{type(error).__name__}: {error}"
    if isinstance(error, Refused):
        code, message = error.code, str(error)
    elif isinstance(error, MemoryError):
        code, message = "limit_exceeded", "out of memory"
    context.set_trailing_metadata((("nephrite-error-code", code),))
    context.abort(CODES[code], message[:2048])


class Mounts(mount_pb2_grpc.MountServiceServicer):
    """Shows callers a file that they have just written, so that they know that this process sees their volume."""

    def __init__(self, root):
        self.root = root

    def Check(self, request, context):
        try:
            named = os.path.basename(request.path).startswith(CHECK_FILE)
            refuse_if(not named, f"{request.path}: no check file", "permission_denied")
            with self.root.open_file(request.path) as file:
                content = file.read(MAX_CHECK_BYTES + 1)
            refuse_if(len(content) > MAX_CHECK_BYTES, f"{request.path}: no check file", "permission_denied")
            return mount_pb2.CheckResponse(content=content)
        except Exception as error:
            end(context, error)


class Service(mask_pb2_grpc.MaskServiceServicer):
    def __init__(self, operation, run, root, n_jobs):
        self.operation, self.run, self.root = operation, run, root
        self.slots = threading.BoundedSemaphore(n_jobs)  # each job holds dense arrays

    def Describe(self, request, context):
        return pb.DescribeResponse(
            name=self.operation.name, version=self.operation.version, operations=[self.operation]
        )

    def Process(self, request, context):
        try:
            return self.process(request, context)
        except Exception as error:
            end(context, error)

    def process(self, request, context):
        def check():
            """Call this now and then in long work: it ends what nobody waits for any more."""
            left = context.time_remaining()
            refuse_if(left is not None and left <= 0, "the deadline passed", "deadline_exceeded")
            refuse_if(not context.is_active(), "cancelled by the caller", "cancelled")

        operation = self.operation
        known = request.operation == operation.name
        refuse_if(not known, f"unknown operation {request.operation[:64]!r}, known is {operation.name}", "invalid_argument")
        refuse_if(request.artefacts_folder, "this operation writes no files", "invalid_argument")
        parameters = accept_all(operation.parameters, request.parameters)
        while not self.slots.acquire(timeout=0.05):
            check()
        try:
            start = time.monotonic()
            inputs = accept_inputs(operation, request.inputs, self.root)
            check()
            masks, measurements = self.run(inputs, parameters, check)
            seconds = time.monotonic() - start
            check()
            named = [(spec.name, masks[spec.name]) for spec in operation.outputs]
            sent = send(named, self.root, request.exchange_folder)
        finally:
            self.slots.release()
        return pb.ProcessResponse(masks=sent, measurements=measurements, version=operation.version, seconds=seconds)


def serve(operation, run):
    """Serves until SIGTERM or SIGINT; calls under way are given ten seconds to end."""
    parser = argparse.ArgumentParser(description=operation.help)
    parser.add_argument("--listen", default=os.environ.get("NEPHRITE_LISTEN", "127.0.0.1:7445"), help="address and port")
    parser.add_argument("--root", default=os.environ.get("NEPHRITE_ROOT", "/data"), help="the shared volume")
    arguments = parser.parse_args()
    limits = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(32), options=limits, maximum_concurrent_rpcs=64)
    root = Root(arguments.root)
    mask_pb2_grpc.add_MaskServiceServicer_to_server(Service(operation, run, root, n_jobs=os.cpu_count() or 1), server)
    mount_pb2_grpc.add_MountServiceServicer_to_server(Mounts(root), server)
    healthy, name = health.HealthServicer(), pb.DESCRIPTOR.services_by_name["MaskService"].full_name
    mounts = mount_pb2.DESCRIPTOR.services_by_name["MountService"].full_name
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    reflection.enable_server_reflection((name, mounts, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    port = server.add_insecure_port(arguments.listen)
    server.start()
    healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    print(f"listening on http://{arguments.listen.rpartition(':')[0]}:{port}", flush=True)
    stop.wait()
    healthy.enter_graceful_shutdown()
    server.stop(grace=10).wait()
