"""PyTorch's devices, asked in a process of their own."""

from __future__ import annotations

__all__ = ["TorchProbe", "ask_torch", "check_torch"]

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from toolkit.doctor.report import DoctorRow, explain, installed_version
from toolkit.doctor.torch_probe import COMPILED
from toolkit.errors import ResourceError, ToolkitError, WorkerError
from toolkit.runtimes.registry import RUNTIMES
from toolkit.runtimes.workers.helper import Helper
from toolkit.runtimes.workers.time_limits import ANSWER_S

COMPILER = "install a C++ compiler: apt install g++"

TorchProbe = Callable[[], dict[str, Any]]


def ask_torch(*, compiled: bool = False) -> dict[str, Any]:
    """Ask PyTorch about its devices in a process of its own: this one must stay free of torch.

    Args:
        compiled: ask about `torch.compile` too.

    Raises:
        ResourceError: torch is not installed or cannot be imported.
        WorkerError: the process crashed, hung, or answered nonsense.
    """
    with Helper("toolkit.doctor.torch_probe", title="the process that asks torch") as helper:
        helper.await_ready()
        with contextlib.suppress(BrokenPipeError):  # its end is told below
            helper.requests.write(f"{COMPILED if compiled else ''}\n".encode())
            helper.requests.flush()
        with helper.limit(ANSWER_S):
            text = helper.replies.read()
        how, log = helper.describe_end(), helper.log
    try:
        answer: dict[str, Any] = json.loads(text)
    except ValueError as error:
        last = (log.splitlines() or ["no output"])[-1]
        if last.startswith(("ImportError", "ModuleNotFoundError", "OSError")):
            reason = f"torch cannot be imported: {last}; install it with: {RUNTIMES['torch'].install}"
            raise ResourceError(reason) from error
        raise WorkerError(f"torch {how}: {last}", log=log) from error
    return answer


def check_torch(probe: TorchProbe) -> list[DoctorRow]:
    """Return a row for each device of PyTorch, or one that says why it cannot be asked."""
    try:
        answer = probe()
    except ToolkitError as error:
        status, log = ("fail", error.log) if isinstance(error, WorkerError) else ("absent", "")
        row = DoctorRow(name="torch/cpu", kind="provider", version=installed_version(("torch",)), opens=False)
        return [replace(row, status=status, log=log, **explain(error))]
    rows = [_torch_row(f"torch/{name}", answer["version"], found) for name, found in answer["devices"].items()]
    compiled = answer.get("compiled")
    return [*rows, *([_torch_row("torch-compile/cpu", answer["version"], compiled)] if compiled else [])]


def _torch_row(name: str, version: str, found: dict[str, Any]) -> DoctorRow:
    status = "pass" if found["runs"] else "fail" if found["opens"] else "absent"
    told = explain(found["reason"])
    if status != "pass" and name == "torch-compile/cpu" and "compiler" in found["reason"].casefold():
        told["mend"] = COMPILER
    return DoctorRow(
        name=name, kind="provider", version=version, opens=found["opens"], runs=found["runs"], status=status, **told
    )
