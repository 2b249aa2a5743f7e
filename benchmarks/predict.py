"""Prediction at volume against what the machine could do at most, and against a straightforward loop; interleaved.

    python benchmarks/predict.py MODEL [--pictures 10000] [--array 200000] [--rounds 3] [--million]

Pictures are PNGs of 28x28 (the embedded MNIST digits, repeated), on all cores the process may use:

- D: decoding and fitting alone, by as many decoder processes as there are cores;
- I: the engine alone, ONNX Runtime with a thread for each core, batch 64;
- bound: 1 / (1/D + 1/I), what a perfect pipeline reaches where both share the cores;
- loop: Pillow, batches of 64, ONNX Runtime, csv.writer, one after the other in one process.

Arrays are one NPY file; `engine` is the same engine called in a loop on slices of it. With `--million` a command
predicts an NPY of a million images and its resident memory is sampled. JSON on standard output: images per second,
medians and all rounds, and ratios round by round.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import csv
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from predict_memory import measure_memory

from toolkit.card import InputSpec
from toolkit.data.load import load_mini
from toolkit.environment import describe_environment, usable_cores
from toolkit.onnx_file.source import ModelSource
from toolkit.prediction.config import EngineChoice, PredictionConfig
from toolkit.prediction.open_model import open_model
from toolkit.prediction.pipeline.decoder_pool import DecoderPool
from toolkit.prediction.pipeline.prepare_items import Preparation
from toolkit.prediction.run import run_prediction
from toolkit.prediction.sources.items import group_items, rows_per_job
from toolkit.prediction.sources.open import open_items

SCHEMA = "toolkit/benchmark-predict/1"
BATCH = 64
Way = Callable[[], float]


def main() -> None:
    """Measure and print the report."""
    options = _parse_options()
    with tempfile.TemporaryDirectory(prefix="toolkit-predict-") as name:
        folder = Path(name)
        pictures, array = _write_inputs(folder, options)
        parts = {
            "pictures": _measure(_picture_ways(options.model, pictures, folder), options.pictures, options.rounds),
            "arrays": _measure(_array_ways(options.model, array, folder), options.array, options.rounds),
        }
        report = {
            "schema": SCHEMA,
            "cores": usable_cores(),
            "counts": {"pictures": options.pictures, "array": options.array, "rounds": options.rounds},
            "images_per_s": {part: _medians(rates) for part, rates in parts.items()},
            "images_per_s_rounds": {part: _rounded(rates) for part, rates in parts.items()},
            "ratios": _ratios(parts),
            "memory": measure_memory(options.model, folder) if options.million else None,
            "environment": describe_environment(),
        }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Prediction at volume, in interleaved rounds.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--array", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--million", action="store_true")
    return parser.parse_args()


def _write_inputs(folder: Path, options: argparse.Namespace) -> tuple[Path, Path]:
    images = load_mini().train.images
    pictures = folder / "pictures"
    for number in range(options.pictures):
        path = pictures / f"{number // 1000:04}" / f"{number % 1000:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[number % len(images)]).save(path)
    np.save(folder / "array.npy", np.resize(images, (options.array, *images.shape[1:])))
    return pictures, folder / "array.npy"


def _picture_ways(model: Path, pictures: Path, folder: Path) -> dict[str, Way]:
    spec, decoded = _decode_all(model, pictures)
    return {
        "D": lambda: _decode_seconds(spec, pictures),
        "I": lambda: _engine_seconds(model, decoded),
        "loop": lambda: _loop_seconds(model, pictures, folder / "loop.csv"),
        "toolkit": lambda: _toolkit_seconds(model, pictures, folder / "pictures.csv"),
    }


def _array_ways(model: Path, array: Path, folder: Path) -> dict[str, Way]:
    images = np.load(array)
    ways: dict[str, Way] = {"engine": lambda: _engine_seconds(model, images)}
    for ending in ("npy", "parquet", "csv"):
        ways[ending] = lambda ending=ending: _toolkit_seconds(model, array, folder / f"array-out.{ending}")
    try:
        import openvino  # noqa: F401 - whether it is there
    except ImportError:
        return ways
    ways["engine openvino"] = lambda: _engine_seconds(model, images, runtime="openvino")
    ways["npy openvino"] = lambda: _toolkit_seconds(model, array, folder / "array-openvino.npy", runtime="openvino")
    return ways


def _measure(ways: dict[str, Way], count: int, rounds: int) -> dict[str, list[float]]:
    """Return images per second, each way once in each round; the first round warms up and is not kept."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            seconds = way()
            print(f"round {number}: {name}: {count / seconds:,.0f} images/s", file=sys.stderr, flush=True)
            if number:
                rates[name].append(count / seconds)
    return rates


def _ratios(parts: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    pictures, arrays = parts["pictures"], parts["arrays"]
    bound = [1 / (1 / d + 1 / i) for d, i in zip(pictures["D"], pictures["I"], strict=True)]
    pairs = {
        "pictures / bound": (pictures["toolkit"], bound),
        "pictures / loop": (pictures["toolkit"], pictures["loop"]),
        **{f"array to {name} / engine": (arrays[name], arrays["engine"]) for name in ("npy", "parquet", "csv")},
    }
    if "npy openvino" in arrays:
        pairs["array openvino / engine openvino"] = (arrays["npy openvino"], arrays["engine openvino"])
        pairs["array openvino / array"] = (arrays["npy openvino"], arrays["npy"])
    ratios = {name: [a / b for a, b in zip(*pair, strict=True)] for name, pair in pairs.items()}
    return {
        name: {"median": round(statistics.median(values), 3), "rounds": [round(value, 3) for value in values]}
        for name, values in ratios.items()
    }


def _decode_all(model: Path, pictures: Path) -> tuple[InputSpec, Any]:
    with open_model(ModelSource.read(model), EngineChoice()).runtime as runtime:
        from toolkit.runtimes.contract import require_contract

        spec = require_contract(runtime.info, name=str(model)).input
    from toolkit.prediction.pipeline.prepare_items import prepare_items

    items = list(open_items([pictures]))
    return spec, prepare_items(items, Preparation(spec=spec)).images


def _decode_seconds(spec: InputSpec, pictures: Path) -> float:
    cores = usable_cores()
    with DecoderPool(Preparation(spec=spec), size=cores) as pool, ThreadPoolExecutor(cores) as threads:
        list(threads.map(pool.prepare, [[] for _ in range(cores)]))  # started, before the clock is
        start = time.perf_counter()
        for _ in threads.map(pool.prepare, group_items(open_items([pictures]), rows_per_job(BATCH, spec))):
            pass
        return time.perf_counter() - start


def _engine_seconds(model: Path, images: Any, *, runtime: str = "ort") -> float:
    with open_model(ModelSource.read(model), EngineChoice(runtime=runtime, threads=usable_cores())).runtime as engine:
        whole = len(images) // BATCH * BATCH
        engine.run({"images": images[:BATCH]})
        start = time.perf_counter()
        for place in range(0, whole, BATCH):
            engine.run({"images": images[place : place + BATCH]})
        return (time.perf_counter() - start) * len(images) / whole


def _loop_seconds(model: Path, pictures: Path, output: Path) -> float:
    """What one writes first: no check, no thread, nothing at the same time."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.read_bytes(), providers=["CPUExecutionProvider"])
    paths = sorted(pictures.rglob("*.png"))
    start = time.perf_counter()
    with output.open("w", newline="") as stream:
        writer = csv.writer(stream)
        for place in range(0, len(paths), BATCH):
            part = paths[place : place + BATCH]
            images = np.stack([np.asarray(Image.open(path).convert("L")) for path in part])
            probabilities, labels = session.run(["probabilities", "label"], {"images": images})
            rows = zip(part, labels, probabilities, strict=True)
            writer.writerows([str(path), int(label), float(row[label])] for path, label, row in rows)
    return time.perf_counter() - start


def _toolkit_seconds(model: Path, source: Path, output: Path, *, runtime: str = "ort") -> float:
    config = PredictionConfig(
        model=model, inputs=(source,), output=output, force=True, batch=BATCH, engine=EngineChoice(runtime=runtime)
    )
    return run_prediction(config).seconds


def _medians(rates: dict[str, list[float]]) -> dict[str, int]:
    return {name: round(statistics.median(values)) for name, values in rates.items()}


def _rounded(rates: dict[str, list[float]]) -> dict[str, list[int]]:
    return {name: [round(value) for value in values] for name, values in rates.items()}


if __name__ == "__main__":
    main()
