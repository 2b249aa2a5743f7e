"""An .onnx file as the double's model."""

from __future__ import annotations

__all__ = ["load_onnx"]

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray
from oip.double import Model
from oip.wire import Tensor

from toolkit.card import CARD_KEY, Card

OF_ONNX = {"tensor(float)": "FP32", "tensor(int64)": "INT64", "tensor(uint8)": "UINT8"}
Run = Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]


def load_onnx(path: Path, name: str | None = None) -> Model:
    """Open a file with ONNX Runtime, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    names = [item.name for item in session.get_outputs()]

    def run(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))

    return Model(
        name=name or path.stem,
        inputs=tuple(map(_tensor, session.get_inputs())),
        outputs=tuple(map(_tensor, session.get_outputs())),
        run=run,
        classes=tuple(Card.loads(text).classes) if text else (),
    )


def _tensor(item: Any) -> Tensor:
    shape = tuple(size if isinstance(size, int) else -1 for size in item.shape)
    return Tensor(name=item.name, datatype=OF_ONNX[item.type], shape=shape)
