"""Faults in what the graph declares and answers. Logits: `[N, K]`."""

from __future__ import annotations

__all__ = ["OUTPUT_FAULTS"]

import numpy as np
from onnx import TensorProto

from mutations.graph import Fault, Graph

BACKWARDS = np.iinfo(np.int64).min + 1


def softmax_over_the_batch(graph: Graph) -> None:
    """Probabilities sum to 1 over the batch."""
    graph.set_attribute(graph.node("Softmax"), "axis", 0)


def softmax_missing(graph: Graph) -> None:
    """`probabilities` are the logits."""
    node = graph.node("Softmax")
    del node.attribute[:]
    node.op_type = "Identity"


def log_softmax(graph: Graph) -> None:
    """`probabilities` are logarithms."""
    graph.node("Softmax").op_type = "LogSoftmax"


def softmax_twice(graph: Graph) -> None:
    """`probabilities` are the softmax of probabilities."""
    graph.insert_before(graph.node("Softmax"), "Softmax", axis=1)


def softmax_with_temperature(graph: Graph) -> None:
    """`probabilities` are made from logits divided by 1.1; `logits` and `label` are right."""
    graph.insert_before(graph.node("Softmax"), "Div", graph.constant(np.array(1.1, np.float32)))


def logits_with_temperature(graph: Graph) -> None:
    """Every logit is divided by 1.1; labels stay."""
    graph.change_output("logits", "Div", graph.constant(np.array(1.1, np.float32)))


def logits_off_by_a_constant(graph: Graph) -> None:
    """0.01 is added to every logit; labels and probabilities stay."""
    graph.change_output("logits", "Add", graph.constant(np.array(0.01, np.float32)))


def logits_rounded_to_float16(graph: Graph) -> None:
    """The logits pass through float16."""
    graph.change_output("logits", "Cast", to=TensorProto.FLOAT)
    graph.insert_before(graph.node("Cast", 1), "Cast", to=TensorProto.FLOAT16)


def logits_and_probabilities_swapped(graph: Graph) -> None:
    """The two outputs carry each other's name."""
    for old, new in (("logits", "aside"), ("probabilities", "logits"), ("aside", "probabilities")):
        graph.rename_value(old, new)


def label_of_the_smallest(graph: Graph) -> None:
    """`label` is the argmin."""
    graph.node("ArgMax").op_type = "ArgMin"


def label_over_the_batch(graph: Graph) -> None:
    """`label` is the argmax over the batch."""
    graph.set_attribute(graph.node("ArgMax"), "axis", 0)


def label_off_by_one(graph: Graph) -> None:
    """Labels count from 1."""
    graph.change_output("label", "Add", graph.constant(np.array(1, np.int64)))


def label_of_type_int32(graph: Graph) -> None:
    """`label` is int32."""
    graph.change_output("label", "Cast", to=TensorProto.INT32)
    graph.output("label").type.tensor_type.elem_type = TensorProto.INT32


def label_keeps_its_axis(graph: Graph) -> None:
    """`label` has shape [batch, 1]."""
    graph.set_attribute(graph.node("ArgMax"), "keepdims", 1)
    graph.output("label").type.tensor_type.shape.dim.add().dim_value = 1


def label_missing(graph: Graph) -> None:
    """There is no output `label`."""
    graph.model.graph.output.remove(graph.output("label"))


def logits_missing(graph: Graph) -> None:
    """There is no output `logits`."""
    graph.model.graph.output.remove(graph.output("logits"))


def output_renamed(graph: Graph) -> None:
    """`logits` are called `scores`."""
    graph.rename_value("logits", "scores")


def input_renamed(graph: Graph) -> None:
    """`images` are called `pixels`."""
    graph.rename_value("images", "pixels")


def input_of_type_float(graph: Graph) -> None:
    """`images` are float32."""
    graph.model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def batch_fixed_to_1(graph: Graph) -> None:
    """The batch axis is declared as 1."""
    _fix_batch(graph, 1)


def batch_fixed_to_2(graph: Graph) -> None:
    """The batch axis is declared as 2."""
    _fix_batch(graph, 2)


def answers_of_the_first_image(graph: Graph) -> None:
    """Every image of a batch gets the first one's answer."""
    last = graph.node("Gemm", 1)
    bounds = [graph.constant(np.array([value], np.int64)) for value in (0, 1, 0)]
    first = graph.add("Slice", last.input[0], *bounds, before=last)
    graph.insert_before(last, "Mul", graph.constant(np.zeros(1, np.float32)))  # keeps the batch's shape
    graph.insert_before(last, "Add", first)


def answers_folded_to_constants(graph: Graph) -> None:
    """The answers to a black image stand as constants."""
    graph.insert_after(graph.node("Cast").output[0], "Mul", graph.constant(np.zeros(1, np.float32)))


def answers_in_reverse_order(graph: Graph) -> None:
    """The first image's answer comes last."""
    backwards = [graph.constant(np.array([value], np.int64)) for value in (-1, BACKWARDS, 0, -1)]
    graph.change_output("logits", "Slice", *backwards)


def _fix_batch(graph: Graph, size: int) -> None:
    for item in (*graph.model.graph.input, *graph.model.graph.output):
        item.type.tensor_type.shape.dim[0].dim_value = size


OUTPUT_FAULTS: tuple[Fault, ...] = (
    softmax_over_the_batch,
    softmax_missing,
    log_softmax,
    softmax_twice,
    softmax_with_temperature,
    logits_with_temperature,
    logits_off_by_a_constant,
    logits_rounded_to_float16,
    logits_and_probabilities_swapped,
    label_of_the_smallest,
    label_over_the_batch,
    label_off_by_one,
    label_of_type_int32,
    label_keeps_its_axis,
    label_missing,
    logits_missing,
    output_renamed,
    input_renamed,
    input_of_type_float,
    batch_fixed_to_1,
    batch_fixed_to_2,
    answers_of_the_first_image,
    answers_folded_to_constants,
    answers_in_reverse_order,
)
