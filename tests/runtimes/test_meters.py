"""Meters: what the system's files say before and after a window; nothing is invented where a machine is silent."""

from __future__ import annotations

import ctypes
import os
import uuid
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from toolkit.bench.report import BenchRow
from toolkit.bench.rows import _energy, _machine
from toolkit.render.bench import _busy, _disturbances
from toolkit.runtimes.timing.meters import GpuReader, Meters

TICKS = os.sysconf("SC_CLK_TCK")


def _write(root: Path, path: str, text: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def _write_zone(root: Path, zone: str, *, name: str, energy_uj: int) -> None:
    _write(root, f"sys/class/powercap/{zone}/name", f"{name}\n")
    _write(root, f"sys/class/powercap/{zone}/energy_uj", f"{energy_uj}\n")


def _machine_files(root: Path, *, user_s: int, steal_s: int, throttled_us: int, energy_uj: int, events: int) -> None:
    _write(root, "proc/stat", f"cpu  {user_s * TICKS} 0 0 {1000 * TICKS} 5 0 0 {steal_s * TICKS} 0 0\ncpu0 1 2 3\n")
    _write(root, "proc/self/status", "Name:\tpython\nVmHWM:\t  2048 kB\nVmRSS:\t 1024 kB\n")
    _write(root, "sys/fs/cgroup/cpu.stat", f"usage_usec 5\nnr_throttled 3\nthrottled_usec {throttled_us}\n")
    for package in (0, 1):
        _write_zone(root, f"intel-rapl:{package}", name=f"package-{package}", energy_uj=energy_uj)
    for core in (0, 1):
        _write(root, f"sys/devices/system/cpu/cpu{core}/thermal_throttle/core_throttle_count", f"{events}\n")


def test_changes_between_two_readings_are_told(tmp_path: Path) -> None:
    joules = iter([{"energy_j": 10.0}, {"energy_j": 14.5}, {"used_bytes": 7.0}])
    meters = Meters(root=tmp_path, gpu=lambda: next(joules))
    _machine_files(tmp_path, user_s=100, steal_s=1, throttled_us=1_000_000, energy_uj=5_000_000, events=2)
    before = meters.read()
    assert (tmp_path / "proc/self/clear_refs").read_text() == "5"  # the peak of memory starts anew
    _machine_files(tmp_path, user_s=103, steal_s=3, throttled_us=3_500_000, energy_uj=9_000_000, events=5)
    facts = meters.since(before)
    assert facts["busy_s"] == pytest.approx(3)
    assert facts["steal_s"] == pytest.approx(2)
    assert facts["throttled_s"] == pytest.approx(2.5)
    assert facts["package_j"] == pytest.approx(8)
    assert facts["thermal_events"] == 6
    assert facts["gpu_j"] == pytest.approx(4.5)
    assert (facts["host_peak_bytes"], facts["gpu_used_bytes"]) == (2048 * 1024, 7.0)
    assert facts["elapsed_s"] >= 0


def test_energy_counter_that_wrapped_around_is_left_out(tmp_path: Path) -> None:
    meters = Meters(root=tmp_path, gpu=dict)
    _machine_files(tmp_path, user_s=1, steal_s=0, throttled_us=0, energy_uj=262_143_000_000, events=0)
    before = meters.read()
    _machine_files(tmp_path, user_s=2, steal_s=0, throttled_us=0, energy_uj=1_000, events=0)
    assert "package_j" not in meters.since(before)


def test_energy_is_of_the_packages_alone_and_of_each_once(tmp_path: Path) -> None:
    """The platform's domain holds the package, which holds its cores and, told by another interface, itself."""
    meters = Meters(root=tmp_path, gpu=dict)
    domains = {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "psys",
        "intel-rapl-mmio:0": "package-0",
    }
    _machine_files(tmp_path, user_s=1, steal_s=0, throttled_us=0, energy_uj=0, events=0)
    (tmp_path / "sys/class/powercap/intel-rapl:1/name").unlink()
    for zone, name in domains.items():
        _write_zone(tmp_path, zone, name=name, energy_uj=1_000_000)
    before = meters.read()
    for zone, name in domains.items():
        _write_zone(tmp_path, zone, name=name, energy_uj=2_000_000 if zone == "intel-rapl:0" else 4_000_000)
    assert meters.since(before)["package_j"] == pytest.approx(1)


def test_energy_of_a_machine_of_which_one_package_is_hidden_is_not_told(tmp_path: Path) -> None:
    meters = Meters(root=tmp_path, gpu=dict)
    _machine_files(tmp_path, user_s=1, steal_s=0, throttled_us=0, energy_uj=1, events=0)
    (tmp_path / "sys/class/powercap/intel-rapl:1/energy_uj").unlink()
    assert "package_j" not in meters.since(meters.read())


def test_silent_machine_leaves_everything_out_but_its_own_time(tmp_path: Path) -> None:
    meters = Meters(root=tmp_path, gpu=dict)
    facts = meters.since(meters.read())
    assert {"busy_s", "steal_s", "throttled_s", "package_j", "gpu_j", "host_peak_bytes"}.isdisjoint(facts)
    assert {"elapsed_s", "own_cpu_s"} <= facts.keys()
    assert _energy([facts], 10) == {"package": None, "gpu": None}
    machine = _machine([facts])
    assert machine["others_share"] is None
    assert machine["throttled_s"] is None


def test_real_machine_tells_its_processors_and_the_peak_of_this_process() -> None:
    meters = Meters()
    before = meters.read()
    kept = bytearray(64 << 20)
    facts = meters.since(before)
    assert len(kept) == 64 << 20
    assert facts["busy_s"] >= 0
    assert facts["host_peak_bytes"] > 64 << 20


def test_shares_are_of_all_processors_and_windows_are_summed() -> None:
    window = {"elapsed_s": 1.0, "processors": 4, "own_cpu_s": 2.0, "busy_s": 3.0, "steal_s": 0.4, "load_average": 1.5}
    machine = _machine([window, {**window, "load_average": 2.5}])
    assert machine["own_share"] == pytest.approx(0.5)
    assert machine["others_share"] == pytest.approx(0.25)
    assert machine["steal_share"] == pytest.approx(0.1)
    assert machine["load_average"] == 2.5
    assert _energy([{"package_j": 6.0}, {"package_j": 4.0}], 20) == {"package": 0.5, "gpu": None}


def test_busy_machine_is_said_so() -> None:
    shares = {"others_share": 0.25, "steal_share": 0.1, "throttled_s": 1.5, "thermal_events": 3.0}
    row = BenchRow(runtime="ort", provider_requested="cpu", precision="fp32", machine=shares, status="pass", batch=1)
    first, second = _disturbances(row)
    assert first == "its container's quota held it back for 1.50 s"
    assert second == "the processor throttled 3 times because it was hot"
    calm = {"others_share": 0.02, "steal_share": None, "throttled_s": 0.0, "thermal_events": None}
    assert _disturbances(replace(row, machine=calm)) == []
    assert _busy([row, replace(row, batch=2, machine=calm), replace(row, batch=3, status="fail")]) == [
        "ort on cpu, fp32, batch 1: BUSY: others had 35% of the processors meanwhile"
    ]
    assert _busy([row, replace(row, batch=2, machine={"others_share": 0.8})]) == [
        "every row: BUSY: others had 35% to 80% of the processors meanwhile"
    ]
    assert _busy([replace(row, machine=calm)]) == []


# --- NVML --------------------------------------------------------------------------------------------------------


FIRST, SECOND, SLICE = (uuid.UUID(int=number) for number in (1, 2, 3))


class FakeNvml:
    """The four calls that are made, as `pynvml` answers, of a machine with two GPUs, one of them sliced."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, starts: bool = True, has_energy: bool = True) -> None:
        self._starts, self._has_energy = starts, has_energy
        self._names = {f"GPU-{FIRST}": 1, f"GPU-{SECOND}": 2, f"MIG-{SLICE}": 3}

    def nvmlInit(self) -> None:
        if not self._starts:
            raise self.NVMLError

    def nvmlDeviceGetHandleByUUID(self, name: str) -> int:
        if name not in self._names:
            raise self.NVMLError
        return self._names[name]

    def nvmlDeviceGetTotalEnergyConsumption(self, device: int) -> int:
        if device == 3 or not self._has_energy:  # a slice has no counter of its own
            raise self.NVMLError
        return 12_500 * device

    def nvmlDeviceGetMemoryInfo(self, device: int) -> Any:
        return SimpleNamespace(total=8_000, free=3_000, used=5_000 * device)


class FakeCuda:
    """The driver's own list of devices, as CUDA_VISIBLE_DEVICES leaves it."""

    def __init__(self, *visible: uuid.UUID) -> None:
        self._visible = visible

    def cuInit(self, flags: int) -> int:
        return 0 if self._visible else 100

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        ctypes.cast(device, ctypes.POINTER(ctypes.c_int))[0] = ordinal
        return 0 if ordinal < len(self._visible) else 101

    def cuDeviceGetUuid_v2(self, out: Any, device: Any) -> int:
        ctypes.memmove(out, self._visible[device.value].bytes, 16)
        return 0


@pytest.mark.parametrize(
    ("visible", "told"),
    [
        ((FIRST, SECOND), {"energy_j": 12.5, "used_bytes": 5_000}),
        ((SECOND, FIRST), {"energy_j": 25.0, "used_bytes": 10_000}),
        ((SECOND,), {"energy_j": 25.0, "used_bytes": 10_000}),
        ((SLICE,), {"used_bytes": 15_000}),
        ((), {}),
    ],
    ids=["all", "turned round", "the second alone", "a slice", "none"],
)
def test_gpu_that_is_read_is_the_one_that_cuda_runs_on(visible: tuple[uuid.UUID, ...], told: dict[str, float]) -> None:
    assert GpuReader(FakeNvml(), FakeCuda(*visible)).read() == told


def test_gpu_that_does_not_measure_energy_tells_its_memory() -> None:
    assert GpuReader(FakeNvml(has_energy=False), FakeCuda(FIRST)).read() == {"used_bytes": 5_000}


def test_driver_that_does_not_start_tells_nothing() -> None:
    assert GpuReader(FakeNvml(starts=False), FakeCuda(FIRST)).read() == {}


def test_package_that_asks_the_driver_has_what_is_asked_of_it() -> None:
    """Without a driver it does not start, which is no error of ours."""
    pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed (extra: cuda)")
    calls = {name for name in vars(FakeNvml) if name.lower().startswith("nvml")}
    assert len(calls) == 5
    assert calls <= set(dir(pynvml))
    assert GpuReader(pynvml, FakeCuda(uuid.UUID(int=77))).read() == {}


def test_row_that_runs_on_the_processor_tells_of_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.runtimes.timing.meters._read_gpu", lambda: {"energy_j": 1.0, "used_bytes": 2.0})
    told = {}
    for provider in ("cpu", "cuda"):
        meters = Meters.of(provider)
        told[provider] = meters.since(meters.read())
    assert {"gpu_j", "gpu_used_bytes"}.isdisjoint(told["cpu"])
    assert told["cuda"]["gpu_used_bytes"] == 2.0
