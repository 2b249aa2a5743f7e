"""What is known of a stranger's file before any engine is judged: its answers, the bounds, and who vouches for them."""

from __future__ import annotations

__all__ = ["NEXT_STEP", "UNDECIDED", "FeedExpectation", "FeedsReference", "Witnesses", "compare_feeds"]

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from toolkit.counts import count_of
from toolkit.onnx_file.element_types import find_finite, type_name
from toolkit.runtimes.agreement import Agreement
from toolkit.runtimes.base import Arrays

# The reference's kind where witnesses part and nobody is believed.
UNDECIDED = "undecided"
# A verdict rests on the calls that decide; of every output that is at least this share of them.
LEAST_DECIDED = 0.5
# Where float32 leaves more than this share of an output's numbers open in a call, the call says nothing of it.
MOST_OPEN = 0.25
NEXT_STEP = "bring inputs that suit the file with --inputs FILE.npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnesses:
    """Who was asked for a file's answers, and who is believed. JSON: `reference_witnesses`.

    Attributes:
        believed: `onnx-float64`, `ort-unoptimised`, or empty where nobody is.
        agree: who gives the believed answer, within what rounding explains.
        against: who answers something else.
        absent: who gave no answer, and why.
        nodes: the nodes that part, in the graph's order: `node`, `operator`, `domain`, `opset`, `attributes`,
            `outputs`, `distance` (share of the largest number; None where no number tells), `agree`, `against` and
            `absent` as above.
        words: all of it in one line.
    """

    believed: str
    agree: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    absent: dict[str, str] = field(default_factory=dict)
    nodes: tuple[dict[str, Any], ...] = ()
    words: str

    @property
    def is_alone(self) -> bool:
        """Whether nobody stands beside the one that is believed."""
        return len(self.agree) < 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedExpectation:
    """The known answers of one call.

    Attributes:
        is_of_images: whether it belongs to a model of ours, which is fed images and answers logits.
        name: of the feed set.
        feeds: every input by name.
        outputs: every output by name; floats as float64, whole numbers as they are.
        dtypes: the element type that each output has in the file.
        bounds: for each output of floats, the largest absolute error that rounding explains.
        reach: for each output whose bound is at its cap, the error up to which nothing is decided.
        steps: for outputs of a file that quantises, the error up to which a step taken on its other side explains it,
            for one in 16 bits that to which its roundings do; what is between that and the bound is neither right nor
            wrong.
        undecided: for each output, where float32 itself does not give the reference's whole number, or is finite and
            the reference is not, or the other way round.
    """

    is_of_images: ClassVar[bool] = False

    name: str
    feeds: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]
    dtypes: dict[str, str]
    bounds: dict[str, float]
    reach: dict[str, float] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)
    undecided: dict[str, NDArray[np.bool_]]

    @property
    def bound(self) -> float:
        """The largest of the bounds; 0 where nothing is a float."""
        return max(self.bounds.values(), default=0.0)

    def __len__(self) -> int:
        """Return the first size of the first input, 1 where it has none."""
        first = next(iter(self.feeds.values()), np.zeros(()))
        return first.shape[0] if first.ndim else 1

    @property
    def output_names(self) -> tuple[str, ...]:
        """What the file declares and can be compared."""
        return tuple(self.outputs)

    def split(self, batch: int) -> tuple[Arrays, ...]:
        """Return the one call, whatever its size."""
        del batch
        return (self.feeds,)

    def around(self, index: int, batch: int) -> tuple[int, FeedExpectation]:
        """Return the one call, which holds every item."""
        del index, batch
        return 0, self

    def image(self, position: int) -> None:
        """Return nothing: a stranger's input need not be an image."""
        del position

    def compare(self, outputs: Arrays) -> Agreement:
        """Compare an engine's outputs of the call, as `compare_feeds`."""
        return compare_feeds(outputs, self)

    def decides(self, name: str) -> bool:
        """Tell whether a wrong answer of an output would be seen in this call."""
        array = self.outputs[name]
        if name in self.reach or self.is_open(name):
            return False
        return not array.size or bool((find_finite(array) & ~self.undecided[name]).any())

    def largest(self, name: str) -> float:
        """Return the largest finite number of an output; 0 where there is none."""
        array = self.outputs[name]
        return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))

    def is_open(self, name: str) -> bool:
        """Tell whether float32 itself leaves too much of an output open."""
        unclear = self.undecided[name]
        return bool(unclear.sum() > MOST_OPEN * unclear.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedsReference:
    """The reference of a whole check of a stranger's file.

    Attributes:
        kind: `onnx-float64`; `ort-unoptimised` where there is no float64 evaluation or it is the one that is wrong;
            `undecided` where witnesses part and nobody is believed.
        rule: how the bound was made.
        witnesses: who vouches for it.
        left_out: what was not asked for the budget, and outputs that cannot be compared; one line each.
        suites: one entry for each call.
    """

    kind: str
    rule: str
    witnesses: Witnesses
    left_out: tuple[str, ...] = ()
    suites: tuple[FeedExpectation, ...]

    @property
    def open_question(self) -> str:
        """Why no engine can pass by this reference, with the next step; empty where one can."""
        if self.kind == UNDECIDED:
            return self.witnesses.words
        if not self.suites[0].outputs:
            return f"no output can be compared: {'; '.join(self.left_out)}"
        for name in self.suites[0].outputs:
            calls = [item.name for item in self.suites if item.decides(name)]
            if len(calls) < LEAST_DECIDED * len(self.suites):
                return f"{self._explain_open(name, len(calls))}; {NEXT_STEP}"
        if not any(array.any() for item in self.suites for array in item.outputs.values()):
            # What an engine hands out that has computed nothing.
            return f"every output is empty or 0 everywhere in every call; {NEXT_STEP}"
        return ""

    def _explain_open(self, name: str, decided: int) -> str:
        seen = f"output {name!r} is decided in {decided} of {count_of(len(self.suites), 'call')} only"
        capped = [item for item in self.suites if name in item.reach]
        if capped:
            return (
                f"{seen}: float32 itself is so far from the reference that the bound is at its cap, "
                f"{capped[0].bounds[name]:.2g} in the call {capped[0].name!r}"
            )
        silent = [item for item in self.suites if not item.decides(name)]
        if not any(find_finite(item.outputs[name]).any() for item in silent):
            return f"{seen}: it holds no finite number{' in the others' if decided else ''}"
        return f"{seen}: float32 itself and the reference give other whole numbers, or infinity and NaN elsewhere"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should know of outputs that tell little."""
        return tuple(words for name in self.suites[0].outputs if (words := self._remark(name)))

    def _remark(self, name: str) -> str:
        arrays = [item.outputs[name] for item in self.suites]
        joined = np.concatenate([array.ravel() for array in arrays])
        if not joined.size:
            return f"output {name!r} is empty in every call: only its shape is compared"
        finite = find_finite(joined)
        if not finite.any():
            return f"output {name!r} holds no finite number in any call ({joined[0]:g} for one)"
        if joined.size > 1 and finite.all() and (joined == joined[0]).all():
            return f"output {name!r} is {_in_words(joined[0])} everywhere in every call: these inputs do not move it"
        capped = [item.name for item in self.suites if name in item.reach]
        if capped:
            return (
                f"output {name!r}: the bound is at its cap in the calls {', '.join(capped)}, which decide nothing of it"
            )
        return ""


def compare_feeds(outputs: Arrays, expected: FeedExpectation) -> Agreement:
    """Compare an engine's outputs with the reference; all failures are gathered.

    A number that is not finite has to be the same one at the same place as in the reference, but where float32 itself
    does not decide.

    Args:
        outputs: by name.
        expected: of the same call.
    """
    problems = _check_form(outputs, expected)
    if problems:
        return Agreement(bound=expected.bound, failures=tuple(problems))
    floats = [_compare_floats(name, outputs[name], expected=expected) for name in expected.bounds]
    whole = [
        _compare_whole(name, outputs[name], expected=expected)
        for name in expected.outputs
        if name not in expected.bounds
    ]
    decided = [item for name, item in zip(expected.bounds, floats, strict=True) if name not in expected.reach] or floats
    nearest = max(decided, key=_share_of_bound, default=Agreement(max_abs_logit_error=0.0, bound=expected.bound))
    return Agreement(
        max_abs_logit_error=nearest.max_abs_logit_error,
        bound=nearest.bound,
        flips=sum(item.flips for item in whole),
        flips_excused=sum(item.flips_excused for item in whole),
        worst_index=nearest.worst_index,
        failures=tuple(text for item in (*floats, *whole) for text in item.failures),
        unclear=tuple(text for item in floats for text in item.unclear),
    )


def _check_form(outputs: Arrays, expected: FeedExpectation) -> list[str]:
    problems = [f"output {name!r} is missing" for name in expected.outputs if name not in outputs]
    problems += [f"output {name!r} is not declared by the file" for name in outputs if name not in expected.outputs]
    for name, right in expected.outputs.items():
        if name not in outputs:
            continue
        seen, shape, dtype = type_name(outputs[name].dtype), outputs[name].shape, expected.dtypes[name]
        if (seen, shape) != (dtype, right.shape):
            problems.append(f"{name!r} is {seen} {list(shape)}; expected {dtype} {list(right.shape)}")
    return problems


def _compare_floats(name: str, array: NDArray[Any], *, expected: FeedExpectation) -> Agreement:
    right, bound = expected.outputs[name], expected.bounds[name]
    seen = array.astype(np.float64)
    decided, finite = ~expected.undecided[name], np.isfinite(right)
    strange = np.where(finite, ~np.isfinite(seen), ~_is_same(seen, right)) & decided
    if strange.any():
        place = np.unravel_index(int(strange.argmax()), strange.shape)
        text = f"{name!r} is {seen[place]} at {[int(item) for item in place]}; the reference has {right[place]:.6g}"
        return Agreement(bound=bound, failures=(f"{text} ({count_of(int(strange.sum()), 'such number')})",))
    compared = finite & decided
    error = np.abs(np.where(compared, seen, 0.0) - np.where(compared, right, 0.0))
    worst = float(error.max(initial=0.0))
    allowed = expected.reach.get(name, bound)  # where the bound is at its cap, what is between decides nothing
    text = f"{name!r} differs by {worst:.3g}; rounding explains {allowed:.3g}"
    is_step = allowed < worst <= expected.steps.get(name, 0.0)
    failures = () if worst <= allowed or is_step else (text,)
    unclear = (f"{text}, and what the file itself rounds to may explain more",) if is_step else ()
    item = int(np.unravel_index(int(error.argmax()), error.shape)[0]) if error.ndim and error.size else 0
    return Agreement(max_abs_logit_error=worst, bound=allowed, worst_index=item, failures=failures, unclear=unclear)


def _compare_whole(name: str, array: NDArray[Any], *, expected: FeedExpectation) -> Agreement:
    differs = np.asarray(array != expected.outputs[name])
    wrong = differs & ~expected.undecided[name]
    failures: tuple[str, ...] = ()
    if wrong.any():
        kind = "strings" if array.dtype.kind == "U" else "numbers"
        failures = (f"{int(wrong.sum())} of {wrong.size} {kind} of {name!r} differ from the reference",)
    return Agreement(
        bound=0.0, flips=int(differs.sum()), flips_excused=int((differs & ~wrong).sum()), failures=failures
    )


def _is_same(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (one == other) | (np.isnan(one) & np.isnan(other))
    return same


def _share_of_bound(item: Agreement) -> float:
    return float("inf") if item.max_abs_logit_error is None else item.max_abs_logit_error / item.bound


def _in_words(value: Any) -> str:
    return repr(str(value)) if isinstance(value, np.str_) else f"{value:g}"
