"""Good graphs with another interface than the contract's, or with a card that lies."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import onnx
from onnx import ModelProto, TensorProto, helper

from toolkit.card import CARD_KEY

__all__ = ["CARDS", "INTERFACES", "edit_card", "put_card"]

Change = Callable[[ModelProto], None]


def put_card(model: ModelProto, text: str | bytes) -> None:
    """Replace the card's text."""
    for entry in [entry for entry in model.metadata_props if entry.key == CARD_KEY]:
        model.metadata_props.remove(entry)
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD_KEY, text


def read(model: ModelProto) -> dict[str, Any]:
    """Return the card."""
    return json.loads(next(entry.value for entry in model.metadata_props if entry.key == CARD_KEY))


def edit_card(**changes: object) -> Change:
    """Return a change of some of the card's values."""
    return lambda model: put_card(model, json.dumps({**read(model), **changes}))


def edit_golden(**changes: object) -> Change:
    """Return a change of some of the golden vectors' values."""
    return lambda model: put_card(model, json.dumps({**read(model), "golden": {**read(model)["golden"], **changes}}))


def cut_golden(model: ModelProto) -> None:
    images = base64.b64decode(read(model)["golden"]["images"])
    edit_golden(images=base64.b64encode(images[: len(images) // 2]).decode())(model)


def rename_input(model: ModelProto) -> None:
    model.graph.input[0].name = "pixels"
    for node in model.graph.node:
        node.input[:] = ["pixels" if name == "images" else name for name in node.input]


def fix_batch(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2


def set_type(kind: int) -> Change:
    return lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", kind)


def add_input(kind: onnx.TypeProto) -> Change:
    return lambda model: model.graph.input.append(helper.make_value_info("more", kind))


def add_rank(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim.add().dim_value = 4


def drop_outputs(model: ModelProto) -> None:
    del model.graph.output[:]


def repeat_output(model: ModelProto) -> None:
    model.graph.output.append(model.graph.output[0])


def drop_inputs(model: ModelProto) -> None:
    del model.graph.input[:]


def drop_card(model: ModelProto) -> None:
    del model.metadata_props[:]


def two_cards(model: ModelProto) -> None:
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD_KEY, "{}"


def repeat_keys(model: ModelProto) -> None:
    put_card(model, json.dumps(read(model))[:-1] + ', "classes": ["a", "b"]}')


def break_text(model: ModelProto) -> None:
    # protobuf would refuse to write it: the bytes are changed in the file.
    put_card(model, "@" * 40)


FLOATS = helper.make_tensor_type_proto(TensorProto.FLOAT, [1])
INTERFACES: dict[str, Change] = {
    "another input name": rename_input,
    "another input type": set_type(TensorProto.FLOAT),
    "strings for images": set_type(TensorProto.STRING),
    "a type that no one knows": set_type(4711),
    "another rank": add_rank,
    "a fixed batch": fix_batch,
    "a further input": add_input(FLOATS),
    "a sequence for a further input": add_input(helper.make_sequence_type_proto(FLOATS)),
    "an optional for a further input": add_input(helper.make_optional_type_proto(FLOATS)),
    "no inputs": drop_inputs,
    "no outputs": drop_outputs,
    "an output declared twice": repeat_output,
    "no label": lambda model: model.graph.output.pop(),
    "no card": drop_card,
}
CARDS: dict[str, Change] = {
    "no JSON": lambda model: put_card(model, "classes: 10"),
    "nothing": lambda model: put_card(model, ""),
    "a list": lambda model: put_card(model, "[1, 2]"),
    "100,000 brackets": lambda model: put_card(model, "[" * 100_000),
    "a number of 10,000 digits": lambda model: put_card(model, '{"schema": ' + "9" * 10_000 + "}"),
    "another schema": edit_card(schema="other/1"),
    "an unknown key": edit_card(surprise=1),
    "other classes": edit_card(classes=["a", "b"]),
    "no classes": edit_card(classes=[]),
    "classes that are a number": edit_card(classes=10),
    "a million classes": edit_card(classes=["x"] * 1_000_000),
    "another size": edit_card(input={"height": 14, "width": 14, "channels": 1}),
    "three channels": edit_card(input={"height": 28, "width": 28, "channels": 3}),
    "a size that is text": edit_card(input={"height": "28", "width": "28", "channels": 1}),
    "a size of 10^9": edit_card(input={"height": 10**9, "width": 10**9, "channels": 1}),
    "a network that is a list": edit_card(network=[1]),
    "data that are text": edit_card(data="mnist"),
    "an accuracy without a count": edit_card(test_accuracy={"value": 1.0}),
    "an accuracy that is text": edit_card(test_accuracy="all right"),
    "a checkpoint that is no text": edit_card(checkpoint_sha256=5),
    "a precision of its own": edit_card(precision="fp3"),
    "a name that is a number": edit_card(name=7),
    "a tolerance that is NaN": edit_golden(tolerance=float("nan")),
    "a tolerance below 0": edit_golden(tolerance=-1.0),
    "a tolerance that is infinite": edit_golden(tolerance=float("inf")),
    "answers that are NaN": edit_golden(logits=[[float("nan")] * 10] * 16),
    "golden images cut": cut_golden,
    "golden images that are no base64": edit_golden(images="*" * 1000),
    "golden images of 50 MB": edit_golden(images=base64.b64encode(bytes(50_000_000)).decode()),
    "a golden shape below 0": edit_golden(shape=[-16, -28, 28]),
    "a golden shape of nothing": edit_golden(shape=[0, 28, 28], images="", logits=[]),
    "golden answers of another width": edit_golden(logits=[[0.0] * 3] * 16),
    "golden that is text": edit_card(golden="yes"),
    "a bound below 0": edit_card(bound={"logits": -1.0, "formula": "x"}),
    "keys that stand twice": repeat_keys,
    "two cards": two_cards,
    "bytes that are no text": break_text,
}
