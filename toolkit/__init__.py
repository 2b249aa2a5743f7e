"""Train a small image classifier, ship it as one self-contained `.onnx`, prove that it gives the same answers."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
