"""Why a row failed: what the file states, then the usual causes, tried one by one on the sample that showed it.

Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = ["explain_logits", "explain_rest", "find_matches", "triage_report"]

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.counts import count_of
from toolkit.errors import ModelError, ToolkitError
from toolkit.onnx_file.element_types import is_float
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.references.stated import read_stated
from toolkit.parity.report import ParityReport, ParityRow, WorstSample
from toolkit.parity.trial import Expectation, Trial, make_trial, run_trials
from toolkit.runtimes.base import Arrays, RuntimeSettings
from toolkit.runtimes.providers import REMOTE
from toolkit.runtimes.references.rounding import UNIT_ROUNDOFF, bound_from_sigma
from toolkit.runtimes.registry import find_runtime
from toolkit.runtimes.workers.client import OpenedWorker, Opener, open_worker
from toolkit.runtimes.workers.time_limits import ANSWER_S

# Rows of a file that is broken fail alike; the first few tell.
MOST_ROWS = 4
# A bound that is wider than this share of the logits' own spread would explain nearly any fault.
TELLING_SHARE = 0.1
UNEXPLAINED = "the engine, by none of the usual mistakes; --bisect finds the first node that is wrong"
# Of a server nobody sees which file it holds; names, types and sizes are those of any other training, too.
SERVED = "the server may hold another file: another training, or fewer bits (fp16, int8); see that it is this one"
Logits = NDArray[np.float64]
# A mistake leaves this share of the images where it says; chance does not.
SCALE_SPREAD = 1e-3
# Both sides are computed in float64.
EXACT = 1e-9


def triage_report(report: ParityReport, source: ModelSource, *, opener: Opener = open_worker) -> ParityReport:
    """Return the report with the causes found of its first failed rows, and of every refusal.

    Args:
        report: with at least one row that failed or was refused.
        source: the model, with its run where there is one.
        opener: opens it again and again.
    """
    stated = read_stated(source)
    found = {
        id(row): (*stated.explain_refusal(row.runtime), *stated.context)
        for row in report.rows
        if row.status == "refused"
    }
    failed = [row for row in report.rows if row.status == "fail" and row.worst is not None][:MOST_ROWS]
    of_file: tuple[str, ...] | None = None
    for row in failed:
        is_ours = row.worst is not None and row.worst.expected.is_of_images
        if row.worst is not None and is_ours and of_file is None:
            of_file = _safely(_causes_in_file(row.worst, source, opener=opener))
        # Of a file of ours the card tells in which type its weights are, and where they lie.
        known = stated.chance if is_ours else (*stated.chance, *stated.context)
        shown = of_file or _safely(_causes_in_engine(row, source, opener=opener, has_chance=bool(stated.chance)))
        is_remote = find_runtime(row.runtime).is_remote
        otherwise = (UNEXPLAINED,) if not stated.chance and not is_remote else ()
        found[id(row)] = (*known, *(shown or otherwise), *((SERVED,) if is_remote and not of_file else ()))
    return replace(report, rows=tuple(replace(row, causes=found.get(id(row), ())) for row in report.rows))


def explain_logits(seen: Logits, reference: Logits, *, bound: float) -> Iterator[str]:
    """Yield what turns the reference's logits into the ones seen, within the bound; nothing where nothing does.

    Args:
        seen: `[N, K]`, of a batch.
        reference: `[N, K]`.
        bound: of the reference.
    """
    if np.abs(_softmax(reference) - seen).max() <= bound:
        yield "the logits are probabilities: a softmax stands before the output"
    apart = seen - reference
    if np.ptp(apart, axis=1).max() <= 2 * bound < np.abs(apart).max():
        yield "every image's logits are moved by one number, as by a log-softmax"
    order = _permutation(seen, reference, bound=bound)
    if order is not None:
        yield f"the classes are in another order: output k holds class {order.tolist()}[k]"
    # The least-squares factor; a reference of zeros has none.
    factor = float((seen * reference).sum() / max((reference**2).sum(), np.finfo(float).tiny))
    if abs(factor - 1) > SCALE_SPREAD and np.abs(seen - factor * reference).max() <= bound * max(1.0, abs(factor)):
        yield f"the logits are {factor:.4g} times the reference's"


def explain_rest(outputs: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    """Yield what is wrong with a file whose logits are right: its label, its probabilities, in float64 too.

    Args:
        outputs: `logits`, `probabilities` and `label` of a batch, computed in float64.
    """
    logits, label = outputs["logits"], outputs["label"]
    right = logits.argmax(axis=1)
    if not np.array_equal(label, right):
        known = {"the smallest logit's": logits.argmin(axis=1), "one too high": right + 1, "one too low": right - 1}
        which = next((name for name, value in known.items() if np.array_equal(label, value)), "not the largest logit's")
        yield f"the file: its `label` is {which}, in float64 too"
    seen = outputs["probabilities"]
    if not _is_near(seen, _softmax(logits)):
        known = {
            "a softmax over the batch": _softmax(logits.T).T,
            "the logits": logits,
            "a sigmoid of the logits": 1 / (1 + np.exp(-logits)),
        }
        which = next((name for name, value in known.items() if _is_near(seen, value)), "not the softmax of its logits")
        yield f"the file: its `probabilities` are {which}, in float64 too"


def find_matches(seen: Logits, answers: Mapping[str, NDArray[Any]], *, bound: float) -> tuple[str, ...]:
    """Return the names of the answers, `[N, K]` each, that are `seen` within the bound."""
    return tuple(
        name for name, answer in answers.items() if answer.shape == seen.shape and np.abs(answer - seen).max() <= bound
    )


def _safely(causes: Iterator[str]) -> tuple[str, ...]:
    """Gather causes; an engine that ends while it is examined is a finding, not the end of the command."""
    gathered: list[str] = []
    try:
        gathered.extend(causes)
    except ToolkitError as error:
        gathered.append(f"while looking for the cause: {error}")
    return tuple(gathered)


def _causes_in_file(worst: WorstSample, source: ModelSource, *, opener: Opener) -> Iterator[str]:
    """Yield what is wrong with the file: its own graph in float64 is not what the reference says."""
    images, bound, reference = worst.expected.feeds["images"], worst.expected.bound, worst.expected.outputs["logits"]
    with opener(source, RuntimeSettings(runtime="onnx-widened"), timeout_s=ANSWER_S) as graph:
        outputs = graph.run({"images": images})
    seen = outputs["logits"]
    if seen.shape != reference.shape:
        yield f"the file: its logits are {list(seen.shape)} for {count_of(len(images), 'image')}"
        return
    error = float(np.abs(seen - reference).max())
    if error <= bound:
        yield from explain_rest(outputs)
        return
    yield f"the file: its own graph differs from the reference by {error:.3g} in float64 too, so no engine is at fault"
    known = list(explain_logits(seen, reference, bound=bound))
    if source.run is not None:
        with opener(source, RuntimeSettings(runtime="torch-suspects"), timeout_s=ANSWER_S) as suspects:
            known += find_matches(seen, suspects.run({"images": images}), bound=bound)
            known += suspects.info.details["weights"][:MOST_ROWS]
            if not known and suspects.info.details["are_all_known"]:
                known = ["the graph: every weight is the run's, so the exporter or an edit changed what is computed"]
    yield from known


def _causes_in_engine(row: ParityRow, source: ModelSource, *, opener: Opener, has_chance: bool) -> Iterator[str]:
    """Yield what changes the verdict of an engine that fails on a file that is right.

    Args:
        row: that failed.
        source: the model.
        opener: opens it.
        has_chance: whether the file states why its answers differ from run to run, or from batch to batch.
    """
    worst = row.worst
    if worst is None:
        return
    trial = make_trial(worst.expected)
    settings = worst.settings
    with opener(source, settings, timeout_s=ANSWER_S) as worker:
        yield from () if has_chance else _causes_in_calls(worker, trial)
    for cause, changed in _changes(settings):
        with opener(source, changed, timeout_s=ANSWER_S) as worker:
            if all(outcome.agreement for outcome in run_trials(worker, [trial])):
                yield cause
    # In an int8 file no roundoff explains an error: its bound is empirical.
    if worst.expected.is_of_images and row.precision != "int8":
        yield from _arithmetic(worst.expected, worst.error or 0.0, source=source, opener=opener)


def _causes_in_calls(worker: OpenedWorker, trial: Trial) -> Iterator[str]:
    first, second = (_first_outputs(worker, trial) for _ in range(2))
    if first is not None and second is not None:
        moved = [name for name, array in first.items() if not _is_same(array, second[name])]
        if moved:
            yield f"chance: {moved[0]!r} differs between two runs on the same input, and the file states nothing random"
    expected = trial.expected
    if not expected.is_of_images:
        return
    sizes = sorted({1, min(2, len(expected)), min(3, len(expected)), len(expected)})
    verdicts = {size: _passes(worker, expected, size=size) for size in sizes}
    if len(set(verdicts.values())) == 2:
        right, wrong = (", ".join(str(size) for size in sizes if verdicts[size] is kind) for kind in (True, False))
        yield f"the batch: right at {right}, wrong at {wrong}: a size is baked in, or items are mixed"


def _passes(worker: OpenedWorker, expected: Expectation, *, size: int) -> bool:
    return all(outcome.agreement for outcome in run_trials(worker, [make_trial(expected, size)]))


def _first_outputs(worker: OpenedWorker, trial: Trial) -> Arrays | None:
    try:
        return worker.run(trial.feeds[0])
    except ModelError:
        return None


def _is_same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return np.array_equal(one, other, equal_nan=is_float(one.dtype))


def _changes(settings: RuntimeSettings) -> Iterator[tuple[str, RuntimeSettings]]:
    """Yield settings that are safer, with what it means when they pass."""
    if settings.tf32:
        yield "TF32: without it the row passes", replace(settings, tf32=False)
    if settings.runtime == "ort" and settings.optimisation != "none":
        yield "graph optimisation: with --optimisation none the row passes", replace(settings, optimisation="none")
    if settings.precision in {"bf16", "fp16"} and settings.runtime != "torch":
        cause = f"the engine's own arithmetic: asked for float32 instead of {settings.precision} the row passes"
        yield cause, replace(settings, precision="fp32")
    if settings.provider not in {"cpu", "auto", REMOTE}:
        yield (
            f"the provider: on the CPU instead of {settings.provider} the row passes",
            replace(settings, provider="cpu"),
        )
    if settings.threads != 1 and find_runtime(settings.runtime).has_threads:
        yield "threads: with --threads 1 the row passes", replace(settings, threads=1)


def _arithmetic(expected: Expectation, error: float, *, source: ModelSource, opener: Opener) -> Iterator[str]:
    """Yield the arithmetic of fewer bits whose rounding would explain an error that the file's own does not."""
    if error <= expected.bound:
        return  # the logits are right; something else failed
    telling = TELLING_SHARE * float(np.ptp(expected.outputs["logits"], axis=1).max())
    for precision in ("fp16", "bf16"):
        settings = RuntimeSettings(runtime="onnx-float64", precision=precision)
        with opener(source, settings, timeout_s=ANSWER_S) as graph:
            bound = bound_from_sigma(graph.run({"images": expected.feeds["images"]})["rounding_sigma"])
        if error <= bound <= telling:
            name = {"fp16": "float16 or TF32", "bf16": "bfloat16"}[precision]
            unit = f"2^{np.log2(UNIT_ROUNDOFF[precision]):.0f}"
            yield f"fewer bits: the error fits the rounding of {name} (unit {unit}, bound {bound:.3g}), not float32's"
            return


def _is_near(seen: NDArray[Any], value: Logits) -> bool:
    return seen.shape == value.shape and bool(np.abs(seen - value).max() <= EXACT)


def _softmax(logits: Logits) -> Logits:
    exponent = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Logits = exponent / exponent.sum(axis=1, keepdims=True)
    return result


def _permutation(seen: Logits, reference: Logits, *, bound: float) -> NDArray[np.int64] | None:
    distance = np.abs(seen[:, :, None] - reference[:, None, :]).max(axis=0)
    # Each output's nearest class over all images: a shuffled output is near one class in every image.
    order: NDArray[np.int64] = distance.argmin(axis=1)
    is_permutation = len(set(order.tolist())) == len(order) and not np.array_equal(order, np.arange(len(order)))
    fits = bool((distance[np.arange(len(order)), order] <= bound).all())
    return order if is_permutation and fits else None
