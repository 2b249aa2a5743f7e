"""What this machine can do at best, measured beside the model: its float32 matrix product and its copies."""

from __future__ import annotations

__all__ = ["MachinePeak", "measure_peak"]

import time
from dataclasses import dataclass, replace

import numpy as np

from toolkit.errors import ToolkitError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.providers import CUDA_PROVIDERS
from toolkit.runtimes.timing.plan import MeasurePlan
from toolkit.runtimes.workers.client import Opener

# Which size is fastest depends on caches and cores: the better of a small and a large one counts.
HOST_SIDES, DEVICE_SIDES = (512, 1536), (2048, 8192)
COPY_BYTES, COPY_TIMES = 64 << 20, 5
PLAN = MeasurePlan(warmup_calls=3, warmup_s=0.05, min_calls=5, min_s=0.25, max_s=1.0, phase_calls=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinePeak:
    """The best of a machine.

    Attributes:
        provider: where it was measured.
        threads: threads inside one operator.
        side: of the square float32 matrices.
        matmul_gflops: 10^9 additions and multiplications a second in the fastest of several products of them by ONNX
            Runtime.
        copy_gb_per_s: 10^9 bytes a second: within the host's memory by NumPy, or to the device.
        reason: why there are no figures; empty where there are.
    """

    provider: str
    threads: int
    side: int
    matmul_gflops: float | None = None
    copy_gb_per_s: float | None = None
    reason: str = ""


def measure_peak(provider: str, threads: int, *, opener: Opener, timeout_s: float) -> MachinePeak:
    """Measure a provider's matrix product and copies; a failure is a floor without figures."""
    sides = DEVICE_SIDES if provider in CUDA_PROVIDERS else HOST_SIDES
    try:
        found = [_measure(provider, threads, side=side, opener=opener, timeout_s=timeout_s) for side in sides]
    except ToolkitError as error:
        return MachinePeak(provider=provider, threads=threads, side=sides[0], reason=str(error))
    return max(found, key=lambda floor: floor.matmul_gflops or 0)


def _measure(provider: str, threads: int, *, side: int, opener: Opener, timeout_s: float) -> MachinePeak:
    is_device = provider in CUDA_PROVIDERS
    generator = np.random.default_rng(0)
    feeds = {name: generator.random((side, side), np.float32) for name in ("a", "b")}
    settings = RuntimeSettings(provider=provider, threads=threads, io_binding=is_device, require_all_nodes=False)
    with opener(_product(side), settings, timeout_s=timeout_s) as engine:
        window = engine.measure(feeds, replace(PLAN, boundary="device" if is_device else "host"))
    phases = window.facts.get("phases_ms")
    copied = 2 * side * side * 4 / (phases["copy_in"] * 1e6) if phases else _copy_rate()
    # The fastest call: a peak is what the machine can do, not what it usually does.
    rate = 2 * side**3 / max(int(window.samples_ns.min()), 1)
    return MachinePeak(provider=provider, threads=threads, side=side, matmul_gflops=rate, copy_gb_per_s=copied)


def _product(side: int) -> ModelSource:
    from pathlib import Path

    from onnx import TensorProto, helper

    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [side, side]) for name in ("a", "b")]
    output = helper.make_tensor_value_info("product", TensorProto.FLOAT, [side, side])
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["product"])], "product", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return ModelSource.in_memory(model.SerializeToString(), Path("product.onnx"))


def _copy_rate() -> float:
    source, target = np.ones(COPY_BYTES, np.uint8), np.zeros(COPY_BYTES, np.uint8)
    taken = []
    for _ in range(COPY_TIMES):
        start = time.perf_counter_ns()
        np.copyto(target, source)
        taken.append(time.perf_counter_ns() - start)
    return COPY_BYTES / max(min(taken), 1)
