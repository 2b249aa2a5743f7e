"""The domain ai.onnx.ml: by hand where its text says what to do, else as ONNX Runtime has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from one_node import Array, distance, made, node_file, run_by_ort, run_model, run_node, wide

from toolkit.errors import ModelError
from toolkit.runtimes.references.evaluator import OnnxEvaluatorRuntime, WideEvaluator

ML = "ai.onnx.ml"
ROWS = np.array([[0.5, -1.5], [2, 1], [-0.25, 0.75], [np.nan, 1]], np.float32)
# Two trees: x0 <= 0 (a missing value goes there) to the leaves 1 and 2; x1 > 0.5 to 4 and 5.
NODES: dict[str, Any] = {
    "nodes_treeids": [0, 0, 0, 1, 1, 1],
    "nodes_nodeids": [0, 1, 2, 0, 1, 2],
    "nodes_featureids": [0, 0, 0, 1, 0, 0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_GT", "LEAF", "LEAF"],
    "nodes_values": [0.0, 0.0, 0.0, 0.5, 0.0, 0.0],
    "nodes_truenodeids": [1, 0, 0, 1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0, 2, 0, 0],
    "nodes_missing_value_tracks_true": [1, 0, 0, 0, 0, 0],
}


def votes(kind: str, ids: list[int], weights: list[float]) -> dict[str, Any]:
    """One vote of each leaf."""
    places: dict[str, Any] = {"treeids": [0, 0, 1, 1], "nodeids": [1, 2, 1, 2], "ids": ids, "weights": weights}
    return NODES | {f"{kind}_{name}": value for name, value in places.items()}


def run(op_type: str, *arrays: Array, opset: int = 1, **options: Any) -> list[Array]:
    answers = run_node(op_type, *arrays, opset=opset, domain=ML, **options)
    model = node_file(op_type, arrays, opset=opset, domain=ML, **options)
    for answer, narrow in zip(answers, run_model(model, arrays, OnnxEvaluatorRuntime), strict=True):
        if answer.dtype == np.float64 and arrays[0].dtype == np.float32:
            assert narrow.dtype == np.float32
            assert np.allclose(answer, narrow, rtol=1e-5, atol=1e-5, equal_nan=True)
    return answers


@pytest.mark.parametrize("opset", [1, 3])
@pytest.mark.parametrize(
    ("function", "expected"),
    [("SUM", [[2, 8], [2, 4], [1, 4], [1, 4]]), ("AVERAGE", [[1, 4], [1, 2], [0.5, 2], [0.5, 2]])],
)
def test_leaves_are_summed_by_target(opset: int, function: str, expected: list[list[float]]) -> None:
    given = votes("target", [0, 0, 1, 1], [1.0, 2.0, 4.0, 8.0])
    (y,) = run("TreeEnsembleRegressor", ROWS, opset=opset, n_targets=2, aggregate_function=function, **given)
    assert y.dtype == np.float64
    assert y.tolist() == expected
    (shifted,) = run(
        "TreeEnsembleRegressor",
        ROWS,
        opset=opset,
        n_targets=2,
        aggregate_function=function,
        base_values=[1.0, -1.0],
        **given,
    )
    assert np.array_equal(shifted, y + np.array([1, -1]))


@pytest.mark.parametrize(("function", "expected"), [("MIN", [2, 2, 1, 1]), ("MAX", [8, 4, 4, 4])])
def test_the_least_and_the_largest_vote(function: str, expected: list[float]) -> None:
    given = votes("target", [0, 0, 0, 0], [1.0, 2.0, 4.0, 8.0])
    (y,) = run("TreeEnsembleRegressor", ROWS, n_targets=2, aggregate_function=function, **given)
    assert y.tolist() == [[value, 0] for value in expected]  # nobody votes for the second target


def test_a_single_target_is_transformed_too() -> None:
    given = votes("target", [0, 0, 0, 0], [1.0, 2.0, 4.0, 8.0])
    (y,) = run("TreeEnsembleRegressor", ROWS, n_targets=1, post_transform="LOGISTIC", **given)
    assert np.abs(y[:, 0] - 1 / (1 + np.exp([-10.0, -6, -5, -5]))).max() < 1e-15


@pytest.mark.parametrize("labels", [{"classlabels_int64s": [7, 9]}, {"classlabels_strings": ["no", "yes"]}])
@pytest.mark.parametrize(
    ("weights", "transform", "scores"),
    [
        ([0.125, 0.25, 0.125, 0.5], "NONE", [0.75, 0.375, 0.25, 0.25]),  # shares: the first class has the rest
        ([1.0, -2.0, 4.0, -8.0], "NONE", [-10, 2, 5, 5]),  # else its opposite
        ([1.0, -2.0, 4.0, -8.0], "LOGISTIC", [-10, 2, 5, 5]),
    ],
)
def test_the_only_class_with_votes_is_the_second_one(
    labels: dict[str, Any], weights: list[float], transform: str, scores: list[float]
) -> None:
    given = votes("class", [0, 0, 0, 0], weights)
    found, pair = run("TreeEnsembleClassifier", ROWS, outputs=2, post_transform=transform, **labels, **given)
    second = np.array(scores)
    if transform == "LOGISTIC":
        second = 1 / (1 + np.exp(-second))
    first = 1 - second if transform == "LOGISTIC" or min(weights) > 0 else -second
    assert np.abs(pair - np.stack([first, second], axis=1)).max() < 1e-12
    names = next(iter(labels.values()))
    assert found.tolist() == [names[int(high > low)] for low, high in zip(first, second, strict=True)]


def test_the_top_class_has_its_label() -> None:
    given = votes("class", [0, 1, 0, 1], [1.0, 2.0, 4.0, 8.0])
    found, scores = run("TreeEnsembleClassifier", ROWS, outputs=2, classlabels_int64s=[5, 6], **given)
    assert scores.tolist() == [[0, 10], [4, 2], [5, 0], [5, 0]]
    assert found.tolist() == [6, 5, 5, 5]  # by the text; ONNX Runtime (1.31) names every row 1, which is no label


def test_base_values_that_mean_nothing_have_no_reference() -> None:
    given = votes("class", [1, 1, 1, 1], [1.0, 2.0, 4.0, 8.0]) | {"classlabels_int64s": [5, 6], "base_values": [0.5]}
    with pytest.raises(ModelError, match="no meaning for 1 base values"):
        run("TreeEnsembleClassifier", ROWS, outputs=2, **given)


def test_trees_of_version_5_have_lists_of_leaves() -> None:
    from onnx import numpy_helper

    def tensor(*values: float, dtype: Any = np.float32) -> Any:
        return numpy_helper.from_array(np.array(values, dtype))

    options: dict[str, Any] = {
        "n_targets": 4,
        "aggregate_function": 1,
        "membership_values": tensor(1.2, 3.7, 8, 9, np.nan, 12, 7, np.nan),
        "tree_roots": [0],
        "nodes_modes": tensor(0, 6, 6, dtype=np.uint8),
        "nodes_featureids": [0, 0, 0],
        "nodes_splits": tensor(3.14, 0, 0),
        "nodes_truenodeids": [1, 0, 1],
        "nodes_trueleafs": [0, 1, 1],
        "nodes_falsenodeids": [2, 2, 3],
        "nodes_falseleafs": [0, 1, 1],
        "leaf_targetids": [0, 1, 2, 3],
        "leaf_weights": tensor(5.5, 12, -12, 7),
    }
    x = np.array([[1.2], [3.4], [-0.12], [12], [7]], np.float32)
    (y,) = run("TreeEnsemble", x, opset=5, **options)
    # At most 3.14: one of 1.2, 3.7, 8, 9 is leaf 0, else 2; above: one of 12, 7 is leaf 1, else 3.
    assert y.tolist() == [[5.5, 0, 0, 0], [0, 0, 0, 7], [0, 0, -12, 0], [0, 12, 0, 0], [0, 12, 0, 0]]
    (logistic,) = run("TreeEnsemble", x, opset=5, post_transform=2, **options)  # 2 is LOGISTIC by the text
    assert np.abs(logistic - 1 / (1 + np.exp(-y))).max() < 1e-15
    # A tree of one leaf is a node with that leaf on both sides.
    leaf = {"nodes_truenodeids": [1, 0, 3], "nodes_falsenodeids": [2, 2, 3], "tree_roots": [2]}
    (y,) = run("TreeEnsemble", x, opset=5, **options | leaf)
    assert y.tolist() == [[0, 0, 0, 7]] * 5


@pytest.mark.parametrize(
    ("norm", "expected"),
    [("MAX", [[-1.5, 1], [1, 0.5]]), ("L1", [[-0.6, 0.4], [2 / 3, 1 / 3]]), ("L2", [[-3 / 13**0.5, 2 / 13**0.5], [0.8**0.5, 0.2**0.5]])],
)  # fmt: skip
def test_rows_are_normalised_and_zeros_stay(norm: str, expected: list[list[float]]) -> None:
    x = np.array([[-3, 2], [2, 1], [0, 0]], np.float32)
    (y,) = run("Normalizer", x, norm=norm)
    assert np.abs(y - [*expected, [0, 0]]).max() < 1e-15
    (single,) = run("Normalizer", x[0], norm=norm)
    assert np.array_equal(single, y[0])


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
def test_linear_classes(transform: str) -> None:
    options: dict[str, Any] = {
        "coefficients": made(6).tolist(),
        "intercepts": made(3).tolist(),
        "classlabels_ints": [4, 7, 9],
        "post_transform": transform,
        "outputs": 2,
    }
    x = made(5, 2)
    found, scores = run("LinearClassifier", x, **options)
    labels, other = run_by_ort("LinearClassifier", x, opset=1, domain=ML, **options)
    assert np.array_equal(found, labels)
    assert distance(scores, other) < 1e-5
    bare = wide(x) @ np.float64(options["coefficients"]).reshape(3, 2).T + options["intercepts"]
    powers = np.exp(bare)
    expected = {"NONE": bare, "LOGISTIC": powers / (1 + powers)}.get(transform, powers / powers.sum(1, keepdims=True))
    assert np.abs(scores - expected).max() < 1e-6


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
def test_one_score_for_two_classes(transform: str) -> None:
    options: dict[str, Any] = {"coefficients": [1.0, 2.0], "intercepts": [0.5], "classlabels_strings": ["a", "b"]}
    x = np.array([[1, 1], [-1, -1]], np.float32)
    found, scores = run("LinearClassifier", x, outputs=2, post_transform=transform, **options)
    labels, other = run_by_ort(
        "LinearClassifier", x, opset=1, domain=ML, outputs=2, post_transform=transform, **options
    )
    assert found.tolist() == labels.tolist() == ["b", "a"]
    assert distance(scores, other) < 1e-6
    with pytest.raises(ModelError, match="SOFTMAX of one score for two classes has no value in the standard"):
        run("LinearClassifier", x, outputs=2, post_transform="SOFTMAX", **options)


def test_linear_regression_without_intercepts() -> None:
    x = made(4, 2)
    (y,) = run("LinearRegressor", x, targets=2, coefficients=[1.0, 2.0, 3.0, -1.0])
    assert np.abs(y - wide(x) @ [[1, 3], [2, -1]]).max() < 1e-15
    (whole,) = run("LinearRegressor", np.array([[1, 2]]), coefficients=[1.5, 2.0], intercepts=[0.25])
    assert whole.tolist() == [[5.75]]
    assert whole.dtype == np.float64


def look_up(op_type: str, x: Array, **options: Any) -> list[Any]:
    """The answer to words, which no runtime is fed."""
    (y,) = WideEvaluator(node_file(op_type, [x], opset=1, domain=ML, **options)).run(None, {"x0": x})
    return list(np.asarray(y).tolist())


KERNELS = {"LINEAR": [0.0, 0.0, 0.0], "POLY": [0.5, 1.0, 2.0], "RBF": [0.4, 0.0, 0.0], "SIGMOID": [0.3, 0.1, 0.0]}


@pytest.mark.parametrize("shares", [False, True], ids=["scores", "shares"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("counts", [[2, 3], [2, 1, 2]])
def test_support_vectors_as_onnx_runtime_has_them(kernel: str, counts: list[int], shares: bool) -> None:
    x, pairs = made(6, 3), len(counts) * (len(counts) - 1) // 2
    options: dict[str, Any] = {
        "kernel_type": kernel,
        "kernel_params": KERNELS[kernel],
        "vectors_per_class": counts,
        "support_vectors": made(15).tolist(),
        "coefficients": made(5 * (len(counts) - 1)).tolist(),
        "rho": made(pairs).tolist(),
        "classlabels_ints": [3, 5, 8][: len(counts)],
        "outputs": 2,
    }
    if shares:
        options |= {"prob_a": (-1 - np.abs(made(pairs))).tolist(), "prob_b": made(pairs).tolist()}
    found, scores = run("SVMClassifier", x, **options)
    labels, other = run_by_ort("SVMClassifier", x, opset=1, domain=ML, **options)
    assert np.array_equal(found, labels)
    assert distance(scores, other) < 1e-5


@pytest.mark.parametrize("one_class", [0, 1])
def test_regression_by_one_support_vector(one_class: int) -> None:
    x = np.array([[1, 2], [0, -1]], np.float32)
    (y,) = run(
        "SVMRegressor",
        x,
        kernel_type="RBF",
        kernel_params=[0.5, 0.0, 0.0],
        n_supports=1,
        support_vectors=[1.0, 1.0],
        coefficients=[2.0],
        rho=[-0.5],
        one_class=one_class,
    )
    expected = 2 * np.exp([[-0.5], [-2.5]]) - 0.5
    assert np.abs(y - (np.sign(expected) if one_class else expected)).max() < 1e-15


def test_regression_of_whole_numbers_is_no_whole_number() -> None:
    line: dict[str, Any] = {"kernel_type": "LINEAR", "coefficients": [0.5, 0.25], "rho": [0.125], "n_supports": 0}
    (y,) = run("SVMRegressor", np.array([[1, 2], [0, -1]]), **line)
    assert y.tolist() == [[1.125], [-0.125]]
    (y,) = run("SVMRegressor", np.array([[1, 2]], np.float32), **line, post_transform="LOGISTIC")
    assert abs(y.item() - 1 / (1 + np.exp(-1.125))) < 1e-15


def test_labels_and_their_places() -> None:
    words = np.array(["c", "a", "z"], object)
    one: dict[str, Any] = {"classes_strings": ["a", "b", "c"], "default_int64": -5, "default_string": "?"}
    assert look_up("LabelEncoder", words, **one) == [2, 0, -5]
    assert look_up("LabelEncoder", np.array([2, 0, 7]), **one) == ["c", "a", "?"]
    mapper: dict[str, Any] = {"cats_strings": ["a", "c"], "cats_int64s": [4, 6], "default_int64": -3}
    assert look_up("CategoryMapper", words, **mapper) == [6, 4, -3]
    assert look_up("CategoryMapper", np.array([6, 1]), **mapper) == ["c", "_Unused"]
    assert look_up("ZipMap", np.array([[0.5, 2]]), classlabels_strings=["a", "b"]) == [{"a": 0.5, "b": 2.0}]
    numbers = np.array([1, np.nan, 3], np.float32)
    for opset in (2, 4):  # NaN is a key as any other
        (y,) = run("LabelEncoder", numbers, opset=opset, keys_floats=[1.0, float("nan")], values_floats=[0.5, 2.0])
        assert y.tolist() == [0.5, 2, 0]
        assert y.dtype == np.float64


def test_categories_are_whole_numbers() -> None:
    (y,) = run("OneHotEncoder", np.array([1.75, 3, 9], np.float32), cats_int64s=[1, 2, 3])
    assert y.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    with pytest.raises(ModelError, match="zeros=0 forbids it"):
        run("OneHotEncoder", np.array([1, 4]), cats_int64s=[1, 2], zeros=0)


def test_whole_numbers_become_real_ones() -> None:
    (y,) = run("Scaler", np.array([[3, 4]]), offset=[1.0, 2.0], scale=[0.5, 0.25])
    assert (y.tolist(), y.dtype) == ([[1, 0.5]], np.float64)
    (y,) = run("FeatureVectorizer", np.array([[1, 2, 3]]), np.array([[4]]), inputdimensions=[2, 2])
    assert (y.tolist(), y.dtype) == ([[1, 2, 4, 0]], np.float64)
