"""What a search over the recipe's fields is asked to do; needs neither torch nor Optuna."""

from __future__ import annotations

__all__ = ["SEARCHES", "TuneConfig"]

from dataclasses import dataclass
from typing import Any

from toolkit.data.dataset import Dataset
from toolkit.errors import UsageError, require_known
from toolkit.training.recipe import Recipe
from toolkit.training.recipe_catalog import describe_recipe
from toolkit.tuning.search_space import Dimension, check_space, count_grid

SEARCHES = ("tpe", "grid")
DEFAULT_TRIALS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneConfig:
    """What to search and how.

    Attributes:
        recipe: what the trials start from; its epochs are those of every trial.
        space: the fields that vary.
        search: `tpe`, or `grid`: every combination in a random order.
        trials: of the study in all, those of earlier calls included; 0 for 20 of `tpe`, or every point of a grid.
        folds: of the cross-validation; 1 holds the last images out as a training does.
        max_images: use a stratified part of the training images; 0 uses all.
        seed: of the folds, of the part, of the search, and of every training.
        device: `auto`, `cpu`, `cuda` or `mps`.
        threads: CPU threads; 0 leaves torch its own choice.
    """

    recipe: Recipe
    space: tuple[Dimension, ...]
    search: str = "tpe"
    trials: int = 0
    folds: int = 3
    max_images: int = 0
    seed: int = 0
    device: str = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        require_known(self.search, SEARCHES, what="search")
        for name, least in (("trials", 0), ("folds", 1), ("max_images", 0), ("threads", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is {getattr(self, name)}; expected at least {least}")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"the seed is {self.seed}; expected 0 to 2^63 - 1")
        check_space(self.space, self.recipe)
        if self.search == "grid":
            count_grid(self.space)  # says what is wrong with it

    @property
    def num_trials(self) -> int:
        """Trials of the study in all."""
        if self.search == "grid":
            points = count_grid(self.space)
            return min(self.trials, points) if self.trials else points
        return self.trials or DEFAULT_TRIALS

    def settings(self, data: Dataset) -> dict[str, Any]:
        """Return all that decides the trials and their results, by name; a study keeps to it."""
        return {
            "search": self.search,
            # Older studies went through a grid in an order of their own.
            **({"grid order": "GridSampler"} if self.search == "grid" else {}),
            "folds": self.folds,
            "max_images": self.max_images,
            "seed": self.seed,
            "data": data.sha256,
            "fitted to the images": list(self.recipe.follows_size),
            **{f"space {item.key}": item.describe() for item in self.space},
            **{f"recipe {key}": value for key, value in describe_recipe(self.recipe).items()},
        }
