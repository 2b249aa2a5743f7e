"""How to export a run."""

from __future__ import annotations

__all__ = ["EXPORTED_PRECISIONS", "ExportConfig", "check_target"]

from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import UsageError, require_known

EXPORTED_PRECISIONS = ("fp32", "fp16", "int8")
GOLDEN_KINDS = ("data", "synthetic", "none")
# Fewer say nothing about the ranges of a network's activations.
LEAST_CALIBRATION = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """How to export.

    Attributes:
        name: the model's name; the run's name by default, with `-epoch12` or `-best` for an earlier checkpoint.
        output: where to write; `models/<name>.onnx` by default.
        precisions: `fp32`, which is always made, and what is derived from it: `fp16`, at `<name>.fp16.onnx`, and
            `int8`, at `<name>.int8.onnx`, which is kept only if its gate holds.
        calibration_count: training images that int8 is calibrated on.
        cross_check: also write with torch's other exporter and require equal answers.
        golden: `data` (of the images that a training holds out), `synthetic` or `none`; by default `data` for
            catalogue data sets only, because a user's own images must not leak.
        author: written into the card.
        licence: SPDX identifier of the model file, written into the card.
        force: replace a file that exists.
    """

    name: str | None = None
    output: Path | None = None
    precisions: tuple[str, ...] = ("fp32",)
    calibration_count: int = 1_000
    cross_check: bool = False
    golden: str | None = None
    author: str = "unspecified"
    licence: str = "NOASSERTION"
    force: bool = False

    def __post_init__(self) -> None:
        for precision in self.precisions:
            require_known(precision, EXPORTED_PRECISIONS, what="precision")
        if self.calibration_count < LEAST_CALIBRATION:
            raise UsageError(
                f"too few images to calibrate on: {self.calibration_count}; the least is {LEAST_CALIBRATION}"
            )
        if self.golden is not None:
            require_known(self.golden, GOLDEN_KINDS, what="golden vectors")
        check_target(self.output, name=self.name)


def check_target(output: Path | None, *, name: str | None) -> None:
    """Refuse an output that is no model by its name, and a name that no file can have.

    Raises:
        UsageError: it is one of them.
    """
    if output is not None and output.suffix != ".onnx":
        raise UsageError(f"the output {output} does not end in .onnx, by which every command knows a model")
    if name is not None and (not name or set(name) & set("/\\\0") or name.startswith(".")):
        raise UsageError(
            f"{name!r} cannot name a file; expected one without / and \\, and no dot in front; --output says where it "
            "goes"
        )
