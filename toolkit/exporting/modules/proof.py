"""A module's file run on every call that the module has answered, and the answers recorded for other machines."""

from __future__ import annotations

__all__ = ["ModuleProof", "prove_module"]

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from toolkit.errors import CheckFailedError
from toolkit.exporting.modules.example import Example
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.recording import Recording, hash_calls
from toolkit.parity.references.feeds import FeedExpectation, FeedsReference
from toolkit.progress import ShowProgress, ShowWork
from toolkit.runtimes.base import RuntimeInfo, RuntimeSettings
from toolkit.runtimes.workers.client import blame_the_file, open_worker
from toolkit.runtimes.workers.time_limits import JUDGE_S

# Of inputs and answers that go to another machine; further calls are proven here and not recorded.
MOST_RECORDED_BYTES = 16 << 20


class ModuleProof(NamedTuple):
    """What proving a file showed.

    Attributes:
        recording: the calls with the module's answers, the larger ones left out.
        figures: `inputs`, `outputs`, `proven`, `max_abs_error`, `bound`, `share_of_bound` and `engine` of the report.
    """

    recording: Recording
    figures: dict[str, Any]


def prove_module(
    reference: FeedsReference, source: ModelSource, *, example: Example, progress: ShowWork
) -> ModuleProof:
    """Run a file on every call that its module has answered.

    Args:
        reference: the module's answers.
        source: the file, in memory.
        example: of the module.
        progress: told what is being done.

    Raises:
        CheckFailedError: an answer of the file is not the module's.
        ModelError: the engine refuses the file.
    """
    with progress("proving the file", unit="calls") as bar:
        info, shares = _hold(source, reference.suites, progress=bar)
    names = {entry.name for entry in reference.suites}
    proven = {
        axis: tuple(sorted({size, *(other for other in example.other_sizes(axis) if f"{axis} {other}" in names)}))
        for axis, size in example.sizes.items()
    }
    worst = max(shares, key=lambda pair: pair[0])
    figures = {
        "inputs": info.inputs,
        "outputs": info.outputs,
        "proven": proven,
        "max_abs_error": worst[0],
        "bound": worst[1],
        "share_of_bound": max(error / bound if bound else 0.0 for error, bound in shares),
        "engine": f"onnxruntime {info.version}",
    }
    return ModuleProof(_record(reference, source), figures)


def _hold(
    source: ModelSource, suites: Sequence[FeedExpectation], *, progress: ShowProgress
) -> tuple[RuntimeInfo, list[tuple[float, float]]]:
    """Run a file on every call; return the error that comes nearest to its bound, and the bound, of each.

    Raises:
        CheckFailedError: an answer is not the reference's.
        ModelError: the engine refuses the file, or crashes.
    """
    found = []
    with (
        blame_the_file(source.path.name),
        open_worker(source, RuntimeSettings(), timeout_s=JUDGE_S, allow_foreign=False) as worker,
    ):
        for number, entry in enumerate(suites):
            progress(number, len(suites))
            agreement = entry.compare(worker.run(entry.feeds))
            if not agreement:
                problems = "; ".join((*agreement.failures, *agreement.unclear))
                call = f"the module itself in the call {entry.name!r}"
                raise CheckFailedError(f"the file differs from {call}: {problems}: nothing was written")
            found.append((agreement.max_abs_logit_error or 0.0, agreement.bound))
        return worker.info, found


def _record(reference: FeedsReference, source: ModelSource) -> Recording:
    """Return the first call and as many of the others, the smaller ones first, as fit."""
    sizes = {
        entry.name: sum(
            array.nbytes for part in (entry.feeds, entry.outputs, entry.undecided) for array in part.values()
        )
        for entry in reference.suites
    }
    first = reference.suites[0].name
    kept, total = {first}, sizes[first]
    for name in sorted(sizes.keys() - kept, key=lambda name: sizes[name]):
        total += sizes[name]
        if total > MOST_RECORDED_BYTES:
            break
        kept.add(name)
    suites = tuple(entry for entry in reference.suites if entry.name in kept)
    if beyond := [entry.name for entry in reference.suites if entry.name not in kept]:
        words = f"proven at the export and not recorded for their size: {', '.join(beyond)}"
        reference = replace(reference, left_out=(*reference.left_out, words))
    sha256 = hash_calls(entry.feeds for entry in suites)
    data = {"name": "calls made from the example of an export", "sha256": sha256}
    return Recording(reference=replace(reference, suites=suites), model_sha256=source.sha256, data=data)
