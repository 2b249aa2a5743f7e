"""Training on a real CUDA device: repeated and resumed to the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_training import Listener

from toolkit.artifacts import ArtifactStore
from toolkit.data.load import load_mini
from toolkit.training.config import ResumeConfig, TrainConfig
from toolkit.training.recipe_catalog import resolve_recipe
from toolkit.training.resume import resume_run
from toolkit.training.train import TrainReport, train

SMALL = ["epochs=2", "rotation_degrees=10", "average_decay=0.99"]


class Stopping(Listener):
    """Stops after the first epoch."""

    def on_epoch(self, rows: list[Any], **_: Any) -> None:
        raise KeyboardInterrupt


def run(folder: Path, *, listener: Listener | None = None) -> TrainReport:
    settings = TrainConfig(recipe=resolve_recipe("fast", settings=SMALL), device="cuda")
    return train(load_mini(), settings, store=ArtifactStore(root=folder), listener=listener or Listener())


def test_training_on_cuda_repeats_itself(tmp_path: Path) -> None:
    assert run(tmp_path / "a").checkpoint_sha256 == run(tmp_path / "b").checkpoint_sha256


def test_training_resumed_on_cuda_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", listener=Stopping())
    store = ArtifactStore(root=tmp_path / "cut")
    resumed = resume_run(
        store.latest_started_run(), load_mini(), config=ResumeConfig(), store=store, listener=Listener()
    )
    assert resumed.checkpoint_sha256 == whole.checkpoint_sha256
