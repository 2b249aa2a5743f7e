"""A third engine for a question that two witnesses answer differently."""

from __future__ import annotations

__all__ = ["FLOAT64", "ORT", "THIRD_ENGINES", "ThirdOpinion", "ask_third_engines", "find_ally"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from toolkit.errors import ToolkitError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.references.rounding_limits import find_distance
from toolkit.runtimes.base import Arrays, RuntimeSettings
from toolkit.runtimes.installed import is_installed
from toolkit.runtimes.workers.client import Opener
from toolkit.runtimes.workers.time_limits import LOOK_S

# The two that are asked first.
FLOAT64, ORT = "onnx-float64", "ort-unoptimised"
# Code of their own, the soonest first: ORT's other packages and ONNX's evaluator would repeat what was said.
THIRD_ENGINES = ("openvino", "tract", "opencv", "plain-c", "tvm", "jax", "iree")
MOST_WORDS = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class ThirdOpinion:
    """What other engines say where two part.

    Attributes:
        engine: the first that agrees with one of the two; empty where none does.
        agrees_with: with which.
        against: engines that answered something else than either.
        absent: engines that gave no answer, and why.
        why_nobody: why no other engine was asked; empty where some were, or none is installed.
    """

    engine: str = ""
    agrees_with: str = ""
    against: tuple[str, ...] = ()
    absent: dict[str, str] = field(default_factory=dict)
    why_nobody: str = ""

    def describe(self) -> str:
        """Return who gave no answer, in words."""
        if self.why_nobody:
            return self.why_nobody
        if not self.absent:
            return "no other engine is installed" if not self.against else "no other engine agrees with one of them"
        return "; ".join(f"{name} gave no answer ({words})" for name, words in self.absent.items())


def ask_third_engines(
    source: ModelSource,
    feeds: Arrays,
    *,
    compare: Callable[[Arrays], str | None],
    opener: Opener,
    timeout_s: float = LOOK_S,
) -> ThirdOpinion:
    """Ask one installed engine after the other until an answer agrees with one of those that part.

    Args:
        source: the model, or one node of it.
        feeds: the call.
        compare: tells whom an answer agrees with; None for nobody.
        opener: opens it in an engine.
        timeout_s: most seconds for one request to an engine.
    """
    absent: dict[str, str] = {}
    against: list[str] = []
    for name in THIRD_ENGINES:
        if not is_installed(name):
            continue
        try:
            with opener(source, RuntimeSettings(runtime=name), timeout_s=timeout_s) as worker:
                ally = compare(worker.run(feeds))
        except ToolkitError as error:  # it refuses, crashed, hung, or cannot be imported after all
            absent[name] = str(error)[:MOST_WORDS]
            continue
        if ally is not None:
            return ThirdOpinion(engine=name, agrees_with=ally, against=tuple(against), absent=absent)
        against.append(name)
    return ThirdOpinion(against=tuple(against), absent=absent)


def find_ally(answer: Arrays, *, answers: Mapping[str, Arrays], allowed: float) -> str | None:
    """Return which of some answers a further one is; None where it is none, or lies near several.

    Args:
        answer: every output by name.
        answers: of those that part, by who gave them.
        allowed: largest distance, as a share of the largest number.
    """
    near = [
        who
        for who, other in answers.items()
        if all(name in answer and find_distance(answer[name], array) <= allowed for name, array in other.items())
    ]
    # Near both of those that part it would decide nothing.
    return near[0] if len(near) == 1 else None
