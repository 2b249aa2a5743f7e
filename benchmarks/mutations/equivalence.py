"""Proof that a fault is one: unoptimised ONNX Runtime answers differently, or cannot answer at all.

Shapes: N images, H rows, W columns.
"""

from __future__ import annotations

__all__ = ["DIFFERS", "EquivalentError", "prove_difference"]

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

# ONNX Runtime's own optimisation moves logits by 2e-6: less than five times that is no fault.
DIFFERS = 1e-5
BATCHES = (1, 2, 64)

Outputs = dict[str, NDArray[Any]]


class EquivalentError(Exception):
    """The list is wrong: this fault changes nothing, or makes a file that does not load."""


def prove_difference(original: bytes, mutant: bytes, images_NHW: NDArray[np.uint8], *, name: str) -> str:
    """Return how a mutant differs from the original.

    Args:
        original: the model.
        mutant: the model with a fault.
        images_NHW: images to try, of which there are at least 64.
        name: the fault's name, for messages.

    Raises:
        EquivalentError: nothing differs, or the mutant does not load.
    """
    right, wrong = _open(original, name="the original"), _open(mutant, name=name)
    before, after = _interface(right), _interface(wrong)
    if before != after:
        seen, wanted = (", ".join(map(str, sorted(side))) for side in (after - before, before - after))
        return f"interface: {seen or 'nothing'} for {wanted}"
    for batch in BATCHES:
        images = images_NHW[:batch]
        expected = _run(right, images)
        try:
            seen_outputs = _run(wrong, images)
        except (Fail, InvalidArgument, RuntimeException) as error:
            return f"fails at batch {batch}: {str(error).splitlines()[0][:120]}"
        if any(seen_outputs[name].shape != expected[name].shape for name in expected):
            return f"another output shape at batch {batch}"
    return _compare(_run(right, images_NHW), _run(wrong, images_NHW), name=name)


def _open(model: bytes, *, name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EquivalentError(f"{name} does not load: {error}") from error


def _interface(session: onnxruntime.InferenceSession) -> set[tuple[str, ...]]:
    values = (*session.get_inputs(), *session.get_outputs())
    return {(value.name, value.type, str(value.shape)) for value in values}


def _run(session: onnxruntime.InferenceSession, images: NDArray[np.uint8]) -> Outputs:
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def _compare(expected: Outputs, seen: Outputs, *, name: str) -> str:
    off = max(float(np.abs(seen[name] - expected[name]).max()) for name in ("logits", "probabilities"))
    labels = int((seen["label"] != expected["label"]).sum())
    if off <= DIFFERS and not labels:
        raise EquivalentError(f"{name} is no fault: outputs differ by {off:.2g} and no label does")
    return f"outputs differ by {off:.2g}, {labels} labels"
