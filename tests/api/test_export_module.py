"""`toolkit.export` of one's own module: refused with the step, exported, judged, and as a classifier with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import toolkit
from toolkit.errors import UsageError

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16), np.uint8)


class Pixels(nn.Module):
    """Two classes of grey images of 16x16."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(256, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(images.flatten(1))
        return logits


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, r"exported with an example of what it takes: export\(module, example=tensor\)"),
        ({"example": torch.zeros(1, 256), "golden": "none"}, "golden: for a run that toolkit.train made only"),
        ({"example": torch.zeros(1, 256), "kit": "web"}, "name the module's classes="),
        ({"example": torch.zeros(1, 256), "precision": "int8"}, "leave out the precision"),
    ],
)
def test_words_that_are_not_a_module_s_are_refused(words: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        toolkit.export(Pixels(), **words)  # type: ignore[call-overload]  # that they are refused


def test_words_of_a_module_are_not_a_run_s() -> None:
    with pytest.raises(UsageError, match=r"example, classes: for a torch\.nn\.Module only, and this is a str"):
        toolkit.export("some-run", example=3, classes=["a"])  # type: ignore[call-overload]  # that it is refused
    with pytest.raises(UsageError, match="3 is of type int; expected a run's name or folder"):
        toolkit.export(3)  # type: ignore[call-overload]  # that it is refused


@pytest.mark.slow
def test_a_module_that_names_its_classes_answers_pictures(tmp_path: Path) -> None:
    report = toolkit.export(
        Pixels(), example=IMAGES, classes=["dark ink", "light ink"], mean=0.5, std=[0.25], output=tmp_path / "own.onnx"
    )
    assert report.command.startswith("toolkit.export(<Pixels>, example=<uint8 [4, 16, 16]>, classes=['dark ink', 'li")
    answers = toolkit.predict(report, IMAGES)
    assert answers.classes == ("dark ink", "light ink")
    assert len(answers) == 4
