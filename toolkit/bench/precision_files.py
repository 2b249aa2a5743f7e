"""The file of another precision that was derived from a model, found beside it."""

from __future__ import annotations

__all__ = ["NoPrecisionError", "find_precision_file"]

from typing import TYPE_CHECKING

from toolkit.errors import ModelError, UsageError
from toolkit.runtimes.contract import read_card
from toolkit.runtimes.source import ModelSource
from toolkit.runtimes.vetting import vet_model

if TYPE_CHECKING:
    from pathlib import Path


class NoPrecisionError(UsageError):
    """Neither the engine computes in a precision nor is there a file of it."""


def find_precision_file(source: ModelSource, own: str, precision: str) -> ModelSource:
    """Return `<name>.<precision>.onnx` beside the model, if its card says that it comes from this very file.

    Args:
        source: the model.
        own: its own precision.
        precision: the one asked for.

    Raises:
        NoPrecisionError: there is no such file, or it comes from another one.
    """
    path = source.path.with_name(f"{source.path.stem}.{precision}.onnx")
    exported = precision in {"fp16", "int8"}
    advice = (
        f"make it with: toolkit export --precision {precision}"
        if exported
        else f"this engine does not compute in {precision}"
    )
    if not path.is_file():
        raise NoPrecisionError(f"the file is {own}, not {precision}, and there is no {path.name} beside it; {advice}")
    found = ModelSource.read(path)
    derived, actual = _read_origin(found, path)
    if actual != precision or derived != source.sha256:
        raise NoPrecisionError(f"{path.name} is {actual} and was not derived from this {source.path.name}; {advice}")
    return found


def _read_origin(found: ModelSource, path: Path) -> tuple[str | None, str]:
    try:
        summary = vet_model(found.model, name=path.name, allow_foreign=True)
        card = read_card(summary["metadata"], name=path.name)
    except ModelError:
        return None, "a file without a card"
    return card.derived_from_sha256, card.precision
