"""The command that repeats a benchmark."""

from __future__ import annotations

__all__ = ["command_line"]

import shlex
from typing import TYPE_CHECKING

from toolkit.bench.config import DEFAULT_PLAN, BenchConfig
from toolkit.plain import to_plain
from toolkit.runtimes.device_options import DeviceOptions

if TYPE_CHECKING:
    from pathlib import Path


def command_line(config: BenchConfig, model: Path) -> str:
    """Return the command that repeats a benchmark, quoted for a shell; what is as by default is left out.

    Runtime, provider, batch sizes and threads are always written.
    """
    return shlex.join(
        ["toolkit", "bench", str(model), *_lists(config), *_plan(config), *_inputs(config), *_flags(config)]
    )


def _lists(config: BenchConfig) -> list[str]:
    lists = {
        "--runtime": config.runtimes,
        "--provider": config.providers,
        "--batch": config.batches,
        "--threads": config.threads,
        "--precision": config.precisions,
        "--io-binding": config.io_bindings if config.io_bindings != ("auto",) else (),
    }
    return [part for name, values in lists.items() if values for part in (name, ",".join(map(str, values)))]


def _plan(config: BenchConfig) -> list[str]:
    plan = config.plan
    options = []
    for name in ("scenario", "streams", "rate", "driver", "boundary"):
        value = getattr(plan, name)
        if value != getattr(DEFAULT_PLAN, name):
            options += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)]
    if plan.max_s != DEFAULT_PLAN.max_s:
        options += ["--seconds", f"{plan.max_s:g}"]
    return options


def _inputs(config: BenchConfig) -> list[str]:
    given = [] if config.inputs_path is None else ["--inputs", str(config.inputs_path)]
    for option, said in (("--shape", config.feeds.shapes), ("--value", config.feeds.values)):
        for name, numbers in said.items():
            given += [option, f"{name}={','.join(map(str, numbers))}"]
    return given


def _flags(config: BenchConfig) -> list[str]:
    start = to_plain(DeviceOptions())
    # The cache is where the artifacts are, which the one who repeats it knows better; a graph has a flag of its own.
    changed = {
        name: value
        for name, value in to_plain(config.device).items()
        if value != start[name] and name not in {"cache", "cuda_graph"}
    }
    options = [part for name, value in changed.items() for part in ("--device-option", f"{name}={str(value).lower()}")]
    flags = {
        "--tf32": config.tf32,
        "--cuda-graph": config.device.cuda_graph,
        "--require-all-nodes": config.require_all_nodes,
        "--allow-fallback": config.allow_fallback,
        "--allow-external-data": config.allow_external_data,
    }
    return [*options, *(name for name, is_on in flags.items() if is_on)]
