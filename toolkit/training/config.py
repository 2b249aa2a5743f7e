"""What is asked of a training, and of going on with one; needs no torch."""

from __future__ import annotations

__all__ = ["ResumeConfig", "TrainConfig"]

from dataclasses import dataclass

from toolkit.errors import UsageError
from toolkit.training.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What to train and where.

    Attributes:
        recipe: how; the network's sizes are taken from the data.
        seed: of the weights, the shuffling, the augmentation and the dropout.
        all_data: train on every training image instead of holding the last 10,000 out for validation.
        device: `auto`, `cpu`, `cuda` or `mps`.
        threads: CPU threads; 0 leaves torch its own choice.
        keep_every: keep every n-th epoch's checkpoint; 0 keeps the last and the best only.
        data_source: where the data lay, to find it again; empty for a catalogue name.
        name: of the run; empty for one of data, recipe, seed and time.
    """

    recipe: Recipe
    seed: int = 0
    all_data: bool = False
    device: str = "auto"
    threads: int = 0
    keep_every: int = 0
    data_source: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"the seed is {self.seed}; expected 0 to 2^63 - 1")
        for name in ("threads", "keep_every"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} is {getattr(self, name)}; expected 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeConfig:
    """What is asked of a continuation; None means as recorded.

    Attributes:
        epochs: `+5` for five more, `12` for twelve in all.
        recipe: a whole recipe, to be compared with the recorded one.
        seed: to be compared with the recorded one.
        device: to be compared with the recorded one.
        threads: to be compared with the recorded one.
        keep_every: may be changed freely.
        allow_drift: go on although something differs.
        data_source: where the data lay, if elsewhere than recorded.
    """

    epochs: str | None = None
    recipe: Recipe | None = None
    seed: int | None = None
    device: str | None = None
    threads: int | None = None
    keep_every: int | None = None
    allow_drift: bool = False
    data_source: str = ""
