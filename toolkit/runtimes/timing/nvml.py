"""Energy and memory of the NVIDIA GPU that an engine runs on, from the driver's libraries; nothing where there is none.

NVML counts every GPU of the machine in the order of the bus. An engine sees those that CUDA_VISIBLE_DEVICES leaves, in
the order of that and of CUDA_DEVICE_ORDER, and perhaps a slice of one (MIG). So CUDA itself is asked which it means.
"""

from __future__ import annotations

__all__ = ["CUDA_PROVIDERS", "GpuReader", "read_gpu"]

import contextlib
import ctypes
import functools
import uuid
from typing import Any

CUDA = "libcuda.so.1"
SUCCESS = 0
# Providers that run on CUDA's first visible device: none of our settings names another.
CUDA_PROVIDERS = {"cuda", "tensorrt"}
ORDINAL = 0
# A whole GPU or a slice of one: CUDA tells the bytes alone.
KINDS = ("GPU", "MIG")


class GpuReader:
    """Reads NVML about the GPU that CUDA calls its first.

    Args:
        nvml: the package `pynvml`; a fake in tests.
        cuda: `libcuda` as ctypes opens it; a fake in tests.
    """

    def __init__(self, nvml: Any, cuda: Any) -> None:
        self._nvml = nvml
        self._device = self._find(_first_visible(cuda))

    def _find(self, device: uuid.UUID | None) -> Any:
        """Return NVML's handle of a device; None where it knows none, or does not start."""
        for kind in () if device is None else KINDS:
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlInit()
                return self._nvml.nvmlDeviceGetHandleByUUID(f"{kind}-{device}")
        return None

    def read(self) -> dict[str, float]:
        """Return `energy_j` since the driver was loaded (GPUs since Volta, no slices) and `used_bytes` of memory."""
        found: dict[str, float] = {}
        if self._device is None:
            return found
        with contextlib.suppress(self._nvml.NVMLError):
            found["energy_j"] = self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._device) / 1e3
        with contextlib.suppress(self._nvml.NVMLError):
            found["used_bytes"] = self._nvml.nvmlDeviceGetMemoryInfo(self._device).used
        return found


def read_gpu() -> dict[str, float]:
    """Return what `GpuReader.read` does; empty without the driver's libraries or the extra `cuda`, which asks them."""
    reader = _reader()
    return reader.read() if reader else {}


@functools.cache
def _reader() -> GpuReader | None:
    try:
        import pynvml

        return GpuReader(pynvml, ctypes.CDLL(CUDA))
    except (ImportError, OSError, AttributeError):  # not here, or of a driver before 470, which lacks a call
        return None


def _first_visible(cuda: Any) -> uuid.UUID | None:
    """Return the identity of CUDA's first device; None where it has none, as with an empty CUDA_VISIBLE_DEVICES."""
    device, identity = ctypes.c_int(), (ctypes.c_ubyte * 16)()
    is_told = (
        cuda.cuInit(0) == SUCCESS
        and cuda.cuDeviceGet(ctypes.byref(device), ORDINAL) == SUCCESS
        and cuda.cuDeviceGetUuid_v2(ctypes.byref(identity), device) == SUCCESS
    )
    return uuid.UUID(bytes=bytes(identity)) if is_told else None
