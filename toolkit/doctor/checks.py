"""The examination: every provider and runtime opened and run in a process of its own, so that a crash is a row."""

from __future__ import annotations

__all__ = ["DEFAULT_ENGINES", "Opener", "open_worker", "run_doctor"]

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from toolkit.doctor.convolution import INPUT, OUTPUT, build_model, judge_answer, make_images
from toolkit.doctor.cuda import check_cuda_versions, check_gpu, read_cuda_versions
from toolkit.doctor.libraries import check_libraries
from toolkit.doctor.reasons import explain_error, installed_version
from toolkit.doctor.report import DoctorReport, DoctorRow
from toolkit.doctor.torch_rows import TorchProbe, ask_torch, check_torch
from toolkit.durable import sha256_bytes
from toolkit.environment import describe_environment, usable_cores
from toolkit.errors import ResourceError, ToolkitError, WorkerError
from toolkit.nvidia import mend_words
from toolkit.runtimes.base import Arrays, RuntimeInfo, RuntimeSettings
from toolkit.runtimes.listing import RuntimeRow, list_runtimes
from toolkit.runtimes.ort_api import WHEELS, OrtApi
from toolkit.runtimes.process import WorkerRuntime
from toolkit.runtimes.provider_list import PROVIDERS
from toolkit.runtimes.providers import check_installation
from toolkit.runtimes.registry import ENGINES, RUNTIMES, find_entry
from toolkit.runtimes.source import ModelSource

if TYPE_CHECKING:
    from types import TracebackType

TIMEOUT_S = 60.0
DISTRIBUTIONS = {"openvino": ("onnxruntime-ep-openvino",)}
TORCH = {"torch", "torch-compile"}
# What devices run by; the other engines of the parity matrix take seconds each to start.
DEFAULT_ENGINES = ("ort", "torch")


class Examined(Protocol):
    """A model opened in a worker; tests give a fake."""

    info: RuntimeInfo

    def run(self, feeds: Arrays) -> dict[str, Any]:
        """Execute the model once."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


Opener = Callable[[ModelSource, RuntimeSettings], Examined]


def open_worker(source: ModelSource, settings: RuntimeSettings) -> Examined:
    """Open a model in a worker process of this interpreter."""
    return WorkerRuntime(source, settings, timeout_s=TIMEOUT_S)


def run_doctor(
    *,
    command: str = "run_doctor()",
    engines: tuple[str, ...] = DEFAULT_ENGINES,
    opener: Opener = open_worker,
    torch_probe: TorchProbe | None = None,
    api: Callable[[], OrtApi] = OrtApi,
    environment: dict[str, Any] | None = None,
) -> DoctorReport:
    """Examine this machine; whatever is missing or broken is a row, never an exception.

    Args:
        command: what repeats it, for the report.
        engines: which to examine, by their names in the registry, or `all`; those that compute on providers by default.
        opener: opens the convolution in a worker.
        torch_probe: asks PyTorch about its devices; a process of its own by default.
        api: makes the thin layer over ONNX Runtime.
        environment: as `describe_environment` tells.

    Raises:
        UsageError: there is no such engine.
    """
    wanted = ENGINES if "all" in engines else tuple(dict.fromkeys(engines))
    for name in wanted:
        find_entry(name)
    surroundings = environment or describe_environment()
    model = build_model()
    source = ModelSource(model=model, sha256=sha256_bytes(model), path=Path("convolution.onnx"))
    cuda = read_cuda_versions()
    # PyTorch and the engines take seconds each to start: they are asked side by side.
    with ThreadPoolExecutor(usable_cores() + 1) as pool:
        probe = torch_probe or partial(ask_torch, compiled="torch-compile" in wanted)
        torch = None if TORCH.isdisjoint(wanted) else pool.submit(check_torch, probe)
        runtimes = _check_runtimes(wanted, source, opener, pool)
        rows = (
            _check_wheels(api),
            *(_check_provider(name, source, opener) for name in (PROVIDERS if "ort" in wanted else ())),
            *(torch.result() if torch else ()),
            *runtimes,
            check_cuda_versions(cuda),
            *check_libraries(cuda, api),
            check_gpu(surroundings.get("gpus")),
        )
    return DoctorReport(command=command, environment=surroundings, rows=rows)


def _check_wheels(api: Callable[[], OrtApi]) -> DoctorRow:
    row: dict[str, Any] = {"name": "onnxruntime installation", "kind": "installation"}
    try:
        opened = api()
        wheels = opened.wheels()
        version = ", ".join(f"{name} {number}" for name, number in sorted(wheels.items())) or None
        check_installation(opened)
    except ResourceError as error:
        return DoctorRow(**row, version=version, status="fail", **explain_error(error))
    except Exception as error:  # noqa: BLE001 - a broken package may raise anything while it is imported
        reason = f"onnxruntime cannot be imported: {type(error).__name__}: {error}"
        return DoctorRow(
            **row,
            version=installed_version(WHEELS),
            status="fail",
            reason=reason,
            mend=RUNTIMES["ort"].install,
        )
    return DoctorRow(**row, version=version)


def _check_provider(name: str, source: ModelSource, opener: Opener) -> DoctorRow:
    row: dict[str, Any] = {
        "name": f"ort/{name}",
        "kind": "provider",
        "version": installed_version(DISTRIBUTIONS.get(name, WHEELS)),
    }
    try:
        with opener(source, RuntimeSettings(provider=name)) as runtime:
            placement = runtime.info.placement
            problem = _run_convolution(runtime, name, placement)
    except WorkerError as error:
        return DoctorRow(**row, opens=False, status="fail", reason=str(error), log=error.log)
    except ResourceError as error:
        return DoctorRow(**row, opens=False, status="absent", **explain_error(error))
    except ToolkitError as error:
        return DoctorRow(**row, opens=False, status="fail", **explain_error(error))
    row = {**row, "opens": True, "runs": problem is None, "placement": placement}
    if problem is None:
        return DoctorRow(**row)
    return DoctorRow(**row, status="fail", reason=problem, mend=mend_words(problem))


def _run_convolution(runtime: Examined, name: str, placement: dict[str, int]) -> str | None:
    elsewhere = {provider: count for provider, count in placement.items() if provider != name}
    if elsewhere:
        return f"it opens, but these nodes were placed elsewhere: {elsewhere}"
    try:
        return judge_answer(runtime.run({INPUT: make_images()})[OUTPUT])
    except ToolkitError as error:
        return f"it opens, but a convolution fails: {error}"


def _check_runtimes(
    wanted: tuple[str, ...], source: ModelSource, opener: Opener, pool: ThreadPoolExecutor
) -> Iterator[DoctorRow]:
    """Return a row for each engine that opens a file, but ONNX Runtime, which has one for each provider."""
    known = {row.runtime: row for row in list_runtimes()}
    names = [name for name in wanted if name in ENGINES and name != "ort" and not RUNTIMES[name].needs_run]
    return pool.map(lambda name: _check_runtime(known[name], source, opener), names)


def _check_runtime(known: RuntimeRow, source: ModelSource, opener: Opener) -> DoctorRow:
    row: dict[str, Any] = {"name": f"{known.runtime}/cpu", "kind": "runtime", "version": known.version}
    if not known.installed:
        reason = f"runtime {known.runtime} is not installed"
        return DoctorRow(**row, opens=False, status="absent", reason=reason, mend=known.install)
    try:
        with opener(source, RuntimeSettings(runtime=known.runtime)) as runtime:
            problem = _run_convolution(runtime, "cpu", {})
    except WorkerError as error:
        return DoctorRow(**row, opens=False, status="fail", reason=str(error), log=error.log)
    except ToolkitError as error:
        return DoctorRow(**row, opens=False, status="fail", **explain_error(error))
    mend = "" if problem is None else known.install
    return DoctorRow(
        **row, opens=True, runs=problem is None, status="fail" if problem else "pass", reason=problem or "", mend=mend
    )
