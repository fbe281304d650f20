"""The card as NVIDIA's management library tells of it: name, driver, memory in use."""

import ctypes
import os


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class Card:
    """The first card that programs may use. Raises `OSError` where there is none."""

    def __init__(self):
        self.library = ctypes.CDLL("libnvidia-ml.so.1")
        self._call("nvmlInit_v2")
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        self.handle = ctypes.c_void_p()
        if visible.isdigit():
            self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(int(visible)), ctypes.byref(self.handle))
        else:
            self._call("nvmlDeviceGetHandleByUUID", visible.encode(), ctypes.byref(self.handle))

    def _call(self, name: str, *arguments) -> None:
        code = getattr(self.library, name)(*arguments)
        if code != 0:
            raise OSError(f"{name} gave {code}")

    def _text(self, name: str, *before) -> str:
        text = ctypes.create_string_buffer(96)
        self._call(name, *before, text, ctypes.c_uint(len(text)))
        return text.value.decode()

    def about(self) -> dict:
        cuda = ctypes.c_int()
        self._call("nvmlSystemGetCudaDriverVersion_v2", ctypes.byref(cuda))
        return {
            "card": self._text("nvmlDeviceGetName", self.handle), "card_memory_bytes": self._memory().total,
            "driver": self._text("nvmlSystemGetDriverVersion"), "cuda_of_driver": f"{cuda.value // 1000}.{cuda.value % 1000 // 10}",
        }

    def _memory(self) -> _Memory:
        memory = _Memory()
        self._call("nvmlDeviceGetMemoryInfo", self.handle, ctypes.byref(memory))
        return memory

    def used_bytes(self) -> int:
        """Of all processes; what one of them uses is the difference to before, if nobody else comes or goes."""
        return self._memory().used


def find() -> Card | None:
    try:
        return Card()
    except OSError:
        return None
