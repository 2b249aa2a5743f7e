"""PyTorch's devices, asked in a process of their own: this one must stay free of torch.

Run as a module this is that process, which prints JSON.
"""

from __future__ import annotations

__all__ = ["TorchProbe", "ask_torch", "check_torch", "main", "probe_torch"]

import contextlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from toolkit.doctor.convolution import check_answer, make_images, make_weights
from toolkit.doctor.report import DoctorRow, explain, installed_version
from toolkit.errors import ResourceError, ToolkitError, WorkerError
from toolkit.network.device import TorchMachine
from toolkit.nvidia import mend_import
from toolkit.runtimes.registry import RUNTIMES
from toolkit.runtimes.workers.helper import Helper
from toolkit.runtimes.workers.helper_start import READY
from toolkit.runtimes.workers.time_limits import ANSWER_S

# The request that asks for `torch.compile` too.
COMPILED = "compiled"
COMPILER = "install a C++ compiler: apt install g++"

# Tells what `probe_torch` does, wherever it asked.
TorchProbe = Callable[[], dict[str, Any]]


def ask_torch(*, compiled: bool = False) -> dict[str, Any]:
    """Ask PyTorch about its devices in a process of its own.

    Args:
        compiled: ask about `torch.compile` too.

    Raises:
        ResourceError: torch is not installed or cannot be imported.
        WorkerError: the process crashed, hung, or answered nonsense.
    """
    with Helper("toolkit.doctor.torch_devices", title="the process that asks torch") as helper:
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
        last = last.partition(" in the system path")[0]
        if last.startswith(("ImportError", "ModuleNotFoundError", "OSError", "ValueError: lib")):
            mend = mend_import(last) or RUNTIMES["torch"].install
            reason = f"torch cannot be imported: {last}; install it with: {mend}"
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
    rows = [_torch_row(f"torch/{name}", answer["version"], found=found) for name, found in answer["devices"].items()]
    compiled = answer.get("compiled")
    return [*rows, *([_torch_row("torch-compile/cpu", answer["version"], found=compiled)] if compiled else [])]


def probe_torch(machine: TorchMachine | None = None, *, compiled: bool) -> dict[str, Any]:
    """Run the convolution on every device that PyTorch knows.

    Args:
        machine: answers about devices; torch's own by default.
        compiled: also run it through `torch.compile` on the CPU, which calls a C++ compiler for seconds.

    Returns:
        `version`, `cuda` (CUDA version that torch was built for, or None), `devices`: for each device `opens`, `runs`
        and `reason`; and `compiled`, the same for `torch.compile`, where it was asked for.
    """
    import torch

    asked = machine or TorchMachine()
    problems = {"cpu": None, "cuda": asked.cuda_problem(), "mps": asked.mps_problem()}
    devices = {name: _probe_device(name, problem) for name, problem in problems.items()}
    answer = {"version": torch.__version__, "cuda": torch.version.cuda, "devices": devices}
    return {**answer, "compiled": _try("cpu", torch.compile)} if compiled else answer


def _torch_row(name: str, version: str, *, found: dict[str, Any]) -> DoctorRow:
    status = "pass" if found["runs"] else "fail" if found["opens"] else "absent"
    told = explain(found["reason"])
    if status != "pass" and name == "torch-compile/cpu" and "compiler" in found["reason"].casefold():
        told["mend"] = COMPILER
    return DoctorRow(
        name=name, kind="provider", version=version, opens=found["opens"], runs=found["runs"], status=status, **told
    )


def _probe_device(name: str, problem: str | None) -> dict[str, Any]:
    if problem is not None:
        return {"opens": False, "runs": None, "reason": problem}
    return _try(name, lambda function: function)


def _try(device: str, prepare: Callable[[Any], Any]) -> dict[str, Any]:
    try:
        reason = _convolve(device, prepare)
    except Exception as error:  # noqa: BLE001 - each backend of torch fails in its own way
        reason = f"a convolution failed: {_first_words(str(error))}"
    return {"opens": True, "runs": reason is None, "reason": reason or ""}


def _first_words(message: str) -> str:
    """Return a message's first line, with the next one where it only announces that."""
    lines = [line.strip() for line in message.splitlines() if line.strip()] or ["no message"]
    return " ".join(lines[:2] if lines[0].endswith(":") else lines[:1])


def _convolve(device: str, prepare: Callable[[Any], Any]) -> str | None:
    import torch

    images = torch.from_numpy(make_images()).to(device).unsqueeze(1).float()
    weights = torch.from_numpy(make_weights()).to(device)
    convolve = prepare(lambda batch: torch.relu(torch.conv2d(batch, weights)))
    return check_answer(convolve(images).cpu().numpy())


def main() -> None:
    """Print the probe's result as one line of JSON on the real standard output."""
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what torch prints must not spoil the answer
        answers.write(READY)
        answers.flush()
        compiled = sys.stdin.readline().strip() == COMPILED
        answers.write(json.dumps(probe_torch(compiled=compiled)).encode())


if __name__ == "__main__":
    main()
