"""The examination: every provider and runtime opened and run in a process of its own, so that a crash is a row."""

from __future__ import annotations

__all__ = ["DEFAULT_ENGINES", "run_doctor"]

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from toolkit.doctor.convolution import INPUT, OUTPUT, build_model, check_answer, make_images
from toolkit.doctor.cuda import check_cuda
from toolkit.doctor.report import DoctorReport, DoctorRow, explain, installed_version
from toolkit.doctor.torch_devices import TorchProbe, ask_torch, check_torch
from toolkit.durable import sha256_bytes
from toolkit.environment import describe_environment, usable_cores
from toolkit.errors import ResourceError, ToolkitError, WorkerError
from toolkit.nvidia import mend_words
from toolkit.onnx_file.source import ModelSource
from toolkit.progress import ShowWork, show_nothing
from toolkit.runtimes.base import Opened, RuntimeSettings
from toolkit.runtimes.installed import RuntimeRow, list_runtimes
from toolkit.runtimes.ort.api import WHEELS, OrtApi
from toolkit.runtimes.ort.sessions import check_installation
from toolkit.runtimes.providers import PROVIDERS
from toolkit.runtimes.registry import ENGINES, RUNTIMES, find_runtime
from toolkit.runtimes.workers.client import Opener, open_worker
from toolkit.runtimes.workers.time_limits import LOOK_S

DISTRIBUTIONS = {"openvino": ("onnxruntime-ep-openvino",)}
TORCH = {"torch", "torch-compile"}
# What devices run by; the other engines of the parity matrix take seconds each to start.
DEFAULT_ENGINES = ("ort", "torch")


def run_doctor(
    *,
    command: str = "run_doctor()",
    engines: tuple[str, ...] = DEFAULT_ENGINES,
    opener: Opener = open_worker,
    torch_probe: TorchProbe | None = None,
    api: Callable[[], OrtApi] = OrtApi,
    environment: dict[str, Any] | None = None,
    show: ShowWork = show_nothing,
) -> DoctorReport:
    """Examine this machine; whatever is missing or broken is a row, never an exception.

    Args:
        command: what repeats it, for the report.
        engines: which to examine, by their names in the registry, or `all`; those that compute on providers by default.
        opener: opens the convolution in a worker.
        torch_probe: asks PyTorch about its devices; a process of its own by default.
        api: makes the thin layer over ONNX Runtime.
        environment: as `describe_environment` tells.
        show: hears what is being examined, and how many rows are known.

    Raises:
        UsageError: there is no such engine.
    """
    wanted = ENGINES if "all" in engines else tuple(dict.fromkeys(engines))
    for name in wanted:
        find_runtime(name)
    surroundings = environment or describe_environment()
    model = build_model()
    source = ModelSource(model=model, sha256=sha256_bytes(model), path=Path("convolution.onnx"))
    # PyTorch and the engines take seconds each to start: they are asked side by side.
    with ThreadPoolExecutor(usable_cores() + 1) as pool:
        probe = torch_probe or partial(ask_torch, compiled="torch-compile" in wanted)
        torch = None if TORCH.isdisjoint(wanted) else pool.submit(check_torch, probe)
        runtimes = _check_runtimes(wanted, source, opener=opener, pool=pool)
        examined = chain(
            (_check_wheels(api),),
            (_check_provider(name, source, opener=opener) for name in (PROVIDERS if "ort" in wanted else ())),
            (row for row in (torch.result() if torch else ())),
            runtimes,
            check_cuda(api, surroundings.get("gpus")),
        )
        what = "every engine" if "all" in engines else ", ".join(wanted)
        rows = []
        with show(f"running a convolution on {what}", unit="parts") as tell:
            for row in examined:
                rows.append(row)
                tell(len(rows), None)
    return DoctorReport(command=command, environment=surroundings, rows=tuple(rows))


def _check_wheels(api: Callable[[], OrtApi]) -> DoctorRow:
    row = DoctorRow(name="onnxruntime installation", kind="installation")
    try:
        opened = api()
        version = ", ".join(f"{name} {number}" for name, number in sorted(opened.wheels().items())) or None
        row = replace(row, version=version)
        check_installation(opened)
    except ResourceError as error:
        return replace(row, status="fail", **explain(error))
    except Exception as error:  # noqa: BLE001 - a broken package may raise anything while it is imported
        reason = f"onnxruntime cannot be imported: {type(error).__name__}: {error}"
        version, mend = installed_version(WHEELS), RUNTIMES["ort"].install
        return replace(row, version=version, status="fail", reason=reason, mend=mend)
    return row


def _check_provider(name: str, source: ModelSource, *, opener: Opener) -> DoctorRow:
    runtime = PROVIDERS[name].runtime
    version = None if RUNTIMES[runtime].private else installed_version(DISTRIBUTIONS.get(name, WHEELS))
    row = DoctorRow(name=f"ort/{name}", kind="provider", version=version)
    return _check_engine(row, RuntimeSettings(provider=name), source=source, opener=opener)


def _check_engine(
    row: DoctorRow, settings: RuntimeSettings, *, source: ModelSource, opener: Opener, mend: str = ""
) -> DoctorRow:
    """Return the row of an engine that was opened and run.

    Args:
        row: what is known of it before; of the kind `provider` it may be absent.
        settings: of the engine.
        source: the convolution.
        opener: opens it.
        mend: what brings the engine anew where its answer is wrong; by default what the problem's words tell.
    """
    try:
        with opener(source, settings, timeout_s=LOOK_S) as runtime:
            placement, device = runtime.info.placement, runtime.info.device
            row = replace(row, device=device, version=row.version or runtime.info.version)
            problem = _run_convolution(runtime, settings.provider, placement=placement)
    except WorkerError as error:
        return replace(row, opens=False, status="fail", reason=str(error), log=error.log)
    except ToolkitError as error:
        is_absent = row.kind == "provider" and isinstance(error, ResourceError)
        return replace(row, opens=False, status="absent" if is_absent else "fail", **explain(error))
    row = replace(row, opens=True, runs=problem is None, placement=placement)
    return row if problem is None else replace(row, status="fail", reason=problem, mend=mend or mend_words(problem))


def _run_convolution(runtime: Opened, name: str, *, placement: dict[str, int]) -> str | None:
    elsewhere = {provider: count for provider, count in placement.items() if provider != name}
    if elsewhere and PROVIDERS[name].has_8_bit:  # the pixels' conversion
        return f"it opens, but these nodes were placed elsewhere: {elsewhere}"
    try:
        return check_answer(runtime.run({INPUT: make_images()})[OUTPUT])
    except ToolkitError as error:
        return f"it opens, but a convolution fails: {error}"


def _check_runtimes(
    wanted: tuple[str, ...], source: ModelSource, *, opener: Opener, pool: ThreadPoolExecutor
) -> Iterator[DoctorRow]:
    """Return a row for each engine that opens a file, but ONNX Runtime, which has one for each provider."""
    known = {row.runtime: row for row in list_runtimes()}
    builds = {spec.runtime for spec in PROVIDERS.values()}
    names = [name for name in wanted if name in ENGINES and name not in builds and not RUNTIMES[name].needs_run]
    return pool.map(lambda name: _check_runtime(known[name], source, opener=opener), names)


def _check_runtime(known: RuntimeRow, source: ModelSource, *, opener: Opener) -> DoctorRow:
    row = DoctorRow(name=f"{known.runtime}/cpu", kind="runtime", version=known.version)
    if not known.installed:
        reason = f"runtime {known.runtime} is not installed"
        return replace(row, opens=False, status="absent", reason=reason, mend=known.install)
    return _check_engine(row, RuntimeSettings(runtime=known.runtime), source=source, opener=opener, mend=known.install)
