"""The smallest relative change of one weight that is seen, by bisection over powers of two.

The judges are those of `in_process.py`; parity's engine here is optimised ONNX Runtime.
"""

from __future__ import annotations

__all__ = ["draw_curve"]

from pathlib import Path
from typing import Any

import numpy as np
import onnx

from mutations.graph import Graph
from mutations.in_process import Sees, open_parity, open_selftest

SEED = 20_261_125
LAYERS = {
    "mean image": "network.mean",
    "deviation": "network.std",
    "convolution 1": "stages.0.convs.0.weight",
    "convolution 1, bias": "stages.0.convs.0.bias",
    "convolution 2": "stages.1.convs.0.weight",
    "convolution 2, bias": "stages.1.convs.0.bias",
    "hidden layer": "dense1.weight",
    "hidden layer, bias": "dense1.bias",
    "last layer": "dense2.weight",
    "last layer, bias": "dense2.bias",
}
# Changes from 2^-23, one unit in the last place, to 2^4: sixteen times the weight.
SMALLEST, LARGEST = -23, 4


def draw_curve(model: Path, run: Path, *, weights: int) -> list[dict[str, Any]]:
    """Return one row a weight: `layer`, `place`, and the smallest change that either judge sees, or None."""
    original = model.read_bytes()
    judges = {"parity": open_parity(model, run, optimisations=("all",)), "selftest": open_selftest(model)}
    rows = []
    for layer, ending in LAYERS.items():
        for place in _choose(original, ending, weights):
            row: dict[str, Any] = {"layer": layer, "place": place}
            for name, sees in judges.items():
                row[name] = _bisect(sees, original, ending, place)
            rows.append(row)
            print(f"{row['layer']} {place}: parity {row['parity']}, selftest {row['selftest']}", flush=True)
    return rows


def _choose(original: bytes, ending: str, count: int) -> list[int]:
    """Return seeded places of weights that are not 0."""
    graph = _graph(original)
    places = np.flatnonzero(graph.array(ending))
    chosen = np.random.default_rng(SEED).choice(places, min(count, len(places)), replace=False)
    return [int(place) for place in chosen]


def _bisect(sees: Sees, original: bytes, ending: str, place: int) -> float | None:
    low, high = SMALLEST - 1, LARGEST
    if not sees(_change(original, ending, place, 2.0**high)):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if sees(_change(original, ending, place, 2.0**middle)):
            high = middle
        else:
            low = middle
    return 2.0**high


def _change(original: bytes, ending: str, place: int, relative: float) -> bytes:
    graph = _graph(original)

    def scale(array: np.ndarray) -> np.ndarray:
        array.reshape(-1)[place] *= 1 + relative
        return array

    graph.edit(ending, scale)
    changed: bytes = graph.model.SerializeToString()
    return changed


def _graph(original: bytes) -> Graph:
    model = onnx.ModelProto.FromString(original)
    return Graph(model, donor=model)
