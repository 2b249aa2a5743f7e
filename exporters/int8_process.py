"""Quantisation in a process of its own: the quantiser loads onnxruntime, prints, and may run away.

The process works in a folder of its own: `model.onnx`, `images.npy` and `setting.json` are there, `int8.onnx` is left.
"""

from __future__ import annotations

__all__ = ["main", "quantise_apart"]

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from exporters.quiet import append_to
from exporters.spec import ExportError, first_line
from exporters.to_int8 import Int8Setting, convert_to_int8

TIMEOUT_S = 300.0


def quantise_apart(
    model: onnx.ModelProto,
    images: NDArray[np.uint8],
    setting: Int8Setting,
    *,
    log: Path = Path(os.devnull),
    timeout_s: float = TIMEOUT_S,
) -> onnx.ModelProto:
    """Quantise a graph in another process; as `convert_to_int8`.

    Args:
        model: one image input, float32 inside; left unchanged.
        images: uint8 `[N, ...]`, for calibration.
        setting: how.
        log: what the quantiser prints is added to it.
        timeout_s: most seconds.

    Raises:
        ExportError: the quantiser cannot start, failed, crashed or hung; its last words stand in the log.
    """
    with tempfile.TemporaryDirectory(prefix="int8-process-") as name:
        folder = Path(name)
        onnx.save_model(model, folder / "model.onnx")
        np.save(folder / "images.npy", images, allow_pickle=False)
        (folder / "setting.json").write_text(json.dumps(asdict(setting)))
        code = _run(folder, log=log, timeout_s=timeout_s)
        if code is None:
            raise ExportError(f"the quantiser hung for {timeout_s:g} s and was ended")
        reason = folder / "error.txt"
        if code or reason.is_file():
            raise ExportError(reason.read_text() if reason.is_file() else f"the quantiser left with exit code {code}")
        return onnx.load(folder / "int8.onnx")


def main() -> None:
    """Quantise what lies in the working folder, in the seconds given as argument; a failure leaves `error.txt`."""
    if hasattr(signal, "alarm"):  # where the process that waits for this one is gone, nobody else ends it
        signal.alarm(math.ceil(float(sys.argv[1])) + 1)

    setting = Int8Setting(**json.loads(Path("setting.json").read_text()))
    try:
        model = convert_to_int8(onnx.load("model.onnx"), np.load("images.npy", allow_pickle=False), setting)
    except Exception as error:  # the quantiser raises many unrelated classes
        Path("error.txt").write_text(first_line(error))
        raise
    onnx.save_model(model, "int8.onnx")


def _run(folder: Path, *, log: Path, timeout_s: float) -> int | None:
    """Return the exit code of the process, None where it took too long."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    # The quantiser leaves temporary files behind when it is ended; in this folder they go with it.
    environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(folder)}
    command = [sys.executable, "-P", "-c", "from exporters.int8_process import main; main()", str(timeout_s)]
    with append_to(log) as stream:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        except OSError as error:
            raise ExportError(f"the quantiser cannot start with {sys.executable}: {error.strerror}") from error
        return done.returncode
