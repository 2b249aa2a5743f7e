"""Installed engines tried on a file: held against its golden vectors, then measured; each in a process of its own.

Shapes: N golden images, K classes.
"""

from __future__ import annotations

__all__ = ["Contender", "list_contenders", "try_engines"]

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toolkit.errors import ModelError, ResourceError, ToolkitError, UsageError, WrongAnswerError
from toolkit.onnx_file.source import ModelSource
from toolkit.prediction.execute import measure_batches
from toolkit.prediction.report import TriedEngine
from toolkit.progress import ShowProgress, tell_nobody
from toolkit.runtimes.agreement import compare_outputs
from toolkit.runtimes.base import RuntimeSettings, run_first
from toolkit.runtimes.contract import golden_images, require_contract
from toolkit.runtimes.installed import is_installed
from toolkit.runtimes.references.rounding import UNIT_ROUNDOFF
from toolkit.runtimes.registry import ENGINES, find_runtime, precisions_of
from toolkit.runtimes.workers.time_limits import PROBE_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from toolkit.card import InputSpec
    from toolkit.runtimes.workers.client import OpenedWorker, Opener

# Of each engine; those near the fastest are measured some more times.
SHORT: dict[str, Any] = {"warmup_calls": 3, "warmup_s": 0.1, "min_calls": 5, "min_s": 0.3, "max_s": 0.6}
NEAR = 0.5
MORE_TIMES = 4


class Contender(NamedTuple):
    """What may be taken.

    Attributes:
        source: the file that the engine runs.
        settings: how it is opened.
        precision: what it computes in; `int8` where the file is quantised.
    """

    source: ModelSource
    settings: RuntimeSettings
    precision: str


class _Right(NamedTuple):
    """An engine that answered right: what it takes, and the golden images."""

    worker: OpenedWorker
    input: InputSpec
    images: NDArray[np.uint8]


def list_contenders(source: ModelSource, *, threads: int, allow_bf16: bool, allow_int8: bool) -> list[Contender]:
    """Return the installed engines that run a file on the processor, in the registry's order: float32 first.

    Args:
        source: the model.
        threads: inside one operator, for the engines that can be told; 0: their own choice.
        allow_bf16: those that can, in bfloat16 too.
        allow_int8: with `<name>.int8.onnx` beside the model, too.

    Raises:
        UsageError: there is no such file.
    """
    names = [name for name in ENGINES if "cpu" in find_runtime(name).devices and not find_runtime(name).needs_run]
    here = [name for name in names if is_installed(name)]

    def settings(name: str, precision: str) -> RuntimeSettings:
        told = threads if find_runtime(name).has_threads else 0
        return RuntimeSettings(runtime=name, precision=precision, threads=told)

    found = [Contender(source, settings(name, "fp32"), "fp32") for name in here]
    if allow_bf16:
        able = [name for name in here if "bf16" in precisions_of(name, "cpu")]
        found += [Contender(source, settings(name, "bf16"), "bf16") for name in able]
    if allow_int8:
        path = source.path.with_name(f"{source.path.stem}.int8.onnx")
        if not path.is_file():
            raise UsageError(f"there is no {path.name} beside the model; make it with: toolkit export --precision int8")
        quantised = ModelSource.read(path)
        found += [Contender(quantised, settings(name, "fp32"), "int8") for name in here]
    return found


def try_engines(
    contenders: list[Contender], *, batch: int, opener: Opener | None = None, progress: ShowProgress = tell_nobody
) -> tuple[TriedEngine, ...]:
    """Open every engine, hold it against the golden vectors and measure it; then those near the fastest again.

    Args:
        contenders: the first one's file is the model itself.
        batch: images in one call.
        opener: opens a model in a process of its own; an engine that crashes is left out.
        progress: called with the engines that were tried, and how many there are.

    Raises:
        UsageError: the file carries no golden vectors.
        ToolkitError: the first engine's error, where none can be taken.
    """
    from toolkit.runtimes.workers.client import open_worker  # what is remembered needs none

    rates: dict[int, float] = {}
    errors: dict[int, ToolkitError] = {}
    opened: dict[int, _Right] = {}
    with contextlib.ExitStack() as stack:
        for number, contender in enumerate(contenders):
            progress(number, len(contenders))
            try:
                # No longer than to look a file over: what compiles for minutes is nothing to take by itself.
                how: dict[str, Any] = {"allow_foreign": False, "timeout_s": PROBE_S}
                worker = stack.enter_context((opener or open_worker)(contender.source, contender.settings, **how))
                opened[number] = _require_right(worker, contender, origin=contenders[0].source)
                rates[number] = _measure(opened[number], batch=batch)
            except UsageError:
                raise
            except ToolkitError as error:
                errors[number] = error
        if not rates:
            raise next(iter(errors.values()), ResourceError("no engine is installed; see: toolkit runtimes list"))
        near = [number for number, rate in rates.items() if rate >= NEAR * max(rates.values())]
        # There and back, so that a busy moment does not meet the same one again; and the best counts, because what
        # others take from the machine is not the engine's.
        for number in (near[::-1] + near) * (MORE_TIMES // 2):
            rates[number] = max(rates[number], _measure(opened[number], batch=batch))
    return tuple(
        TriedEngine(
            runtime=contender.settings.runtime,
            precision=contender.precision,
            images_per_s=round(rates[number], 1) if number in rates else None,
            reason=" ".join(str(errors[number]).split()) if number in errors else "",
        )
        for number, contender in enumerate(contenders)
    )


def _require_right(worker: OpenedWorker, contender: Contender, *, origin: ModelSource) -> _Right:
    """Hold an engine against the golden vectors of the file that it runs.

    Raises:
        UsageError: there are none.
        ModelError: the answers are not within the bound, or the file is not the one to be run in its arithmetic.
    """
    name = contender.source.path.name
    card = require_contract(worker.info, name=name)
    if card.golden is None:
        raise UsageError(
            f"--runtime auto needs golden vectors, and {name} carries none; name the engine (--runtime ort), or export "
            "again with: toolkit export --golden data"
        )
    if contender.source is not origin and (card.precision, card.derived_from_sha256) != ("int8", origin.sha256):
        raise ModelError(f"{name} was not derived from this {origin.path.name}")
    bound = card.golden.tolerance
    if contender.precision == "bf16":
        if card.precision != "fp32":
            raise ModelError(f"{name} is {card.precision}; its bound says nothing of bfloat16")
        # It is so many standard deviations of rounding errors, each a multiple of the unit roundoff.
        bound *= UNIT_ROUNDOFF["bf16"] / UNIT_ROUNDOFF["fp32"]
    images = golden_images(card.golden)
    agreement = compare_outputs(run_first(worker, {"images": images}), np.array(card.golden.logits), bound=bound)
    if not agreement:
        raise WrongAnswerError(f"golden vectors: {agreement.failures[0]}")
    return _Right(worker, card.input, images)


def _measure(right: _Right, *, batch: int) -> float:
    """Return images per second of calls as a prediction makes them, by their median."""
    if find_runtime(right.worker.info.runtime).private:  # called over the same pipe, which is a part of its cost
        return max(measure_batches(right.worker, right.input, candidates=(batch,))[1].values())
    from toolkit.runtimes.timing.plan import MeasurePlan

    images = right.images[np.arange(batch) % len(right.images)]
    window = right.worker.measure({"images": images}, MeasurePlan(**SHORT))
    return batch * 1e9 / float(np.median(window.samples_ns))
