"""Files that may, or must not, take the place of a model in service."""

from __future__ import annotations

__all__ = ["WORSE", "make_stranger", "make_successor", "nudge"]

import json
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from toolkit.card import CARD_KEY, Card


def make_successor(model: bytes) -> bytes:
    """Return another model of the same card, but for its golden answers: the first class has a larger logit."""
    proto = onnx.ModelProto.FromString(nudge(model, shift=1.0))
    golden = Card.loads(_card_of(proto).value).golden
    assert golden is not None
    images = np.frombuffer(golden.images, np.uint8).reshape(golden.shape)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"images": images})[0].tolist()
    return _with_card(proto, lambda card: card["golden"].update(logits=logits))


def nudge(model: bytes, shift: float = 1e-6) -> bytes:
    """Return a file of the same size whose first class has a logit that is larger by `shift`."""
    proto = onnx.ModelProto.FromString(model)
    bias = next(item for item in proto.graph.initializer if item.name.endswith("dense2.bias"))
    values = numpy_helper.to_array(bias).copy()
    values[0] += shift
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    return proto.SerializeToString()


def make_stranger(operator: str, name: str = "x") -> bytes:
    """Return a file without a card, of one operator with an input of this name."""
    x, y = (helper.make_tensor_value_info(each, TensorProto.FLOAT, ["batch", 3]) for each in (name, "y"))
    graph = helper.make_graph([helper.make_node(operator, [name], ["y"])], "other", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model.SerializeToString()


def _card_of(proto: onnx.ModelProto) -> onnx.StringStringEntryProto:
    return next(item for item in proto.metadata_props if item.key == CARD_KEY)


def _with_card(proto: onnx.ModelProto, change: Callable[[dict], object]) -> bytes:
    entry = _card_of(proto)
    card = json.loads(entry.value)
    change(card)
    entry.value = json.dumps(card)
    return proto.SerializeToString()


def _edit_card(change: Callable[[dict], object]) -> Callable[[bytes], bytes]:
    return lambda model: _with_card(onnx.ModelProto.FromString(model), change)


def _without_card(model: bytes) -> bytes:
    proto = onnx.ModelProto.FromString(model)
    proto.metadata_props.remove(_card_of(proto))
    return proto.SerializeToString()


def _beside(model: bytes) -> bytes:
    """Return the model with a tensor whose data lie in another file."""
    proto = onnx.ModelProto.FromString(model)
    tensor = proto.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    tensor.ClearField("raw_data")
    return proto.SerializeToString()


# Models that open and are worse than, or other than, the one in service; with words of the refusal.
WORSE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "without a card": (_without_card, "is not like the file in service: card False, not True"),
    "without golden vectors": (_edit_card(lambda card: card.update(golden=None)), "golden vectors False, not True"),
    "classes renamed": (
        _edit_card(lambda card: card.update(classes=[f"other {name}" for name in card["classes"]])),
        "classes ('other 0',",
    ),
    "another polarity": (_edit_card(lambda card: card["input"].update(polarity="any")), "picture InputSpec("),
    "another graph": (lambda _: make_stranger("Relu"), "card False, not True"),
    "data beside it": (_beside, "external"),
}
