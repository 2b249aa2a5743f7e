"""The smallest relative change of one weight that is seen, by bisection over powers of two.

For speed the product's own judges are called in this process (`judge_outputs` on every suite of `record_reference`,
`run_selftest`); the commands call the same functions. Parity's engine here is optimised ONNX Runtime at batch 64.
"""

from __future__ import annotations

__all__ = ["draw_curve"]

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from mutations.graph import Graph

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
BATCH = 64

Sees = Callable[[bytes], bool]


def draw_curve(model: Path, run: Path, *, weights: int) -> list[dict[str, Any]]:
    """Return one row a weight: `layer`, `place`, and the smallest change that either judge sees, or None."""
    original = model.read_bytes()
    judges = {"parity": _parity(model, run), "selftest": _selftest(model)}
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


def _parity(model: Path, run: Path) -> Sees:
    from toolkit.data import load_dataset
    from toolkit.parity.config import ParityConfig
    from toolkit.parity.image_trials import make_trial
    from toolkit.parity.recording import record_reference
    from toolkit.parity.trial import run_trials
    from toolkit.runtimes.base import RuntimeSettings
    from toolkit.runtimes.registry import open_runtime
    from toolkit.runtimes.source import ModelSource

    source = ModelSource.read(model, run=run)
    reference = record_reference(
        source, load_dataset("mnist"), ParityConfig(), card=_read_card(model), environment={}
    ).reference

    def sees(changed: bytes) -> bool:
        with open_runtime(_source(changed), RuntimeSettings()) as engine:
            outcomes = run_trials(engine, (make_trial(entry, BATCH) for entry in reference.suites))
        return not all(outcome.judgement for outcome in outcomes)

    return sees


def _selftest(model: Path) -> Sees:
    from toolkit.evaluation.selftest import run_selftest
    from toolkit.runtimes.base import RuntimeSettings
    from toolkit.runtimes.registry import open_runtime

    card = _read_card(model)

    def sees(changed: bytes) -> bool:
        with open_runtime(_source(changed), RuntimeSettings()) as engine:
            return not run_selftest(engine, card).passed

    return sees


def _source(model: bytes) -> Any:
    from toolkit.durable import sha256_bytes
    from toolkit.runtimes.source import ModelSource

    return ModelSource(model=model, sha256=sha256_bytes(model), path=Path("changed.onnx"))


def _read_card(model: Path) -> Any:
    from toolkit.card import CARD_KEY, Card

    entries = onnx.ModelProto.FromString(model.read_bytes()).metadata_props
    return Card.loads(next(entry.value for entry in entries if entry.key == CARD_KEY))
