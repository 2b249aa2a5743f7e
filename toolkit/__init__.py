"""Train a small image classifier, ship it as one self-contained `.onnx`, prove that it gives the same answers."""

from __future__ import annotations

__all__ = ["Classifier", "Prediction", "__version__"]

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.prediction.classifier import Classifier, Prediction

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Later: no command pays for what it does not use.
    if name in __all__:
        from toolkit.prediction import classifier

        return getattr(classifier, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
