"""A million pictures in a hundred tar shards to Parquet: by this machine's engine, and over Ray Data on two workers.

    python benchmarks/million_shards.py MODEL [--pictures 1000000] [--shards 100] [--rounds 1]

The pictures are PNGs of 28x28, 5,000 different ones (the embedded MNIST digits) under a name each. `toolkit predict
MODEL SHARDS -o rows.parquet` is run with `--executor local` and with `--executor ray --processes 2`, in turns; the
tables are compared row by row. Memory is what the command and all its descendants hold for themselves, sampled: at the
most in the second tenth of the time and in the last one. JSON on standard output.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from predict_memory import anonymous_mb

from toolkit.data.load import load_mini
from toolkit.environment import describe_environment

SCHEMA = "toolkit/benchmark-million-shards/1"
EXECUTORS = {"local": (), "ray": ("--executor", "ray", "--processes", "2")}
PERIOD_S = 0.1


def main() -> None:
    """Make the shards, predict them in each way and print the report."""
    options = _parse()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        shards = _write_shards(Path(name, "shards"), pictures=options.pictures, shards=options.shards)
        outputs = {way: Path(name, f"{way}.parquet") for way in EXECUTORS}
        runs: dict[str, list[dict[str, Any]]] = {way: [] for way in EXECUTORS}
        for _ in range(options.rounds):
            for way, words in EXECUTORS.items():
                measured = _predict(options.model, shards, words=words, output=outputs[way])
                runs[way].append({"images_per_s": round(options.pictures / measured["seconds"]), **measured})
        report = {
            "schema": SCHEMA,
            "pictures": options.pictures,
            "shards": len(shards),
            "bytes_read": sum(path.stat().st_size for path in shards),
            "runs": runs,
            "rows": _compare(*outputs.values()),
            "environment": describe_environment(),
        }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    return parser.parse_args()


def _write_shards(folder: Path, *, pictures: int, shards: int) -> list[Path]:
    folder.mkdir()
    encoded = [_encode(image) for image in load_mini().train.images]
    paths = [folder / f"shard-{number:03}.tar" for number in range(shards)]
    for number, path in enumerate(paths):
        with tarfile.open(path, "w") as archive:
            for picture in range(number * pictures // shards, (number + 1) * pictures // shards):
                content = encoded[picture % len(encoded)]
                member = tarfile.TarInfo(f"{picture:07}.png")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return paths


def _encode(image: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "png")
    return stream.getvalue()


def _predict(model: Path, shards: list[Path], *, words: tuple[str, ...], output: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "toolkit", "predict", model, *shards, "-o", output, "--force", *words]
    start = time.perf_counter()
    samples: list[tuple[float, float]] = []
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=log)
        while process.poll() is None:
            samples.append((time.perf_counter() - start, anonymous_mb(process.pid)))
            time.sleep(PERIOD_S)
        seconds = time.perf_counter() - start
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f"{words} left with {process.returncode}: {log.read().decode(errors='replace')[-2000:]}")
    tenths = [[mb for moment, mb in samples if int(10 * moment / seconds) == tenth] for tenth in range(10)]
    return {
        "seconds": round(seconds, 1),
        "own_mb_of_each_tenth": [round(max(part), 1) if part else None for part in tenths],
        "peak_mb": round(max(mb for _, mb in samples), 1),
    }


def _compare(first: Path, second: Path) -> dict[str, Any]:
    """Return how many rows each table has, and whether they are equal, cell by cell."""
    import pyarrow.parquet as pq

    tables = [pq.read_table(path) for path in (first, second)]
    return {"counts": [table.num_rows for table in tables], "equal": tables[0].equals(tables[1])}


if __name__ == "__main__":
    main()
