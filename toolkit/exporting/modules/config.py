"""How to export a module of one's own."""

from __future__ import annotations

__all__ = ["ModuleExportConfig"]

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import UsageError, require_known
from toolkit.exporting.config import EXPORTED_PRECISIONS, check_target

DEFAULT_BUDGET_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleExportConfig:
    """How to export a module.

    Attributes:
        name: the file's; by default that of the module's class in small letters, with `-2`, `-3` ... where files of
            other content have the names before it.
        output: where to write; `models/<name>.onnx` by default.
        input_names: by default as `forward` calls its parameters.
        output_names: by default the keys or fields of what `forward` returns, else `output`, or `output_0` and so on.
        dynamic: name of each axis that stays open, by input and dimension; None: dimension 0 of every input is `batch`.
            What it leaves out has the example's size.
        precisions: `fp32`, the module as it is, which is always made.
        budget_s: seconds for the module's own answers; sizes whose answers would take longer are left out, and named.
        classes: of a module that classifies images: its classes' names in the order of its logits. The file then meets
            the contract of a model of ours and carries a card: raw pixels in; logits, probabilities and label out.
        mean: of each channel of pixels from 0 to 1, or one for all; taken away from them before the module, which is
            handed float32 `[batch, channels, height, width]`. Empty: it is handed the raw pixels, uint8.
        std: by which they are divided then.
        author: written into the card.
        licence: SPDX identifier of the file, written into the card.
        force: replace a file that exists.
    """

    name: str | None = None
    output: Path | None = None
    input_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    dynamic: Mapping[str, Mapping[int, str]] | None = None
    precisions: tuple[str, ...] = ("fp32",)
    budget_s: float = DEFAULT_BUDGET_S
    classes: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    author: str = "unspecified"
    licence: str = "NOASSERTION"
    force: bool = False

    def __post_init__(self) -> None:
        for precision in self.precisions:
            require_known(precision, EXPORTED_PRECISIONS, what="precision")
            if precision != "fp32":
                raise UsageError(
                    f"{precision} is made of the runs of toolkit train only; a module is exported in the type of its "
                    "own weights: leave out the precision"
                )
        if not self.budget_s > 0:
            raise UsageError(f"the budget is {self.budget_s:g} s; expected a number over 0")
        for names in (self.input_names, self.output_names):
            if len(set(names)) < len(names) or not all(isinstance(name, str) and name for name in names):
                raise UsageError(f"the names {list(names)} are not all different words; give each its own")
        if self.dynamic is not None and not _names_axes(self.dynamic):
            raise UsageError(
                f"dynamic is {self.dynamic!r}; expected names of axes by input and dimension, "
                "{'tokens': {0: 'batch', 1: 'length'}}"
            )
        check_target(self.output, name=self.name)
        self._check_classifier()

    def _check_classifier(self) -> None:
        """Refuse what makes no classifier of images."""
        if not self.classes and (self.mean or self.std):
            raise UsageError("mean and std are of a classifier's pixels; name its classes, or normalise in the module")
        if self.classes and (self.input_names or self.output_names or self.dynamic is not None):
            raise UsageError("a classifier's names and open sizes are those of the contract; leave them out")
        if len(self.mean) != len(self.std) or len(self.mean) not in {0, 1, 3} or not all(part > 0 for part in self.std):
            raise UsageError(
                f"mean {list(self.mean)} and std {list(self.std)} do not normalise pixels; expected one number or "
                "three for each, those of std over 0"
            )


def _names_axes(value: Any) -> bool:
    if not isinstance(value, Mapping) or not all(isinstance(axes, Mapping) for axes in value.values()):
        return False
    pairs = [pair for axes in value.values() for pair in axes.items()]
    return all(isinstance(name, str) for name in value) and all(
        isinstance(place, int) and isinstance(axis, str) and axis for place, axis in pairs
    )
