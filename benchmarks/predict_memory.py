"""Resident memory of `toolkit predict` on a million images, sampled from outside."""

from __future__ import annotations

__all__ = ["anonymous_mb", "measure_memory"]

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.data.load import load_mini

COUNT = 1_000_000
EARLY = 100_000
PERIOD_S = 0.05
MEGABYTE = 1 << 20


def measure_memory(model: Path, folder: Path) -> dict[str, Any]:
    """Predict an array of a million images to CSV and return the command's memory in MB.

    `anonymous` is what the process holds for itself (the file that is mapped does not count: the system may drop its
    pages at any time), of the command and of its children together, at the first sample after each tenth.
    """
    source, output = folder / "million.npy", folder / "million.csv"
    _write_million(source)
    command = [sys.executable, "-m", "toolkit", "predict", str(model), str(source), "-o", str(output)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    samples: list[tuple[int, float]] = []
    part = output.with_name(output.name + ".part")
    while process.poll() is None:
        rows = part.stat().st_size // 62 if part.exists() else 0  # a row has 62 bytes, about
        samples.append((rows, anonymous_mb(process.pid)))
        time.sleep(PERIOD_S)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{command} left with {process.returncode}")
    early = [mb for rows, mb in samples if EARLY <= rows < 2 * EARLY]
    late = [mb for rows, mb in samples if rows >= 0.9 * COUNT]
    return {
        "images": COUNT,
        "seconds": round(seconds, 1),
        "engine_alone_mb": round(_engine_alone_mb(model), 1),
        "at_100_000_mb": round(max(early), 1),
        "at_the_end_mb": round(max(late), 1),
        "peak_mb": round(max(mb for _, mb in samples), 1),
    }


def _write_million(path: Path) -> None:
    images = load_mini().train.images
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(COUNT, *images.shape[1:]))
    for start in range(0, COUNT, len(images)):
        array[start : start + len(images)] = images[: COUNT - start]
    array.flush()


def _engine_alone_mb(model: Path) -> float:
    """Memory of a process that has opened the model with ONNX Runtime and run a batch."""
    program = (
        "import sys, numpy, onnxruntime, time\n"
        "s = onnxruntime.InferenceSession(open(sys.argv[1], 'rb').read(), providers=['CPUExecutionProvider'])\n"
        "i = s.get_inputs()[0]\n"
        "s.run(None, {i.name: numpy.zeros((64, *i.shape[1:]), numpy.uint8)})\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(model)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        return anonymous_mb(process.pid)
    finally:
        process.kill()
        process.wait()


def anonymous_mb(pid: int) -> float:
    """Return what a process and its descendants hold for themselves, in MB."""
    total = 0.0
    waiting = [pid]
    while waiting:
        number = waiting.pop()
        try:
            status = Path(f"/proc/{number}/status").read_text()
            waiting += map(int, Path(f"/proc/{number}/task/{number}/children").read_text().split())
        except OSError:
            continue
        line = next((line for line in status.splitlines() if line.startswith("RssAnon")), "RssAnon: 0 kB")
        total += int(line.split()[1]) * 1024 / MEGABYTE
    return total
