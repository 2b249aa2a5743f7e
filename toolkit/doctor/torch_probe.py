"""What PyTorch can do here, asked in a process of its own, which prints JSON."""

from __future__ import annotations

__all__ = ["COMPILED", "main", "probe_torch"]

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from toolkit.doctor.convolution import judge_answer, make_images, make_weights
from toolkit.network.device import TorchMachine
from toolkit.runtimes.workers.helper_start import READY

# The request that asks for `torch.compile` too.
COMPILED = "compiled"


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
    return judge_answer(convolve(images).cpu().numpy())


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
