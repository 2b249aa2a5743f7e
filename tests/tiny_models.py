"""Tiny models that keep the toolkit's contract, and their cards: built with onnx.helper, exact in float32."""

from __future__ import annotations

__all__ = ["SPLIT_WEIGHTS", "add_card", "build_card", "build_model", "save_model", "save_split"]

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from toolkit.card import CARD_KEY, Card, InputSpec

OPSET = 18
IR_VERSION = 10
# One class for each band of rows: the brightest band wins, so an image's label can be told without a network.
SCALE = 1 / 1024
SPLIT_WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)


def build_card(
    *,
    height: int = 8,
    width: int = 8,
    channels: int = 1,
    classes: tuple[str, ...] = ("top", "middle", "bottom"),
    polarity: str = "light-on-dark",
    fit: str = "mnist",
    **changes: Any,
) -> Card:
    """Return a complete card for `build_model` of the same sizes; `changes` replace any of its fields."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "classes": classes,
        "input": InputSpec(height=height, width=width, channels=channels, polarity=polarity, fit=fit),
        "standardisation": {"mean": 0.0, "std": 1.0, "computed_on": "nothing"},
        "precision": "fp32",
        "network": {"preset": "bands", "parameters": height * width * channels * len(classes)},
        "recipe": {"name": "none"},
        "data": {"name": "none", "sha256": "0" * 64, "train_count": 0, "test_count": 0, "licence": "CC0-1.0"},
        "checkpoint_sha256": "0" * 64,
        "bound": {"logits": 1e-4, "formula": "test"},
        "minimum": {"opset": OPSET, "ir": IR_VERSION, "onnxruntime": "1.28"},
        "versions": {"onnx": onnx.__version__},
        "author": "tests",
        "licence": "Apache-2.0",
    }
    return Card(**{**fields, **changes})


def build_model(
    *,
    height: int = 8,
    width: int = 8,
    channels: int = 1,
    classes: int = 3,
    input_name: str = "images",
    input_type: int = TensorProto.UINT8,
    batch: int | str = "batch",
    card: Card | None = None,
) -> onnx.ModelProto:
    """Return Cast -> Flatten -> Gemm -> logits, Softmax -> probabilities, ArgMax -> label.

    Class k's logit is the sum of the k-th band of rows, divided by 1024: exact in float32 for images up to 256 x 256.

    Args:
        height: rows of one image.
        width: columns of one image.
        channels: 1 or 3.
        classes: bands of rows.
        input_name: the contract says `images`.
        input_type: the contract says uint8.
        batch: the contract says a name, which is a symbolic size.
        card: put into the metadata; none by default.
    """
    shape = [height, width] if channels == 1 else [height, width, channels]
    inputs = [helper.make_tensor_value_info(input_name, input_type, [batch, *shape])]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, classes]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [batch, classes]),
        helper.make_tensor_value_info("label", TensorProto.INT64, [batch]),
    ]
    nodes = [
        helper.make_node("Cast", [input_name], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    ]
    weights = numpy_helper.from_array(_band_weights(shape, classes), "weights")
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return add_card(model, card) if card is not None else model


def add_card(model: onnx.ModelProto, card: Card) -> onnx.ModelProto:
    """Put a card into a model's metadata and return the model."""
    helper.set_model_props(model, {CARD_KEY: card.dumps()})
    return model


def save_model(path: Path, **changes: Any) -> Path:
    """Write `build_model` with the card of `build_card`, both changed alike, and return the path."""
    sizes = {key: value for key, value in changes.items() if key in {"height", "width", "channels"}}
    card = build_card(**changes)
    path.write_bytes(build_model(**sizes, classes=len(card.classes), card=card).SerializeToString())
    return path


def _band_weights(shape: list[int], classes: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    band = np.arange(shape[0]) * classes // shape[0]
    weights = np.zeros((*shape, classes), np.float32)
    for number in range(classes):
        weights[band == number, ..., number] = SCALE
    return weights.reshape(-1, classes)


def save_split(folder: Path, location: str = "weights.bin", **place: str) -> Path:
    """Write a model whose weights lie in a file, from byte 8 on."""
    folder.mkdir(parents=True, exist_ok=True)
    tensor = numpy_helper.from_array(SPLIT_WEIGHTS, "w")
    (folder / "weights.bin").write_bytes(b"8 before" + tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "8", "length": "48", **place}.items():
        tensor.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "split",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [tensor],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = folder / "split.onnx"
    path.write_bytes(model.SerializeToString())
    return path
