"""What a history says of a training that went wrong."""

from __future__ import annotations

import math

import pytest

from toolkit.runs.history import EpochRow, describe_divergence


def row(loss: float | None) -> EpochRow:
    return EpochRow(
        epoch=1,
        train_loss=1.0,
        train_accuracy=0.5,
        validation_loss=loss,
        validation_accuracy=None,
        learning_rate=0.001,
        seconds=1.0,
    )


@pytest.mark.parametrize("loss", [None, 0.5, math.log(10), 4.9 * math.log(10)])
def test_a_loss_near_that_of_guessing_is_no_divergence(loss: float | None) -> None:
    assert describe_divergence([row(2_492.9), row(loss)], num_classes=10) == []


def test_a_loss_far_above_that_of_guessing_is_said_with_both_numbers() -> None:
    (words,) = describe_divergence([row(0.5), row(2_492.9)], num_classes=3)
    assert "2,492.9 is far above 1.1, that of guessing" in words
    assert "learning_rate" in words


def test_no_history_says_nothing() -> None:
    assert describe_divergence([], num_classes=3) == []
