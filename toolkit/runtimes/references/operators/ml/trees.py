"""TreeEnsemble and its forerunners TreeEnsembleClassifier and TreeEnsembleRegressor.

Shapes: N rows, F features, T trees, K classes or targets; a tree's nodes stand in lists of one length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, Type, operator
from toolkit.runtimes.references.operators.ml.scores import (
    DOMAIN,
    as_rows,
    classify,
    finish_pair,
    name_classes,
    transform,
)

LEAF = "LEAF"
# Operators-ml.md, TreeEnsemble: the numbers of modes, aggregates and transforms.
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


class _Forest(NamedTuple):
    """The nodes of all trees, leaves among them.

    Attributes:
        roots: the place of each tree's first node `[T]`.
        modes: of `MODES`, or `LEAF`.
        features: which column a node looks at.
        values: what it compares with.
        branches: the places to go to, where the comparison fails and where it holds `[nodes, 2]`.
        nan_holds: whether a missing value goes where the comparison holds.
        members: the values of each node whose mode is BRANCH_MEMBER.
    """

    roots: Array
    modes: Array
    features: Array
    values: Array
    branches: Array
    nan_holds: Array
    members: Mapping[int, Array]


class _Votes(NamedTuple):
    """What the leaves say, by leaf.

    Attributes:
        starts: the first vote of each place `[nodes + 1]`.
        targets: of each vote.
        weights: likewise.
    """

    starts: Array
    targets: Array
    weights: Array


@operator("TreeEnsembleRegressor", domain=DOMAIN)
def _regressor(
    x: Array, *, aggregate_function: str, n_targets: int, post_transform: str, real: Type, **attributes: Any
) -> Array:
    """Return the targets' sums, means, least or largest of all trees `[N, K]`; Operators-ml.md, TreeEnsembleRegressor.

    ONNX Runtime passes over the transform of a single target; the text does not.
    """
    rows = as_rows(x, real)
    forest, votes = _read_trees(attributes, "target")
    scores = _aggregate(rows, forest, votes=votes, count=n_targets, function=aggregate_function)
    base = _numbers(attributes, "base_values")
    scores = scores if base is None else scores + base.astype(rows.dtype)
    return transform(scores, post_transform).astype(real)


@operator("TreeEnsembleClassifier", domain=DOMAIN)
def _classifier(
    x: Array,
    *,
    classlabels_int64s: list[int] | None,
    classlabels_strings: list[str] | None,
    post_transform: str,
    real: Type,
    **attributes: Any,
) -> tuple[Array, Array]:
    """Return the top class `[N]` and the scores `[N, K]`; Operators-ml.md, TreeEnsembleClassifier.

    Where the leaves vote for one of two classes only, the votes are the second one's, as in ONNX Runtime.

    Raises:
        ValueError: base values that are neither one of each class nor that of the only class with votes.
    """
    rows = as_rows(x, real)
    labels = classlabels_int64s or classlabels_strings or []
    forest, votes = _read_trees(attributes, "class")
    scores = _aggregate(rows, forest, votes=votes, count=max(len(labels), int(votes.targets.max()) + 1), function="SUM")
    base, voted = _numbers(attributes, "base_values"), np.unique(votes.targets)
    is_pair = len(labels) == 2 and len(voted) == 1
    if is_pair:
        scores = scores[:, voted]
    if base is not None:
        if len(base) != scores.shape[1] or (is_pair and voted[0] != 0):
            raise ValueError(f"the standard has no meaning for {len(base)} base values of {scores.shape[1]} classes")
        scores = scores + base.astype(rows.dtype)
    if is_pair:
        pair = finish_pair(scores[:, 0], post_transform, is_share=bool((votes.weights >= 0).all()))
        return name_classes(pair.argmax(axis=1), labels), pair.astype(real)
    return classify(scores, labels, name=post_transform, is_share=False, real=real)


@operator("TreeEnsemble", domain=DOMAIN)
def _ensemble(
    x: Array, *, aggregate_function: int, n_targets: int, post_transform: int, tree_roots: list[int], **attributes: Any
) -> Array:
    """Return the targets' aggregates `[N, K]`; inner nodes and leaves have lists of their own; TreeEnsemble-5."""
    modes = [MODES[mode] for mode in attributes["nodes_modes"]]
    inner, leaves = len(modes), len(attributes["leaf_targetids"])
    ids, leafs = (
        np.array([attributes[f"nodes_{side}{kind}"] for side in ("false", "true")]) for kind in ("nodeids", "leafs")
    )
    nan_holds = attributes["nodes_missing_value_tracks_true"] or [0] * inner
    forest = _Forest(
        np.array(tree_roots),
        np.array([*modes, *[LEAF] * leaves]),
        np.pad(attributes["nodes_featureids"], (0, leaves)),
        np.pad(attributes["nodes_splits"].astype(x.dtype), (0, leaves)),
        # A number of a leaf counts in the leaves' own list, which is laid behind the inner nodes.
        np.pad(ids + inner * leafs, ((0, 0), (0, leaves))).T,
        np.pad(np.array(nan_holds, bool), (0, leaves)),
        _members(modes, attributes["membership_values"]),
    )
    starts = np.concatenate([np.zeros(inner, np.int64), np.arange(leaves + 1)])
    votes = _Votes(starts, np.array(attributes["leaf_targetids"]), attributes["leaf_weights"].astype(x.dtype))
    scores = _aggregate(x, forest, votes=votes, count=n_targets, function=AGGREGATES[aggregate_function])
    return transform(scores, TRANSFORMS[post_transform])


def _members(modes: Sequence[str], values: Array | None) -> dict[int, Array]:
    """Return the values of each BRANCH_MEMBER node, which NaN parts from the next one's."""
    if values is None:
        return {}
    parts = np.split(values, np.flatnonzero(np.isnan(values)))
    nodes = [index for index, mode in enumerate(modes) if mode == MODES[-1]]
    return {node: part[~np.isnan(part)] for node, part in zip(nodes, parts, strict=False)}


def _numbers(attributes: Mapping[str, Any], name: str) -> Array | None:
    """Return an attribute, or the tensor that may stand for it since version 3."""
    tensor = attributes.get(f"{name}_as_tensor")
    plain = attributes.get(name)
    return tensor if tensor is not None else None if plain is None else np.array(plain)


def _read_trees(attributes: Mapping[str, Any], kind: str) -> tuple[_Forest, _Votes]:
    """Return the nodes and the votes for each `kind`, `class` or `target`."""
    trees, nodes = attributes["nodes_treeids"], attributes["nodes_nodeids"]
    places = {key: place for place, key in enumerate(zip(trees, nodes, strict=True))}
    # What a leaf names for its branches is followed by nobody: any place will do.
    branches = [
        [places.get((tree, node), 0) for tree, node in zip(trees, attributes[name], strict=True)]
        for name in ("nodes_falsenodeids", "nodes_truenodeids")
    ]
    values, weights = _numbers(attributes, "nodes_values"), _numbers(attributes, f"{kind}_weights")
    assert values is not None
    assert weights is not None
    _, roots = np.unique(trees, return_index=True)
    nan_holds = attributes["nodes_missing_value_tracks_true"] or [0] * len(trees)
    forest = _Forest(
        roots,
        np.array(attributes["nodes_modes"]),
        np.array(attributes["nodes_featureids"]),
        values,
        np.array(branches).T,
        np.array(nan_holds, bool),
        {},
    )
    keys = zip(attributes[f"{kind}_treeids"], attributes[f"{kind}_nodeids"], strict=True)
    own = np.array([places[key] for key in keys], np.int64)
    order = np.argsort(own, kind="stable")
    starts = np.searchsorted(own[order], np.arange(len(trees) + 1))
    return forest, _Votes(starts, np.array(attributes[f"{kind}_ids"], np.int64)[order], weights[order])


def _find_leaves(x: Array, forest: _Forest) -> Array:
    """Return the leaf that each row comes to in each tree `[N, T]`."""
    at = np.tile(forest.roots, (len(x), 1))
    while True:
        modes = forest.modes[at]
        if (modes == LEAF).all():
            return at
        seen = x[np.arange(len(x))[:, None], forest.features[at]]
        holds = np.where(np.isnan(seen), forest.nan_holds[at], _compare(seen, at, modes=modes, forest=forest))
        at = np.where(modes == LEAF, at, forest.branches[at, holds.astype(np.int64)])


def _compare(seen: Array, at: Array, *, modes: Array, forest: _Forest) -> Array:
    wanted = forest.values[at].astype(seen.dtype)
    answers = (seen <= wanted, seen < wanted, seen >= wanted, seen > wanted, seen == wanted, seen != wanted)
    holds: Array = np.select([modes == mode for mode in MODES[:-1]], answers, default=False)
    for node, members in forest.members.items():
        holds = np.where(at == node, np.isin(seen, members.astype(seen.dtype)), holds)
    return holds


def _aggregate(x: Array, forest: _Forest, *, votes: _Votes, count: int, function: str) -> Array:
    """Bring all leaves' votes together `[N, K]`; a target without a vote is 0."""
    join = {"MIN": np.minimum, "MAX": np.maximum}.get(function, np.add)
    start = {"MIN": np.inf, "MAX": -np.inf}.get(function, 0.0)
    result = np.full((len(x), count), start, x.dtype)
    leaves = _find_leaves(x, forest)
    for column in leaves.T:
        first, last = votes.starts[column], votes.starts[column + 1]
        # One vote of every row's leaf at a time: leaves have different numbers of them.
        for extra in range(int((last - first).max(initial=0))):
            rows = np.flatnonzero(first + extra < last)
            vote = first[rows] + extra
            join.at(result, (rows, votes.targets[vote]), votes.weights[vote].astype(x.dtype))
    if function == "AVERAGE":
        result /= leaves.shape[1]
    return np.where(np.isinf(result), 0, result) if function in {"MIN", "MAX"} else result
