"""TensorBoard events: what is written can be read back by TensorBoard itself."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import ResourceError
from toolkit.network.config import NetworkConfig
from toolkit.runs.history import EpochRow
from toolkit.training.tensorboard import Board

SMALL = NetworkConfig(height=16, width=16, conv1_channels=2, conv2_channels=2, hidden_units=4, classes=3)


def row(epoch: int) -> EpochRow:
    return EpochRow(
        epoch=epoch,
        train_loss=1.0 / epoch,
        train_accuracy=0.5,
        validation_loss=None,
        validation_accuracy=0.25 * epoch,
        learning_rate=0.1,
        seconds=2.0,
    )


def test_scalars_graph_and_mistakes_reach_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    board = Board()
    board.open(tmp_path, SMALL)
    board.add_epoch(row(1))
    board.add_epoch(row(2))
    board.add_mistakes(np.full((1, 16, 16), 9, np.uint8), ["7 (was 2)"], epoch=2)
    board.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert tags["graph"]
    assert [item.value for item in events.Scalars("accuracy/validation")] == [0.25, 0.5]
    assert "loss/validation" not in tags["scalars"]
    assert any("7 (was 2)" in name for name in tags["images"])


def test_a_missing_tensorboard_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ResourceError, match=r"onnx-parity-toolkit\[tensorboard\]"):
        Board()
