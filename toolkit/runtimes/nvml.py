"""Energy and memory of the first NVIDIA GPU, from the driver's own library; nothing where there is none."""

from __future__ import annotations

__all__ = ["GpuReader", "read_gpu"]

import ctypes
import functools
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
SUCCESS = 0


class _Memory(ctypes.Structure):
    """`nvmlMemory_t`: bytes."""

    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class GpuReader:
    """Reads NVML.

    Args:
        library: `libnvidia-ml` as ctypes opens it; a fake in tests.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        self._device = ctypes.c_void_p()
        self._works = (
            library.nvmlInit_v2() == SUCCESS
            and library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(self._device)) == SUCCESS
        )

    def read(self) -> dict[str, float]:
        """Return `energy_j` since the driver was loaded (GPUs since Volta tell it) and `used_bytes` of its memory."""
        if not self._works:
            return {}
        found: dict[str, float] = {}
        millijoules, memory = ctypes.c_ulonglong(), _Memory()
        if self._library.nvmlDeviceGetTotalEnergyConsumption(self._device, ctypes.byref(millijoules)) == SUCCESS:
            found["energy_j"] = millijoules.value / 1e3
        if self._library.nvmlDeviceGetMemoryInfo(self._device, ctypes.byref(memory)) == SUCCESS:
            found["used_bytes"] = memory.used
        return found


def read_gpu() -> dict[str, float]:
    """Return what `GpuReader.read` does; empty where the driver's library is not here."""
    reader = _reader()
    return reader.read() if reader else {}


@functools.cache
def _reader() -> GpuReader | None:
    try:
        return GpuReader(ctypes.CDLL(LIBRARY))
    except OSError:
        return None
