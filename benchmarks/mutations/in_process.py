"""The product's own judges, called in this process for speed; the commands call the same functions.

Parity: `compare_outputs` on every suite of `record_reference` (test images, noise, special images, golden vectors) at
batch 64, the reference and the bound being those of the original file. Self-test: `run_selftest`.
"""

from __future__ import annotations

__all__ = ["Sees", "open_parity", "open_selftest"]

from collections.abc import Callable
from pathlib import Path

import onnx

from toolkit.card import CARD_KEY, Card
from toolkit.data import load_dataset
from toolkit.durable import sha256_bytes
from toolkit.evaluation.selftest import run_selftest
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.check import record_reference
from toolkit.parity.config import ParityConfig
from toolkit.parity.trial import make_trial, run_trials
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.registry import open_runtime

BATCH = 64

Sees = Callable[[bytes], bool]


def open_parity(model: Path, run: Path, *, optimisations: tuple[str, ...]) -> Sees:
    """Return what says whether parity sees that a file differs from the model, at any of the optimisation levels."""
    source = ModelSource.read(model, run=run)
    card, data = _read_card(model), load_dataset("mnist")
    reference = record_reference(source, data, config=ParityConfig(), card=card).reference

    def differs(changed: bytes, optimisation: str) -> bool:
        with open_runtime(_source(changed), RuntimeSettings(optimisation=optimisation)) as engine:
            outcomes = run_trials(engine, (make_trial(entry, BATCH) for entry in reference.suites))
        return not all(outcome.agreement for outcome in outcomes)

    return lambda changed: any(differs(changed, level) for level in optimisations)


def open_selftest(model: Path) -> Sees:
    """Return what says whether the self-test sees that a file differs from the model."""
    card = _read_card(model)

    def sees(changed: bytes) -> bool:
        with open_runtime(_source(changed), RuntimeSettings()) as engine:
            return not run_selftest(engine, card).passed

    return sees


def _source(model: bytes) -> ModelSource:
    return ModelSource(model=model, sha256=sha256_bytes(model), path=Path("changed.onnx"))


def _read_card(model: Path) -> Card:
    entries = onnx.ModelProto.FromString(model.read_bytes()).metadata_props
    return Card.loads(next(entry.value for entry in entries if entry.key == CARD_KEY))
