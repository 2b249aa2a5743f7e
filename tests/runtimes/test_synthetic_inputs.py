"""Inputs of strangers' files: sizes and numbers that the graph asks for, tried once, told in one line."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from toolkit.api.feeds import read_feeds
from toolkit.bench.config import BenchConfig
from toolkit.bench.measuring.inputs import try_feeds
from toolkit.cli.app import app
from toolkit.errors import ModelError, UsageError, WorkerError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.references.made_feeds import make_feed_sets
from toolkit.runtimes.base import RuntimeInfo, RuntimeSettings
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.synthetic_inputs.choosing import choose_feeds, first_plan
from toolkit.runtimes.synthetic_inputs.facts import InputFacts, Need, facts_of_spec
from toolkit.runtimes.synthetic_inputs.plan import FeedPlan
from toolkit.runtimes.synthetic_inputs.reading import read_inputs
from toolkit.runtimes.workers.client import open_worker

FLOAT, INT64, INT32, BOOL, UINT8 = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.BOOL,
    TensorProto.UINT8,
)
DRAWN = ("normal", "uniform", "wide", "sparse", "small")


def value(name: str, kind: int, *shape: int | str | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def weight(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.random.default_rng(3).standard_normal(shape).astype(np.float32), name)


def number(name: str, array: Any, dtype: type = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(array, dtype), name)


def model_of(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[str],
    weights: list[onnx.TensorProto] | None = None,
) -> onnx.ModelProto:
    made = [onnx.ValueInfoProto(name=name) for name in outputs]
    for item in made:
        item.type.tensor_type.elem_type = FLOAT
    graph = helper.make_graph(nodes, "stranger", inputs, made, weights or [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def facts_of(model: onnx.ModelProto) -> dict[str, InputFacts]:
    return {item.name: item for item in read_inputs(model)}


def plan_of(model: onnx.ModelProto, config: FeedConfig | None = None) -> FeedPlan:
    return first_plan(read_inputs(model), config or FeedConfig())


def tried(model: onnx.ModelProto, config: FeedConfig | None = None) -> FeedPlan:
    """Choose as bench does, in real workers."""
    source = ModelSource.in_memory(model.SerializeToString(), Path("m.onnx"))
    plan = try_feeds(BenchConfig(feeds=config or FeedConfig()), source, opener=open_worker)
    assert plan is not None
    return plan


def shapes_of(plan: FeedPlan, **options: Any) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in plan.make(**options).items()}


def text_encoder() -> onnx.ModelProto:
    """Two inputs that share their sizes by name: ids of a table of 50 rows, and a mask."""
    return model_of(
        [
            helper.make_node("Cast", ["ids"], ["whole"], to=INT64),
            helper.make_node("Gather", ["table", "whole"], ["e"]),
            helper.make_node("Cast", ["attention"], ["kept"], to=FLOAT),
            helper.make_node("Unsqueeze", ["kept", "last"], ["column"]),
            helper.make_node("Sub", ["one", "column"], ["hidden"]),
            helper.make_node("Mul", ["hidden", "large"], ["penalty"]),
            helper.make_node("Add", ["e", "penalty"], ["y"]),
        ],
        [value("ids", INT32, "batch", "length"), value("attention", INT64, "batch", "length")],
        ["y"],
        [weight("table", 50, 8), number("one", 1), number("large", -1e4), number("last", [2], np.int64)],
    )


def classifier(side: int) -> onnx.ModelProto:
    """A convolution with open sides before a product that takes one size only."""
    return model_of(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], strides=[4, 4]),
            helper.make_node("Flatten", ["c"], ["f"]),
            helper.make_node("Gemm", ["f", "g"], ["y"]),
        ],
        [value("x", FLOAT, "n", None, "h", "w_")],
        ["y"],
        [weight("w", 2, 3, 4, 4), weight("g", 2 * (side // 4) ** 2, 5)],
    )


def test_every_open_size_gets_one_and_equal_names_the_same_one() -> None:
    plan = plan_of(text_encoder())
    assert shapes_of(plan) == {"ids": (2, 16), "attention": (2, 16)}
    assert shapes_of(plan, batch=7) == {"ids": (7, 16), "attention": (7, 16)}
    assert plan.options() == "--shape ids=2,16 --shape attention=2,16"


@pytest.mark.parametrize("draw", DRAWN)
def test_indices_stay_below_their_table_and_vary_and_masks_are_never_empty(draw: str) -> None:
    made = plan_of(text_encoder()).make(draw)
    assert 0 <= made["ids"].min() <= made["ids"].max() < 50
    assert len(np.unique(made["ids"])) > 10
    assert set(np.unique(made["attention"])) == {0, 1}
    assert made["attention"].sum(axis=1).min() >= 1


def test_indices_are_found_through_a_quantised_table_and_an_offset() -> None:
    model = model_of(
        [
            helper.make_node("DequantizeLinear", ["bytes", "scale"], ["table"]),
            helper.make_node("Add", ["positions", "two"], ["shifted"]),
            helper.make_node("Gather", ["table", "shifted"], ["y"]),
        ],
        [value("positions", INT64, 1, 16)],
        ["y"],
        [
            numpy_helper.from_array(np.zeros((10, 4), np.uint8), "bytes"),
            number("scale", 0.1),
            number("two", 2, np.int64),
        ],
    )
    facts = facts_of(model)["positions"]
    assert (facts.need.role, facts.need.high) == ("index", 7)
    assert plan_of(model).make()["positions"].max() <= 7


@pytest.mark.parametrize(
    ("op_type", "position", "role"),
    [
        ("ReverseSequence", 1, "length"),
        ("LSTM", 4, "length"),
        ("Where", 0, "mask"),
        ("Compress", 1, "mask"),
        ("Or", 1, "mask"),
        ("Attention", 3, "mask"),
        ("MultiHeadAttention", 4, "mask"),
        ("EmbedLayerNormalization", 7, "mask"),
        ("EmbedLayerNormalization", 6, "free"),
    ],
)
def test_lengths_and_masks_are_known_by_the_place_that_reads_them(op_type: str, position: int, role: str) -> None:
    others = [f"other{index}" for index in range(position)]
    node = helper.make_node(op_type, [*others, "given"], ["y"])
    model = model_of([node], [value("given", INT32, 4)], ["y"], [weight(name, 2, 2) for name in others])
    assert facts_of(model)["given"].need.role == role


def test_what_reads_one_of_two_sizes_of_the_same_name_tells_both() -> None:
    model = model_of(
        [helper.make_node("RNN", ["x", "w", "r"], ["y"], hidden_size=4), helper.make_node("Abs", ["z"], ["z_"])],
        [value("x", FLOAT, "k", 2, 3), value("z", FLOAT, "k")],
        ["y", "z_"],
        [weight("w", 1, 4, 3), weight("r", 1, 4, 4)],
    )
    assert shapes_of(plan_of(model)) == {"x": (16, 2, 3), "z": (16,)}


def test_floats_that_become_indices_are_whole_and_below_the_table() -> None:
    model = model_of(
        [helper.make_node("Cast", ["x"], ["i"], to=INT32), helper.make_node("Gather", ["table", "i"], ["y"])],
        [value("x", FLOAT, "batch", None)],
        ["y"],
        [weight("table", 30, 4)],
    )
    made = plan_of(model).make("wide")["x"]
    assert made.dtype == np.float32
    assert np.array_equal(made, np.rint(made))
    assert 0 <= made.min() < 5
    assert 25 < made.max() < 30


@pytest.mark.parametrize("draw", DRAWN)
def test_whole_numbers_that_are_divided_leave_something_and_divisors_are_not_zero(draw: str) -> None:
    model = model_of(
        [
            helper.make_node("Div", ["x", "three"], ["y"]),
            helper.make_node("Mod", ["bytes", "by"], ["z"]),
            helper.make_node("ReduceMean", ["levels"], ["m"]),
        ],
        [
            value("x", INT32, "n", 64),
            value("bytes", UINT8, "n", 64),
            value("by", UINT8, "n", 64),
            value("levels", INT64, "n", 64),
        ],
        ["y", "z", "m"],
        [number("three", 3, np.int32)],
    )
    made = plan_of(model).make(draw)
    assert len(np.unique(made["x"] // 3)) > 2
    assert made["by"].min() == 1
    assert made["by"].max() == 9
    assert made["bytes"].max() > 9  # of 8 bits all numbers are drawn anyway
    assert made["levels"].mean() > 1


def test_many_open_axes_do_not_make_gigabytes() -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x", FLOAT, *"abcdef")], ["y"])
    assert plan_of(model).make()["x"].size <= 2 * 2 * 16**4


def test_a_number_held_against_a_row_of_numbers_is_one_of_them() -> None:
    model = model_of(
        [
            helper.make_node("Unsqueeze", ["kind", "last"], ["column"]),
            helper.make_node("Equal", ["column", "kinds"], ["is_kind"]),
            helper.make_node("Cast", ["is_kind"], ["y"], to=FLOAT),
        ],
        [value("kind", INT64, "batch", 40)],
        ["y"],
        [number("kinds", np.arange(12), np.int64), number("last", [-1], np.int64)],
    )
    assert set(np.unique(plan_of(model).make()["kind"])) == set(range(12))


def test_whole_numbers_that_become_floats_are_more_than_zero_and_one() -> None:
    model = model_of([helper.make_node("Cast", ["x"], ["y"], to=FLOAT)], [value("x", INT64, "n", 50)], ["y"])
    assert set(np.unique(plan_of(model).make("sparse")["x"])) == set(range(10))


def test_a_number_that_chooses_a_branch_is_one_of_those_it_is_compared_with() -> None:
    def branch(name: str, operator: str) -> onnx.GraphProto:
        made = value(f"{name}_y", FLOAT, "n", 4)
        return helper.make_graph([helper.make_node(operator, ["x"], [f"{name}_y"])], name, [], [made])

    model = model_of(
        [
            helper.make_node("Equal", ["sr", "rate"], ["is_rate"]),
            helper.make_node("If", ["is_rate"], ["y"], then_branch=branch("a", "Tanh"), else_branch=branch("b", "Exp")),
        ],
        [value("x", FLOAT, "n", 4), value("sr", INT64)],
        ["y"],
        [number("rate", 16000, np.int64)],
    )
    plan = plan_of(model)
    assert plan.options() == "--shape x=2,4 --value sr=16000"
    assert plan.make()["sr"].shape == ()
    assert int(plan.make()["sr"]) == 16000
    other = plan_of(model, FeedConfig(values={"sr": (8000,)}))
    assert int(other.make("sparse")["sr"]) == 8000
    with pytest.raises(UsageError, match="'sr' is one number and has no sizes; give it with --value sr=16000"):
        plan_of(model, FeedConfig(shapes={"sr": (16000,)}))


def test_lengths_lie_within_the_sequence_and_one_fills_it() -> None:
    model = model_of(
        [helper.make_node("GRU", ["x", "w", "r", "", "lens"], ["y"], hidden_size=3)],
        [value("x", FLOAT, None, None, 5), value("lens", INT32, None)],
        ["y"],
        [weight("w", 1, 9, 5), weight("r", 1, 9, 3)],
    )
    plan = plan_of(model)
    made = plan.make(batch=7)
    assert made["x"].shape == (16, 7, 5)
    assert made["lens"].shape == (7,)
    assert (made["lens"].min() >= 1, made["lens"].max()) == (True, 16)


def test_states_of_a_recurrent_layer_follow_the_batch() -> None:
    model = model_of(
        [helper.make_node("LSTM", ["x", "w", "r", "", "", "h", "c"], ["y"], hidden_size=3)],
        [value("x", FLOAT, "T", "N", 5), value("h", FLOAT, 1, None, None), value("c", FLOAT, 1, None, 3)],
        ["y"],
        [weight("w", 1, 12, 5), weight("r", 1, 12, 3)],
    )
    assert shapes_of(plan_of(model), batch=3) == {"x": (16, 3, 5), "h": (1, 3, 3), "c": (1, 3, 3)}


def test_a_state_that_no_operator_tells_of_follows_the_batch_by_its_shape() -> None:
    inputs = (
        TensorSpec(name="x", dtype="float32", shape=(None, 16)),
        TensorSpec(name="state", dtype="float32", shape=(2, None, 8)),
    )
    plan = first_plan(tuple(map(facts_of_spec, inputs)), FeedConfig())
    assert shapes_of(plan, batch=5) == {"x": (5, 16), "state": (2, 5, 8)}


def test_the_width_of_a_product_is_its_weights() -> None:
    model = model_of(
        [
            helper.make_node("MatMul", ["x", "w"], ["m"]),
            helper.make_node("Gemm", ["m", "g"], ["y"], transB=1),
            helper.make_node("Gemm", ["z", "g"], ["u"], transB=1),
        ],
        [value("x", FLOAT, None, None), value("z", FLOAT, None, None)],
        ["y", "u"],
        [weight("w", 6, 5), weight("g", 4, 5)],
    )
    assert shapes_of(plan_of(model)) == {"x": (2, 6), "z": (2, 5)}


def test_many_numbers_that_are_compared_choose_no_branch() -> None:
    model = model_of(
        [
            helper.make_node("Equal", ["ids", "padding"], ["is_padding"]),
            helper.make_node("Cast", ["is_padding"], ["y"], to=FLOAT),
        ],
        [value("ids", INT64, "batch", "length")],
        ["y"],
        [number("padding", 1, np.int64)],
    )
    plan = plan_of(model)
    assert plan.options() == "--shape ids=2,16"
    assert set(np.unique(plan.make()["ids"])) == {0, 1}


def test_an_input_of_a_loops_body_is_followed_into_it() -> None:
    body = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "state"], ["row"], axis=0),
            helper.make_node("Identity", ["state"], ["next"]),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "body",
        [value("i", INT64), value("go", BOOL), value("state", INT64, 4)],
        [value("on", BOOL), value("next", INT64, 4), value("row", FLOAT, 4, 3)],
    )
    model = model_of(
        [helper.make_node("Loop", ["times", "", "ids"], ["last", "y"], body=body)],
        [value("ids", INT64, 4)],
        ["y"],
        [weight("table", 9, 3), number("times", 2, np.int64)],
    )
    facts = facts_of(model)["ids"]
    assert (facts.need.role, facts.need.high) == ("index", 8)


def test_one_batch_that_the_user_gives_is_every_batch() -> None:
    inputs = tuple(TensorSpec(name=name, dtype="float32", shape=(None, 3)) for name in ("a", "b"))
    plan = first_plan(tuple(map(facts_of_spec, inputs)), FeedConfig(shapes={"a": (5, 3)}))
    assert shapes_of(plan) == {"a": (5, 3), "b": (5, 3)}


def test_the_first_row_of_a_mask_is_full_and_no_row_is_empty() -> None:
    spec = TensorSpec(name="mask", dtype="bool", shape=(200, 1, 6))
    facts = replace(facts_of_spec(spec), need=Need("mask"))
    made = first_plan((facts,), FeedConfig()).make()["mask"]
    assert made[0].all()
    assert made.any(axis=-1).all()
    assert not made.all()


def test_images_and_channels_follow_the_convolution_also_behind_a_transpose() -> None:
    model = model_of(
        [
            helper.make_node("Cast", ["image"], ["f"], to=FLOAT),
            helper.make_node("Transpose", ["f"], ["x"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["x", "w"], ["y"]),
        ],
        [value("image", UINT8, 1, None, None, None)],
        ["y"],
        [weight("w", 2, 3, 3, 3)],
    )
    plan = plan_of(model)
    assert shapes_of(plan) == {"image": (1, 64, 64, 3)}
    assert not plan.has_open_batch


def test_sums_of_names_are_added_up() -> None:
    inputs = (
        TensorSpec(name="ids", dtype="int64", shape=("batch", "length")),
        TensorSpec(name="past", dtype="float32", shape=("batch", 4, "past_length", 8)),
        TensorSpec(name="mask", dtype="int64", shape=("batch", "past_length + length")),
    )
    plan = first_plan(tuple(map(facts_of_spec, inputs)), FeedConfig(shapes={"ids": (3, 5)}))
    assert shapes_of(plan) == {"ids": (3, 5), "past": (3, 4, 16, 8), "mask": (3, 21)}


@pytest.mark.parametrize("size", [-1, 0, None, "?"])
def test_a_size_that_is_none_is_open(size: int | str | None) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    assert shapes_of(plan_of(model_of([node], [value("x", FLOAT, size, 3, size)], ["y"]))) == {"x": (2, 3, 16)}


@pytest.mark.parametrize(
    ("nodes", "weights", "low", "high"),
    [
        ([helper.make_node("Log", ["x"], ["y"])], [], 0.001, 1.0),
        ([helper.make_node("Clip", ["x", "low", "high"], ["y"])], [number("low", 0), number("high", 8)], -1, 9),
        ([helper.make_node("Div", ["x", "by"], ["y"])], [number("by", 255)], 0, 255),
        (
            [helper.make_node("Sub", ["x", "mean"], ["y"])],
            [number("mean", np.reshape([123.7, 116.3, 103.5], (3, 1, 1)))],
            0,
            255,
        ),
        (
            [helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["y"])],
            [number("step", 0.5), number("zero", 128, np.uint8)],
            -64,
            63.5,
        ),
    ],
)
def test_floats_lie_where_the_next_operator_has_an_answer(
    nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], low: float, high: float
) -> None:
    plan = plan_of(model_of(nodes, [value("x", FLOAT, 2, 3, 8, 8)], ["y"], weights))
    for draw in DRAWN:
        assert low <= plan.make(draw)["x"].min() <= plan.make(draw)["x"].max() <= high
    spread = plan.make("uniform")["x"]
    assert spread.max() - spread.min() > 0.9 * (high - low)


def test_a_tree_gets_numbers_on_both_sides_of_its_thresholds() -> None:
    tree = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", nodes_values=[400.0, 650.0, 0.0], n_targets=1
    )
    made = plan_of(model_of([tree], [value("x", FLOAT, None, 4)], ["y"])).make("uniform")["x"]
    assert (made > 650).any()
    assert (made < 400).any()


def test_what_was_chosen_repeats_itself_word_for_word() -> None:
    chosen = plan_of(text_encoder())
    words = chosen.options().replace("--shape ", "").split()
    again = plan_of(text_encoder(), read_feeds(None, words))
    assert shapes_of(again) == shapes_of(chosen)
    assert (again.is_chosen, again.has_open_batch, again.batch) == (False, False, 2)
    first, second = chosen.make("wide"), again.make("wide")
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_shape_that_the_user_gives_binds_its_names_everywhere() -> None:
    plan = plan_of(text_encoder(), FeedConfig(shapes={"ids": (4, 9)}))
    assert shapes_of(plan) == {"ids": (4, 9), "attention": (4, 9)}
    assert plan.options() == "--shape ids=4,9 --shape attention=4,9"
    sets = make_feed_sets((), FeedConfig(), plan=plan)
    assert {item.arrays["ids"].shape for item in sets} == {(4, 9)}


def test_numbers_that_the_user_gives_fill_an_input_or_are_its_places() -> None:
    inputs = tuple(
        facts_of_spec(TensorSpec(name=name, dtype=dtype, shape=shape))
        for name, dtype, shape in [("a", "float32", ("n", 2)), ("lens", "int64", ("n",)), ("on", "bool", (3,))]
    )
    plan = first_plan(inputs, FeedConfig(values={"a": (0.5,), "lens": (3, 9, 4), "on": (1, 0, 1)}))
    made = plan.make()
    assert made["a"].tolist() == [[0.5, 0.5]] * 3
    assert made["lens"].tolist() == [3, 9, 4]
    assert made["on"].tolist() == [True, False, True]
    assert not plan.has_open_batch
    with pytest.raises(UsageError, match=r"--value on has 2 numbers, which do not fill \[3\]"):
        first_plan(inputs, FeedConfig(values={"on": (1, 0)}))
    with pytest.raises(UsageError, match=r"--value names the input 'len' \(did you mean 'lens'"):
        first_plan(inputs, FeedConfig(values={"len": (1,)}))


def test_a_large_whole_number_stays_what_it_is() -> None:
    config = read_feeds(None, None, values=["seed=9007199254740993"])
    plan = first_plan((facts_of_spec(TensorSpec(name="seed", dtype="int64", shape=(1,))),), config)
    assert plan.make()["seed"].tolist() == [9007199254740993]


@pytest.mark.parametrize(
    ("dtype", "wrong", "right"),
    [
        ("int64", ["1.5", "nan", "1e400", "9223372036854775808", "3,0.5"], ["-9223372036854775808", "3.0"]),
        ("uint8", ["256", "-1"], ["255"]),
        ("bool", ["2", "-1", "0.5"], ["1"]),
        ("int4", ["8"], ["-8"]),
        ("float16", ["70000"], ["65504", "0.1", "inf", "nan"]),
    ],
)
def test_a_value_is_a_number_that_the_inputs_type_has(dtype: str, wrong: list[str], right: list[str]) -> None:
    facts = (facts_of_spec(TensorSpec(name="x", dtype=dtype, shape=(2,))),)
    for text in wrong:
        with pytest.raises(UsageError, match=rf"--value x=.+ does not fit the input, which is {dtype}"):
            first_plan(facts, read_feeds(None, None, values=[f"x={text}"]))
    for text in right:
        made = first_plan(facts, read_feeds(None, None, values=[f"x={text}"])).make()["x"]
        assert np.array_equal(made.astype(np.float64), np.full(2, float(text)).astype(made.dtype), equal_nan=True)


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (
            "complex64",
            "is of complex64, and .* of real numbers and strings only; bring all inputs with --inputs FILE.npz",
        ),
        ("optional_type", r"is no tensor \(optional_type\), and tensors alone can be fed"),
    ],
)
def test_what_is_no_number_is_refused_with_the_next_step(dtype: str, words: str) -> None:
    plan = first_plan((facts_of_spec(TensorSpec(name="x", dtype=dtype, shape=(2,))),), FeedConfig())
    with pytest.raises(UsageError, match=words):
        plan.make()


def test_strings_are_those_that_the_graph_names_else_digits() -> None:
    keys = {"keys_strings": ["red", "green"], "values_int64s": [0, 1], "domain": "ai.onnx.ml"}
    nodes = [
        helper.make_node("Identity", ["colour"], ["same"]),
        helper.make_node("LabelEncoder", ["same"], ["y"], **keys),
        helper.make_node("Cast", ["text"], ["z"], to=FLOAT),
    ]
    strings = TensorProto.STRING
    inputs = [value("colour", strings, "batch", 4), value("text", strings, "batch")]
    plan = first_plan(read_inputs(model_of(nodes, inputs, ["y", "z"])), FeedConfig())
    made = plan.make(batch=8)
    assert (made["colour"].shape, set(made["colour"].ravel())) == ((8, 4), {"red", "green"})
    assert (made["text"].shape, set(made["text"])) <= ((8,), {"0", "1", "2", "3"})
    assert np.array_equal(plan.make(batch=8)["colour"], made["colour"])
    with pytest.raises(UsageError, match="--value text=3 does not fit the input, which is string"):
        first_plan(plan.facts, read_feeds(None, None, values=["text=3"]))


@pytest.mark.parametrize("text", ["x", "x=", "x=2,", "x=two", "=1"])
def test_a_value_is_a_name_and_numbers(text: str) -> None:
    with pytest.raises(UsageError, match="--value"):
        read_feeds(None, None, values=[text])


@pytest.mark.parametrize("text", ["x", "x=", "x=2,", "x=0", "x=2,b", "=-1", "x=²"])
def test_a_shape_is_a_name_and_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="--shape"):
        read_feeds(None, [text])


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"idz": (2, 3)}, "did you mean 'ids'"),
        ({"ids": (2,)}, "does not fit"),
        ({"ids": (2, 4)}, "does not fit"),
        ({"ids": (1 << 30, 3)}, "larger than"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(shapes: dict[str, tuple[int, ...]], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_feed_sets((TensorSpec(name="ids", dtype="int64", shape=("batch", 3)),), FeedConfig(shapes=shapes))


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "int4", "uint4"])
def test_numbers_of_few_bits_are_made_too(dtype: str) -> None:
    made = first_plan((facts_of_spec(TensorSpec(name="x", dtype=dtype, shape=(3, 40))),), FeedConfig()).make()["x"]
    assert (made.dtype.name, made.shape) == (dtype, (3, 40))
    assert len(np.unique(made.astype(np.float32))) > 1


class Picky:
    """An engine that takes some shapes only; any other ends it where `crashes` is set."""

    def __init__(self, *taken: tuple[int, ...], crashes: bool = False, answer: float = 1.0) -> None:
        spec = TensorSpec(name="x", dtype="float32", shape=("batch", 3, "height", "width"))
        self.info = RuntimeInfo(runtime="ort", version="1", provider_active="cpu", inputs=(spec,), outputs=())
        self.model_summary: dict[str, Any] = {}
        self.seen: list[tuple[int, ...]] = []
        self._taken, self._crashes, self._answer = taken, crashes, answer

    def run(self, feeds: Any) -> dict[str, NDArray[Any]]:
        self.seen.append(feeds["x"].shape)
        if feeds["x"].shape in self._taken:
            return {"y": np.array([self._answer])}
        raise WorkerError("the engine crashed") if self._crashes else ModelError("it does not fit")


@pytest.mark.parametrize("crashes", [False, True])
def test_guesses_go_on_until_one_runs(crashes: bool) -> None:
    engine = Picky((2, 3, 224, 224), crashes=crashes)
    plan = choose_feeds(engine, FeedConfig(), name="m.onnx", reopen=lambda: nullcontext(engine))
    assert engine.seen[0] == (2, 3, 64, 64)
    assert plan.options() == "--shape x=2,3,224,224"
    assert plan.has_open_batch


def test_a_file_that_runs_with_one_item_only_is_fed_one_and_says_so() -> None:
    engine = Picky((1, 3, 64, 64))
    plan = choose_feeds(engine, FeedConfig(), name="m.onnx", reopen=lambda: nullcontext(engine))
    assert (plan.batch, plan.has_open_batch) == (1, False)
    assert "runs with 1 only" in plan.describe()


@pytest.mark.parametrize("answer", [np.nan, 1e-9])
def test_what_runs_with_no_more_than_noise_in_its_answer_is_the_last_choice(answer: float) -> None:
    engine = Picky((2, 3, 64, 64), answer=answer)
    plan = choose_feeds(engine, FeedConfig(), name="m.onnx", reopen=lambda: nullcontext(engine))
    assert plan.options() == "--shape x=2,3,64,64"
    assert len(engine.seen) > 2


def test_where_nothing_runs_all_inputs_are_asked_for_in_one_line() -> None:
    engine = Picky()
    with pytest.raises(ModelError, match=r"it does not fit; add these with .*--shape x=2,3,64,64; or .*--inputs"):
        choose_feeds(engine, FeedConfig(), name="m.onnx", reopen=lambda: nullcontext(engine))


def test_an_image_is_as_large_as_the_product_behind_it_asks_for() -> None:
    assert shapes_of(tried(classifier(96))) == {"x": (2, 3, 96, 96)}


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Gather", ["x"], ["y"]),
        helper.make_node("GRU", ["x"], ["y"]),
        helper.make_node("OneHot", ["x"], ["y"]),
        helper.make_node("QuantizeLinear", ["x"], ["y"]),
        helper.make_node("Identity", ["x"], []),
        helper.make_node("Transpose", ["x"], ["y"], perm="words"),
        helper.make_node("Gather", ["x", "x"], ["y"], axis="words"),
        helper.make_node("Unsqueeze", ["x", "x"], ["y"]),
        helper.make_node("Squeeze", ["x"], ["y"], axes=[9, 9]),
        helper.make_node("Loop", ["x", "x", "x"], ["y"]),
    ],
    ids=lambda node: f"{node.op_type} {len(node.input)}",
)
def test_a_graph_that_is_not_whole_leaves_what_is_declared(node: onnx.NodeProto) -> None:
    plan = plan_of(model_of([node], [value("x", FLOAT, None, 3, 4)], ["y"]))
    assert shapes_of(plan) == {"x": (2, 3, 4)}


@pytest.mark.parametrize("size", [0, -1])
def test_a_declared_size_that_nothing_has_is_fed_like_an_open_one(size: int) -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x", FLOAT, size, 3)], ["y"])
    plan = tried(model)
    assert (plan.options(), plan.has_open_batch) == ("--shape x=2,3", True)
    model.graph.output[0].CopyFrom(value("y", FLOAT, size, size))
    source = ModelSource.in_memory(model.SerializeToString(), Path("m.onnx"))
    with open_worker(source, RuntimeSettings()) as engine:
        assert engine.run(plan.make(batch=3))["y"].shape == (3, 3)


def test_every_command_chooses_the_same_and_tells_it_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "artifacts"))
    (tmp_path / "m.onnx").write_bytes(text_encoder().SerializeToString())
    line = "--shape ids=2,16 --shape attention=2,16"
    reports = {}
    for words in (
        ["selftest"],
        ["parity", "--runtime", "ort", "--threads", "1", "--optimisation", "all"],
        ["bench", "--batch", "1", "--seconds", "0.1"],
    ):
        app(args=[words[0], str(tmp_path / "m.onnx"), *words[1:], "--json"], standalone_mode=False)
        out, err = capsys.readouterr()
        reports[words[0]] = json.loads(out)
        assert f"inputs chosen, to copy and change: {line}\n" in err
    assert reports["selftest"]["passed"]
    assert reports["selftest"]["inputs"]["options"] == line
    assert reports["parity"]["data"]["inputs"]["options"] == line
    assert reports["bench"]["inputs"]["options"] == line
