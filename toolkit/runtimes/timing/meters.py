"""What the machine tells about a window besides its time: who had the processors, memory, energy, throttling.

Read before and after the counted part, never inside it. What a machine does not tell is absent from the answer.

NVML counts every GPU of the machine in the order of the bus. An engine sees those that CUDA_VISIBLE_DEVICES leaves, in
the order of that and of CUDA_DEVICE_ORDER, and perhaps a slice of one (MIG). So CUDA itself is asked which it means.
"""

from __future__ import annotations

__all__ = ["GpuReader", "Meters"]

import contextlib
import ctypes
import functools
import os
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.runtimes.providers import CUDA_PROVIDERS

STAT, STATUS, REFS = "/proc/stat", "/proc/self/status", "/proc/self/clear_refs"
CGROUP = "/sys/fs/cgroup/cpu.stat"
RAPL = "/sys/class/powercap"
PACKAGE = re.compile(r"package-\d+(-die-\d+)?")
THERMAL = "/sys/devices/system/cpu"
# Fields of the first line of /proc/stat (proc_stat(5)): user nice system idle iowait irq softirq steal.
IDLE, IOWAIT, STEAL = 3, 4, 7
# Writing 5 to clear_refs resets the peak of the resident set (proc_pid_clear_refs(5)).
RESET_PEAK = "5"

CUDA_LIBRARY = "libcuda.so.1"
SUCCESS = 0
ORDINAL = 0
# A whole GPU or a slice of one: CUDA tells the bytes alone.
GPU_KINDS = ("GPU", "MIG")


class Meters:
    """Reads the meters of this machine and this process.

    Args:
        root: where the system's files lie; another folder in tests.
        gpu: reads the GPU's energy and memory; empty where there is none.
    """

    def __init__(self, *, root: Path = Path("/"), gpu: Callable[[], dict[str, float]] = dict) -> None:
        self._root, self._gpu = root, gpu

    @classmethod
    def of(cls, provider: str) -> Meters:
        """Return the meters of this machine for an engine that runs there: no GPU's where it runs on none."""
        return cls(gpu=_read_gpu) if provider in CUDA_PROVIDERS else cls()

    def read(self) -> dict[str, Any]:
        """Read every counter, after the peak of memory was reset."""
        with contextlib.suppress(OSError):
            self._path(REFS).write_text(RESET_PEAK)
        return self._counters()

    def since(self, before: dict[str, Any]) -> dict[str, Any]:
        """Return what changed since `read`, of what both readings hold.

        Returns:
            `elapsed_s`; `own_cpu_s`, processor seconds of this process; `busy_s`, of the whole machine; `steal_s`,
            taken by the hypervisor; `throttled_s`, by a container's quota; `thermal_events`; energy `package_j` and
            `gpu_j`. And as they are now: `processors`, `load_average`, `host_peak_bytes`, `gpu_used_bytes`.
        """
        after = self._counters()
        changes = {name: after[name] - value for name, value in before.items() if name in after}
        # RAPL's counters wrap around at a value that differs between machines; one window is short against that.
        if changes.get("package_j", 0) < 0:
            del changes["package_j"]
        return {**changes, **self._levels()}

    def _counters(self) -> dict[str, Any]:
        gpu = self._gpu()
        values = {
            "elapsed_s": time.perf_counter(),
            "own_cpu_s": time.process_time(),
            **self._processors(),
            "throttled_s": self._throttled_s(),
            "thermal_events": self._sum("cpu[0-9]*/thermal_throttle/core_throttle_count", THERMAL),
            "package_j": self._package_j(),
            "gpu_j": gpu.get("energy_j"),
        }
        return {name: value for name, value in values.items() if value is not None}

    def _levels(self) -> dict[str, Any]:
        gpu = self._gpu()
        values = {
            "processors": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
            "host_peak_bytes": self._peak_bytes(),
            "gpu_used_bytes": gpu.get("used_bytes"),
        }
        return {name: value for name, value in values.items() if value is not None}

    def _processors(self) -> dict[str, float]:
        fields = self._read(STAT).partition("\n")[0].split()[1:]
        if len(fields) <= STEAL or not hasattr(os, "sysconf"):
            return {}
        ticks = [int(field) / os.sysconf("SC_CLK_TCK") for field in fields[: STEAL + 1]]
        return {"busy_s": sum(ticks) - ticks[IDLE] - ticks[IOWAIT] - ticks[STEAL], "steal_s": ticks[STEAL]}

    def _throttled_s(self) -> float | None:
        found = re.search(r"^throttled_usec (\d+)$", self._read(CGROUP), re.MULTILINE)
        return int(found[1]) * 1e-6 if found else None

    def _package_j(self) -> float | None:
        """Return joules of the processor's packages, each once; None where one of them cannot be read.

        Domains are nested: `psys` holds the packages, a package holds `core`, `uncore` and, on some, `dram`; and one
        package may be told of by two interfaces (intel-rapl and intel-rapl-mmio).
        """
        zones = {_text(path).strip(): path.parent for path in sorted(self._path(RAPL).glob("*/name"))}
        texts = [_text(zone / "energy_uj").strip() for name, zone in zones.items() if PACKAGE.fullmatch(name)]
        return sum(map(int, texts)) / 1e6 if texts and all(text.isdigit() for text in texts) else None

    def _peak_bytes(self) -> int | None:
        found = re.search(r"^VmHWM:\s*(\d+)", self._read(STATUS), re.MULTILINE)
        return int(found[1]) * 1024 if found else None

    def _sum(self, pattern: str, folder: str) -> int | None:
        texts = [_text(path).strip() for path in sorted(self._path(folder).glob(pattern))]
        numbers = [int(text) for text in texts if text.isdigit()]
        return sum(numbers) if numbers else None

    def _read(self, path: str) -> str:
        return _text(self._path(path))

    def _path(self, path: str) -> Path:
        return self._root / path.lstrip("/")


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
        for kind in () if device is None else GPU_KINDS:
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


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # energy counters are readable by root only on many systems
        return ""


def _read_gpu() -> dict[str, float]:
    """Return what `GpuReader.read` does; empty without the driver's libraries or the extra `cuda`, which asks them."""
    reader = _reader()
    return reader.read() if reader else {}


@functools.cache
def _reader() -> GpuReader | None:
    try:
        import pynvml

        return GpuReader(pynvml, ctypes.CDLL(CUDA_LIBRARY))
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
