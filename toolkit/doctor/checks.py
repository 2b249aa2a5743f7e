"""The examination: every provider and runtime opened and run in a process of its own, so that a crash is a row."""

from __future__ import annotations

__all__ = ["Opener", "TorchProbe", "ask_torch", "open_worker", "run_doctor"]

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from toolkit.doctor.convolution import INPUT, OUTPUT, build_model, judge_answer, make_images
from toolkit.doctor.cuda import check_cuda_versions, check_gpu, read_cuda_versions
from toolkit.doctor.report import DoctorReport, DoctorRow
from toolkit.durable import sha256_bytes
from toolkit.environment import describe_environment
from toolkit.errors import ResourceError, ToolkitError, WorkerError
from toolkit.runtimes.base import Arrays, RuntimeInfo, RuntimeSettings
from toolkit.runtimes.ort_api import OrtApi, RealOrtApi
from toolkit.runtimes.process import WorkerRuntime
from toolkit.runtimes.providers import PROVIDERS, check_installation
from toolkit.runtimes.registry import RUNTIMES
from toolkit.runtimes.source import ModelSource

if TYPE_CHECKING:
    from types import TracebackType

TIMEOUT_S = 60.0
# Every message of ours that knows a remedy ends in one of these and the command.
MEND = re.compile(r"; (?:get it(?: again)?|mend it|install it) with: (?P<mend>.+)$")
DISTRIBUTIONS = {"openvino": ("onnxruntime-ep-openvino",)}
ORT_DISTRIBUTIONS = ("onnxruntime-gpu", "onnxruntime")


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
TorchProbe = Callable[[], dict[str, Any]]


def open_worker(source: ModelSource, settings: RuntimeSettings) -> Examined:
    """Open a model in a worker process of this interpreter."""
    return WorkerRuntime(source, settings, timeout_s=TIMEOUT_S)


def run_doctor(
    *,
    command: str = "toolkit doctor",
    opener: Opener = open_worker,
    torch_probe: TorchProbe | None = None,
    api: Callable[[], OrtApi] = RealOrtApi,
    environment: dict[str, Any] | None = None,
) -> DoctorReport:
    """Examine this machine; whatever is missing or broken is a row, never an exception.

    Args:
        command: what repeats it, for the report.
        opener: opens the convolution in a worker.
        torch_probe: asks PyTorch about its devices; a process of its own by default.
        api: makes the thin layer over ONNX Runtime.
        environment: as `describe_environment` tells.
    """
    surroundings = environment or describe_environment()
    model = build_model()
    source = ModelSource(model=model, sha256=sha256_bytes(model), path=Path("convolution.onnx"))
    rows = (
        _check_wheels(api),
        *(_check_provider(name, source, opener) for name in PROVIDERS),
        *_check_torch(torch_probe or ask_torch),
        check_cuda_versions(read_cuda_versions()),
        check_gpu(surroundings.get("gpus")),
    )
    return DoctorReport(command=command, environment=surroundings, rows=rows)


def ask_torch() -> dict[str, Any]:
    """Ask PyTorch about its devices in a process of its own: this one must stay free of torch.

    Raises:
        ResourceError: torch is not installed or cannot be imported.
        WorkerError: the process crashed, hung, or answered nonsense.
    """
    command = [sys.executable, "-P", "-m", "toolkit.doctor.torch_probe"]
    # As for a worker: the package's own folder goes in front, so that an uninstalled tree works too.
    folders = (str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", ""))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environment)
    except subprocess.TimeoutExpired as error:
        raise WorkerError(f"torch hung for {TIMEOUT_S:g} s and was ended") from error
    except OSError as error:
        raise WorkerError(f"cannot start {sys.executable}: {error.strerror}") from error
    log = done.stderr.strip()
    last = log.splitlines()[-1] if log else ""
    if done.returncode < 0:
        raise WorkerError(f"torch crashed with {signal.Signals(-done.returncode).name}", log=log[-4000:])
    if done.returncode and last.startswith(("ImportError", "ModuleNotFoundError", "OSError")):
        raise ResourceError(f"torch cannot be imported: {last}; install it with: {RUNTIMES['torch'].install}")
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise WorkerError(f"torch did not answer: {last or 'no output'}", log=log[-4000:]) from error
    return answer


def _check_wheels(api: Callable[[], OrtApi]) -> DoctorRow:
    row: dict[str, Any] = {"name": "onnxruntime installation", "kind": "installation"}
    try:
        opened = api()
        wheels = opened.wheels()
        version = ", ".join(f"{name} {number}" for name, number in sorted(wheels.items())) or None
        check_installation(opened)
    except ResourceError as error:
        return DoctorRow(**row, version=version, status="fail", **_explain(error))
    except Exception as error:  # noqa: BLE001 - a broken package may raise anything while it is imported
        reason = f"onnxruntime cannot be imported: {type(error).__name__}: {error}"
        return DoctorRow(
            **row, version=_installed(ORT_DISTRIBUTIONS), status="fail", reason=reason, mend=RUNTIMES["ort"].install
        )
    return DoctorRow(**row, version=version)


def _check_provider(name: str, source: ModelSource, opener: Opener) -> DoctorRow:
    row: dict[str, Any] = {
        "name": f"ort/{name}",
        "kind": "provider",
        "version": _installed(DISTRIBUTIONS.get(name, ORT_DISTRIBUTIONS)),
    }
    try:
        with opener(source, RuntimeSettings(provider=name)) as runtime:
            placement = runtime.info.placement
            problem = _run_convolution(runtime, name, placement)
    except WorkerError as error:
        return DoctorRow(**row, opens=False, status="fail", reason=str(error), log=error.log)
    except ResourceError as error:
        return DoctorRow(**row, opens=False, status="absent", **_explain(error))
    except ToolkitError as error:
        return DoctorRow(**row, opens=False, status="fail", **_explain(error))
    row = {**row, "opens": True, "runs": problem is None, "placement": placement}
    if problem is None:
        return DoctorRow(**row)
    return DoctorRow(**row, status="fail", reason=problem, mend=PROVIDERS[name].mend)


def _run_convolution(runtime: Examined, name: str, placement: dict[str, int]) -> str | None:
    elsewhere = {provider: count for provider, count in placement.items() if provider != name}
    if elsewhere:
        return f"it opens, but these nodes were placed elsewhere: {elsewhere}"
    try:
        return judge_answer(runtime.run({INPUT: make_images()})[OUTPUT])
    except ToolkitError as error:
        return f"it opens, but a convolution fails: {error}"


def _check_torch(probe: TorchProbe) -> list[DoctorRow]:
    try:
        answer = probe()
    except ToolkitError as error:
        status, log = ("fail", error.log) if isinstance(error, WorkerError) else ("absent", "")
        version = _installed(("torch",))
        row = DoctorRow(
            name="torch/cpu", kind="provider", version=version, opens=False, status=status, log=log, **_explain(error)
        )
        return [row]
    return [_torch_row(name, answer["version"], found) for name, found in answer["devices"].items()]


def _torch_row(name: str, version: str, found: dict[str, Any]) -> DoctorRow:
    status = "pass" if found["runs"] else "fail" if found["opens"] else "absent"
    return DoctorRow(
        name=f"torch/{name}",
        kind="provider",
        version=version,
        opens=found["opens"],
        runs=found["runs"],
        status=status,
        reason=found["reason"],
    )


def _explain(error: ToolkitError) -> dict[str, Any]:
    text = str(error)
    found = MEND.search(text)
    return {"reason": text[: found.start()], "mend": found["mend"]} if found else {"reason": text, "mend": ""}


def _installed(names: tuple[str, ...]) -> str | None:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None
