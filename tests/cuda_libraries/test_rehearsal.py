"""Training and judging on `cuda:0`, rehearsed on fake tensors: no mixed devices, one read a step, no copy back."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

REHEARSE = Path(__file__).with_name("rehearse.py")
# Four epochs of 300 images in batches of 128.
STEPS, EPOCHS = 12, 4


@pytest.fixture(scope="module")
def rehearsed(cuda_python: Path) -> dict[str, Any]:
    done = subprocess.run([cuda_python, REHEARSE], capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_every_recipe_and_augmentation_trains_and_judges_on_one_device(rehearsed: dict[str, Any]) -> None:
    trainings = rehearsed["trainings"]
    assert len(trainings) == 14
    assert {name: found["problem"] for name, found in trainings.items() if found["problem"]} == {}


def test_the_host_waits_for_the_device_once_a_step_and_twice_where_it_judges(rehearsed: dict[str, Any]) -> None:
    expected = {"step.step_once": STEPS, "session._validate": 1, "epoch.count_right": 1}
    for name, found in rehearsed["trainings"].items():
        assert found["reads"] == expected, name
        assert found["copies_out"] == {}, name


def test_what_is_copied_to_the_device_is_an_order_an_epoch_and_the_warps_a_step(rehearsed: dict[str, Any]) -> None:
    for name, found in rehearsed["trainings"].items():
        copies = {place: count for place, count in found["copies_in"].items() if place != "elsewhere"}
        copies.pop("augment._pixel_places", None)  # once a process
        assert copies.pop("epoch.train_epoch") == EPOCHS, name
        assert copies in ({}, {"augment.<genexpr>": 2 * STEPS}), name


def test_the_network_is_traced_where_it_lies(rehearsed: dict[str, Any]) -> None:
    assert rehearsed["trace"]["problem"] == ""


def test_a_backward_pass_cannot_be_rehearsed(rehearsed: dict[str, Any]) -> None:
    # If this fails, torch has learnt it: let the rehearsal run it, and mend the list in the decision note.
    assert "hasPrimaryContext" in rehearsed["backward"]["problem"]
