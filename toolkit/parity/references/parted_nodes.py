"""The nodes at which two witnesses part: each node on its own, on the same inputs, so that none inherits a mistake."""

from __future__ import annotations

__all__ = ["PartedNode", "find_left_open", "find_parted_nodes"]

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ModelError
from toolkit.onnx_file.element_types import is_float
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.references.rounding_limits import RoundingLimits, find_distance, probability_share
from toolkit.parity.references.third_engines import FLOAT64, ORT, ThirdOpinion, ask_third_engines, find_ally
from toolkit.runtimes.base import Arrays, RuntimeSettings
from toolkit.runtimes.workers.client import Opener
from toolkit.runtimes.workers.time_limits import ANSWER_S

if TYPE_CHECKING:
    from toolkit.onnx_file.cutting import LooseNode

# Nodes of one kind part alike; the first few tell.
MOST_NODES = 4
PROBABILITIES = {"Sigmoid", "Softmax", "HardSigmoid"}
# Tensors of other kinds (sequences, strings) are not handed from process to process.
HANDED = {"float64", "float32", "float16", "bool"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PartedNode:
    """One node that two witnesses compute differently on the same inputs.

    Attributes:
        node: which.
        distance: as a share of the largest number; infinite where no number tells.
        opinion: of the other engines.
    """

    node: LooseNode
    distance: float
    opinion: ThirdOpinion

    @property
    def agree(self) -> tuple[str, ...]:
        """Who gives the answer that two give; empty where no two do."""
        return (self.opinion.agrees_with, self.opinion.engine) if self.opinion.engine else ()

    @property
    def against(self) -> tuple[str, ...]:
        """Who answers something else."""
        return (*(name for name in (FLOAT64, ORT) if name != self.opinion.agrees_with), *self.opinion.against)

    def describe(self) -> str:
        """Return the node and who says what, in one line."""
        node = self.node
        operator = f"{node.domain}.{node.operator}" if node.domain else node.operator
        settings = ", ".join([f"opset {node.opset}", *(f"{name}={value}" for name, value in node.attributes.items())])
        apart = (
            "in whole numbers, shape or where it is finite" if np.isinf(self.distance) else f"by {self.distance:.2g}"
        )
        verdict = (
            f"{' and '.join(self.agree)} agree against {' and '.join(self.against)}"
            if self.agree
            else f"{' and '.join(self.against)} all part; {self.opinion.describe()}"
        )
        return f"node {node.name!r} ({operator}, {settings}) differs {apart} on the same inputs: {verdict}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        node = self.node._asdict()
        del node["number"]
        return {
            "node": node.pop("name"),
            **node,
            "outputs": list(self.node.outputs),
            "distance": None if np.isinf(self.distance) else self.distance,
            "agree": list(self.agree),
            "against": list(self.against),
            "absent": self.opinion.absent,
        }


def find_parted_nodes(
    source: ModelSource, feeds: Arrays, *, limits: RoundingLimits, opener: Opener, timeout_s: float = ANSWER_S
) -> tuple[PartedNode, ...] | None:
    """Find the nodes that float64 and unoptimised ONNX Runtime compute differently, in the graph's order.

    Every tensor of the main graph is computed in float64 and rounded to its own type; each node is then run on those
    values by both. Where moving a node's inputs by a unit in the last place moves its output as far, the two do not
    part: the node is ill conditioned there. Branches and bodies count with the node that holds them.

    Args:
        source: the model.
        feeds: the call.
        limits: of the file's arithmetic.
        opener: opens the file, and parts of it.
        timeout_s: most seconds for one run of all nodes.

    Returns:
        The first few; None where nodes could not be run on their own, so that finding none would say nothing.

    Raises:
        WorkerError: a process ended.
    """
    from toolkit.onnx_file.cutting import MADE, list_made, take_apart

    try:
        values = _values_of(source, feeds, opener=opener, timeout_s=timeout_s)
        apart, fed, nodes = take_apart(source, values)
        right, seen = (
            _run(apart, runtime, feeds=fed, opener=opener, timeout_s=timeout_s) for runtime in (FLOAT64, ORT)
        )
    except ModelError:
        return None
    parted = []
    for node in nodes:
        distance = max(find_distance(seen[name + MADE], right[name + MADE]) for name in node.outputs)
        if distance > max(limits.node, _probability(node, right)):
            found = _examine(source, node, values=values, distance=distance, limits=limits, opener=opener)
            parted += [found] if found is not None else []
        if len(parted) == MOST_NODES:
            break
    # Finding none says something only where every node could be run on its own.
    is_whole = {name for node in nodes for name in node.outputs} >= set(list_made(source))
    return tuple(parted) if parted or is_whole else None


def find_left_open(node: LooseNode, feeds: Arrays, *, made: Arrays) -> str:
    """Return what the standard leaves open in one node on these values; empty where it says everything.

    Args:
        node: which.
        feeds: what it is given.
        made: an answer of it, in the file's own types.

    Sources: "If 'sorted' is not 1, the order of returned 'Values' and 'Indices' are undefined" (TopK); the table of
    Cast, where a float outside of the integer type's range is undefined, as is one that is not finite.
    """
    if node.domain:
        return ""
    if node.operator == "TopK" and node.attributes.get("sorted") == "0":
        return "with sorted=0 the standard leaves the order to the engine; give it sorted=1 to have one"
    kinds = [array.dtype for array in made.values() if array.dtype.kind in "iu"]
    if node.operator == "Cast" and kinds and not all(_has_place(array, kinds[0]) for array in feeds.values()):
        return f"the standard leaves open what a number becomes that {kinds[0]} cannot hold; clip it before the cast"
    return ""


def _values_of(source: ModelSource, feeds: Arrays, *, opener: Opener, timeout_s: float) -> dict[str, NDArray[Any]]:
    """Return every tensor of the main graph, computed in float64 and rounded to the type that it has in the file."""
    from toolkit.onnx_file.cutting import expose_tensors

    with opener(expose_tensors(source), _settings(ORT), timeout_s=timeout_s) as worker:
        dtypes = {spec.name: spec.dtype for spec in worker.info.outputs if spec.dtype in HANDED}
    exact = _run(expose_tensors(source, dtypes), FLOAT64, feeds=feeds, opener=opener, timeout_s=timeout_s)
    with np.errstate(over="ignore"):
        return {**feeds, **{name: array.astype(dtypes[name]) for name, array in exact.items()}}


def _examine(
    source: ModelSource, node: LooseNode, *, values: Arrays, distance: float, limits: RoundingLimits, opener: Opener
) -> PartedNode | None:
    """Run one node on its own; None where rounding of its inputs explains the distance."""
    from toolkit.onnx_file.cutting import take_apart

    single, feeds, _ = take_apart(source, values, only=node)
    answers = {name: _run(single, name, feeds=feeds, opener=opener) for name in (FLOAT64, ORT)}
    with opener(single, RuntimeSettings(runtime="ort-jittered"), timeout_s=ANSWER_S) as worker:
        moved = {name: float(array) for name, array in worker.run(feeds).items()}
    explained = max(_share(moved[name], array) for name, array in answers[ORT].items())
    allowed = max(limits.node, limits.factor * explained, _probability(node, answers[FLOAT64]))
    if distance <= allowed:
        return None
    left_open = find_left_open(node, feeds, made=answers[ORT])
    if left_open:
        return PartedNode(node=node, distance=distance, opinion=ThirdOpinion(why_nobody=left_open))
    opinion = ask_third_engines(
        single, feeds, compare=partial(find_ally, answers=answers, allowed=allowed), opener=opener
    )
    return PartedNode(node=node, distance=distance, opinion=opinion)


def _probability(node: LooseNode, made: Arrays) -> float:
    """Return what a node that makes probabilities may differ by, as a share of the largest; 0 for another node."""
    from toolkit.onnx_file.cutting import MADE

    if node.operator not in PROBABILITIES:
        return 0.0
    return probability_share(float(np.abs(made[node.outputs[0] + MADE]).max(initial=0.0)))


def _share(moved: float, array: NDArray[Any]) -> float:
    if array.dtype.kind != "f":
        return 0.0
    largest = float(np.abs(array[np.isfinite(array)].astype(np.float64)).max(initial=0.0))
    return moved / largest if largest else 0.0


def _run(
    source: ModelSource, name: str, *, feeds: Arrays, opener: Opener, timeout_s: float = ANSWER_S
) -> dict[str, NDArray[Any]]:
    with opener(source, _settings(name), timeout_s=timeout_s) as worker:
        return worker.run(feeds)


def _settings(name: str) -> RuntimeSettings:
    if name == ORT:
        return RuntimeSettings(optimisation="none", threads=1)
    return RuntimeSettings(runtime="onnx-widened")


def _has_place(array: NDArray[Any], kind: np.dtype[Any]) -> bool:
    if not is_float(array.dtype):
        return True
    limits = np.iinfo(kind)
    wide = np.trunc(array.astype(np.float64))
    # The largest of 64 bits is no float64; the number after it is.
    return bool(((wide >= float(limits.min)) & (wide < float(limits.max) + 1)).all())
