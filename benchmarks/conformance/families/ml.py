"""The domain ai.onnx.ml: linear models, trees, support vectors, features; of the engines ONNX Runtime alone has it."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from conformance.cases import Case, one_node, values

ML = "ai.onnx.ml"
TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO")
# Those that answer in float32 to whole numbers, of which the standard's inference knows nothing.
REAL = {"Scaler", "Normalizer", "LinearRegressor", "FeatureVectorizer"}
KERNELS = {"LINEAR": [0.0, 0.0, 0.0], "POLY": [0.5, 1.0, 2.0], "RBF": [0.4, 0.0, 0.0], "SIGMOID": [0.3, 0.1, 0.0]}
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT")
DEPTH, TREES = 2, 3


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    yield from _features()
    yield from _linear()
    yield from _trees()
    yield from _new_trees()
    yield from _support_vectors()


def _node(op_type: str, *arrays: Any, opset: int = 1, **options: Any) -> Case:
    case = one_node(op_type, *arrays, opset=opset, domain=ML, fed=len(arrays), **options)
    if op_type in REAL:
        case.model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return case


def _features() -> Iterator[Case]:
    drawn = values("features")
    x, whole = drawn.normal(4, 3), drawn.whole(1, 9, 4, 3)
    for norm in ("MAX", "L1", "L2"):
        for array, label in (
            (x, ""),
            (-np.abs(x), "negative"),
            (x[0], ""),
            (np.zeros_like(x), "zeros"),
            (whole, "whole"),
        ):
            yield _node("Normalizer", array, norm=norm, label=label)
    for offset, scale in (([1.0, 2.0, 3.0], [0.5, 2.0, 4.0]), ([1.5], [0.5])):
        for array in (x, whole):
            yield _node("Scaler", array, offset=offset, scale=scale, label=str(array.dtype))
    yield _node("Binarizer", x, threshold=0.25)
    missing = x.copy()
    missing[0, 1] = missing[2, 2] = np.nan
    for filling in ([1.0, 2.0, 3.0], [1.5]):
        yield _node("Imputer", missing, imputed_value_floats=filling, replaced_value_float=float("nan"))
    yield _node("Imputer", whole, imputed_value_int64s=[7], replaced_value_int64=3)
    for places in (np.array([2, 0]), np.array([[1]])):
        yield _node("ArrayFeatureExtractor", x, places, label=f"{places.tolist()}")
    for widths in ([3, 3], [2, 4]):
        yield _node("FeatureVectorizer", x, whole.astype(np.float32), inputdimensions=widths)
    yield _node("OneHotEncoder", np.array([1, 3, 2, 9]), cats_int64s=[1, 2, 3])
    yield _node("OneHotEncoder", np.array([[1.75, 3]], np.float32), cats_int64s=[1, 2, 3])
    for opset in (2, 4):
        keys = np.array([1, 2, 3])
        yield _node("LabelEncoder", keys, opset=opset, keys_int64s=[1, 2], values_int64s=[5, 6], default_int64=9)
        yield _node("LabelEncoder", keys, opset=opset, keys_int64s=[1, 2], values_floats=[0.5, 0.25])
        real = np.array([1, 2.5, 3], np.float32)
        yield _node("LabelEncoder", real, opset=opset, keys_floats=[1.0, 2.5], values_floats=[0.1, 0.2])
        yield _node("LabelEncoder", real, opset=opset, keys_floats=[1.0, 2.5], values_int64s=[1, 2])


def _linear() -> Iterator[Case]:
    drawn = values("linear")
    x = drawn.normal(5, 3)
    for transform in TRANSFORMS:
        for count in (3, 2):
            yield _node(
                "LinearClassifier",
                x,
                outputs=2,
                label=f"{count} classes",
                post_transform=transform,
                coefficients=drawn.normal(3 * count).tolist(),
                intercepts=drawn.normal(count).tolist(),
                classlabels_ints=[4, 7, 9][:count],
            )
        for targets in (2, 3):
            weights = drawn.normal(3 * targets).tolist()
            yield _node(
                "LinearRegressor",
                x,
                label=f"{targets}",
                targets=targets,
                coefficients=weights,
                post_transform=transform,
            )
    for transform in ("NONE", "LOGISTIC"):
        options: dict[str, Any] = {"coefficients": [0.5, -1.0, 2.0], "intercepts": [0.25], "classlabels_ints": [4, 7]}
        yield _node("LinearClassifier", x, outputs=2, label="one score", post_transform=transform, **options)
    for array in (x, drawn.whole(-3, 4, 5, 3), x[0]):
        options = {"coefficients": [0.5, -1.0, 2.0], "intercepts": [0.25]}
        yield _node("LinearRegressor", array, label=str(array.dtype), **options)


def _trees() -> Iterator[Case]:
    drawn = values("trees")
    x = drawn.normal(6, 3)
    x[0, 0] = x[3, 2] = np.nan
    nodes, leaves = _make_nodes()
    for opset in (1, 3):
        for function in ("SUM", "AVERAGE", "MIN", "MAX"):
            for targets in (1, 2):
                given = _votes("target", leaves, list(range(targets)), drawn.normal(4 * TREES * targets))
                yield _node(
                    "TreeEnsembleRegressor",
                    x,
                    opset=opset,
                    label=f"{function} of {targets}",
                    n_targets=targets,
                    aggregate_function=function,
                    base_values=[0.5, -0.25][:targets],
                    **nodes,
                    **given,
                )
        for transform in TRANSFORMS:
            for label, ids, count in (("three", [0, 1, 2], 3), ("one of two", [0], 2)):
                if label == "one of two" and transform not in {"NONE", "LOGISTIC"}:
                    continue
                for signed in (False, True) if label == "three" or transform == "NONE" else (True,):
                    weights = drawn.normal(4 * TREES * len(ids)) if signed else drawn.positive(4 * TREES * len(ids)) / 8
                    yield _node(
                        "TreeEnsembleClassifier",
                        x,
                        opset=opset,
                        outputs=2,
                        label=f"{label} {transform} {'signed' if signed else 'shares'}",
                        post_transform=transform,
                        classlabels_int64s=[5, 6, 9][:count],
                        **nodes,
                        **_votes("class", leaves, ids, weights),
                    )


def _make_nodes() -> tuple[dict[str, Any], list[tuple[int, int]]]:
    """Return full trees, and each leaf's tree and node."""
    generator = np.random.default_rng(5)
    inner, total = 2**DEPTH - 1, 2 ** (DEPTH + 1) - 1
    places = [(tree, node) for tree in range(TREES) for node in range(total)]
    is_leaf = [node >= inner for _, node in places]
    nodes: dict[str, Any] = {
        "nodes_treeids": [tree for tree, _ in places],
        "nodes_nodeids": [node for _, node in places],
        "nodes_featureids": [0 if leaf else int(generator.integers(3)) for leaf in is_leaf],
        "nodes_modes": ["LEAF" if leaf else MODES[int(generator.integers(4))] for leaf in is_leaf],
        "nodes_values": [0.0 if leaf else float(generator.normal()) for leaf in is_leaf],
        "nodes_truenodeids": [0 if leaf else 2 * node + 1 for (_, node), leaf in zip(places, is_leaf, strict=True)],
        "nodes_falsenodeids": [0 if leaf else 2 * node + 2 for (_, node), leaf in zip(places, is_leaf, strict=True)],
        "nodes_missing_value_tracks_true": [int(generator.integers(2)) for _ in places],
    }
    return nodes, [place for place, leaf in zip(places, is_leaf, strict=True) if leaf]


def _votes(kind: str, leaves: list[tuple[int, int]], ids: list[int], weights: Any) -> dict[str, Any]:
    every = [(tree, node, index) for tree, node in leaves for index in ids]
    return {
        f"{kind}_treeids": [tree for tree, _, _ in every],
        f"{kind}_nodeids": [node for _, node, _ in every],
        f"{kind}_ids": [index for _, _, index in every],
        f"{kind}_weights": [float(weight) for weight in weights],
    }


def _new_trees() -> Iterator[Case]:
    x = values("new trees").normal(6, 3)
    x[0, 0] = np.nan
    options: dict[str, Any] = {
        "n_targets": 2,
        "tree_roots": [0, 2],
        "nodes_modes": numpy_helper.from_array(np.array([0, 4, 1], np.uint8)),
        "nodes_featureids": [0, 1, 2],
        "nodes_splits": numpy_helper.from_array(np.array([0.1, 0.5, -0.2], np.float32)),
        "nodes_truenodeids": [1, 2, 2],
        "nodes_trueleafs": [0, 1, 1],
        "nodes_falsenodeids": [0, 1, 3],
        "nodes_falseleafs": [1, 1, 1],
        "nodes_missing_value_tracks_true": [1, 0, 1],
        "leaf_targetids": [0, 1, 0, 1],
        "leaf_weights": numpy_helper.from_array(np.array([0.3, 1.5, -2, 0.7], np.float32)),
    }
    for function in range(4):
        yield _node("TreeEnsemble", x, opset=5, label=f"function {function}", aggregate_function=function, **options)


def _support_vectors() -> Iterator[Case]:
    drawn = values("support vectors")
    x = drawn.normal(6, 3)
    for kernel, parameters in KERNELS.items():
        common: dict[str, Any] = {
            "kernel_type": kernel,
            "kernel_params": parameters,
            "support_vectors": drawn.normal(15).tolist(),
        }
        for one_class in (0, 1):
            weights = drawn.normal(5).tolist()
            yield _node(
                "SVMRegressor",
                x,
                label=kernel,
                n_supports=5,
                rho=[0.25],
                coefficients=weights,
                one_class=one_class,
                **common,
            )
        for counts in ([2, 3], [2, 1, 2]):
            pairs = len(counts) * (len(counts) - 1) // 2
            options = common | {
                "vectors_per_class": counts,
                "coefficients": drawn.normal(5 * (len(counts) - 1)).tolist(),
                "rho": drawn.normal(pairs).tolist(),
                "classlabels_ints": [3, 5, 8][: len(counts)],
            }
            yield _node("SVMClassifier", x, outputs=2, label=f"{kernel} {counts}", **options)
            shares = {"prob_a": (-1 - drawn.positive(pairs)).tolist(), "prob_b": drawn.normal(pairs).tolist()}
            yield _node("SVMClassifier", x, outputs=2, label=f"{kernel} {counts} shares", **options, **shares)
