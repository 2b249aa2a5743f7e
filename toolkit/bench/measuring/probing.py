"""Before any measurement every variant is opened and runs once: what was asked for is there, or refused."""

from __future__ import annotations

__all__ = ["Probe", "probe_variants"]

import time
from dataclasses import dataclass
from typing import Any

from toolkit.bench.config import BenchConfig
from toolkit.bench.measuring.inputs import choose_batches, make_feeds
from toolkit.bench.measuring.variants import (
    NoPrecisionError,
    NoRunError,
    Variant,
    bindings_of,
    find_precision_file,
    settings_for,
)
from toolkit.card import CARD_KEY, Card, Golden
from toolkit.errors import (
    ModelError,
    ProviderError,
    ResourceError,
    ToolkitError,
    UsageError,
    WorkerError,
    WrongAnswerError,
)
from toolkit.onnx_file.source import ModelSource
from toolkit.progress import ShowProgress, tell_nobody
from toolkit.runtimes.base import RuntimeInfo, run_first
from toolkit.runtimes.registry import find_runtime, precisions_of
from toolkit.runtimes.workers.client import OpenedWorker, Opener, open_worker

# A first call of at most this long leaves room for every default batch, whatever was in it.
SLOW_CALL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What opening a variant once told.

    Attributes:
        variant: the runtime on its provider.
        precision: of the row: what the engine computes in, or the file's.
        arithmetic: what the engine was asked to compute a float32 file in.
        status: `pass`, `fail`, `refused` or `skip`.
        reason: why, where it is not `pass`.
        log: last lines of the worker, for a failure.
        info: what is running, where it opened.
        golden: images of the model's card, where it has some.
        source: the file of that precision; None where it is the model itself.
        error: what was raised, where something was.
        call_s: seconds of one call with the smallest batch; 0 where none was made.
        batch: items in that call.
    """

    variant: Variant
    precision: str
    arithmetic: str = "fp32"
    status: str = "pass"
    reason: str = ""
    log: str = ""
    info: RuntimeInfo | None = None
    golden: Golden | None = None
    source: ModelSource | None = None
    error: ToolkitError | None = None
    call_s: float = 0.0
    batch: int = 1


def probe_variants(
    variants: tuple[Variant, ...],
    config: BenchConfig,
    *,
    source: ModelSource,
    opener: Opener = open_worker,
    progress: ShowProgress = tell_nobody,
) -> tuple[Probe, ...]:
    """Open and run every variant once.

    Args:
        variants: what is to be opened.
        config: what is to be measured.
        source: the model.
        opener: opens a model in a worker.
        progress: called with the variants that were tried, and how many there are.

    Raises:
        ProviderError: a provider asked for by name is not active.
        ResourceError: a runtime asked for by name is not installed.
        UsageError: a combination asked for by name makes no sense.
        ModelError: no variant accepts the model.
    """
    probes: list[Probe] = []
    settled: set[tuple[str, int | None]] = set()
    for number, variant in enumerate(variants):
        progress(number, len(variants))
        # Settled: its `auto` has found one that works, or the runtime has no run, which no provider changes.
        if settled & {(variant.runtime, variant.group), (variant.runtime, -1)}:
            continue
        mine = [
            _probe(variant, config, source=source, precision=precision, opener=opener)
            for precision in config.precisions or ("",)
        ]
        probes.extend(mine)
        if any(isinstance(probe.error, NoRunError) for probe in mine):
            settled.add((variant.runtime, -1))
        if variant.group is not None and any(probe.status == "pass" for probe in mine):
            settled.add((variant.runtime, variant.group))
    _check_precisions(probes, config)
    errors = [probe.error for probe in probes]
    if errors and all(isinstance(error, ModelError) for error in errors):
        raise errors[0]  # type: ignore[misc]  # all() has just shown that it is an error
    return tuple(probes)


def _check_precisions(probes: list[Probe], config: BenchConfig) -> None:
    """Refuse a precision that none of the variants has; where one has it the others are skipped rows."""
    for precision in config.precisions:
        mine = [probe for probe in probes if probe.precision == precision]
        lacking = [probe.error for probe in mine if isinstance(probe.error, NoPrecisionError)]
        if lacking and not any(probe.status == "pass" for probe in mine):
            raise lacking[0]


def _probe(variant: Variant, config: BenchConfig, *, source: ModelSource, precision: str, opener: Opener) -> Probe:
    if variant.impossible:
        return Probe(variant=variant, precision=precision or "fp32", status="skip", reason=variant.impossible)
    try:
        return _open_once(variant, config, source=source, precision=precision, opener=opener)
    except ToolkitError as error:
        status = _judge(error, variant)
        precision, reason = precision or "fp32", str(error)
        return Probe(variant=variant, precision=precision, status=status, reason=reason, log=error.log, error=error)


def _open_once(variant: Variant, config: BenchConfig, *, source: ModelSource, precision: str, opener: Opener) -> Probe:
    if config.plan.boundary == "device" and (variant.provider == "webgpu" or not any(bindings_of(variant, config))):
        lack = "no way to put inputs into its memory" if variant.provider == "webgpu" else "no memory of its own"
        raise UsageError(f"runtime {variant.runtime} on {variant.provider} has {lack}; use --boundary host")
    arithmetic = precision if precision in precisions_of(variant.runtime, variant.provider) else "fp32"
    settings = settings_for(
        variant,
        config,
        precision=arithmetic,
        threads=config.threads[0],
        source=source,
        io_binding=bindings_of(variant, config)[0],
    )
    with opener(source, settings, timeout_s=config.timeout_s) as engine:
        card = _card(engine)
        own = card.precision if card and not find_runtime(variant.runtime).needs_run else "fp32"
        golden = card.golden if card else None
        known: dict[str, Any] = {"variant": variant, "arithmetic": arithmetic, "golden": golden}
        # A file of another precision than float32 is computed in its own whatever the engine was asked for.
        label = arithmetic if own == "fp32" else own
        if precision in {"", label}:
            batch, call_s = _run_once(engine, config, golden=golden)
            return Probe(**known, precision=label, info=engine.info, batch=batch, call_s=call_s)
        if find_runtime(variant.runtime).needs_run:
            raise NoPrecisionError(f"runtime {variant.runtime} executes a run's network in fp32, not in {precision}")
    # Outside of the first worker: two copies of a model need not fit into the memory.
    derived = find_precision_file(source, own, precision=precision)
    with opener(derived, settings, timeout_s=config.timeout_s) as engine:
        batch, call_s = _run_once(engine, config, golden=golden)
        return Probe(**known, precision=precision, info=engine.info, source=derived, batch=batch, call_s=call_s)


def _run_once(engine: OpenedWorker, config: BenchConfig, *, golden: Golden | None) -> tuple[int, float]:
    """Run the smallest batch; return it and the seconds of a call, the second one where the first was slow."""
    inputs, feeds, plan = engine.info.inputs, config.feeds, config.feed_plan
    batch = min(choose_batches(config.batches, inputs, config=feeds, plan=plan, default=config.default_batches))
    arrays = make_feeds(inputs, batch=batch, golden=golden, config=feeds, plan=plan).arrays
    started = time.perf_counter()
    run_first(engine, arrays)
    if time.perf_counter() - started > SLOW_CALL_S and config.batches is None:
        started = time.perf_counter()  # the first call of an engine may compile or allocate
        run_first(engine, arrays)
    return batch, time.perf_counter() - started


def _judge(error: ToolkitError, variant: Variant) -> str:
    """Return `skip`, `refused` or `fail`, or raise the error when it is about something asked for by name."""
    if isinstance(error, NoPrecisionError):
        return "skip"  # unless nobody has it, which is seen when all are known
    if isinstance(error, WorkerError):
        return "fail"  # a crash is never a skip
    named = variant.provider_named if isinstance(error, ProviderError) else variant.runtime_named
    if isinstance(error, ModelError):
        if isinstance(error, NoRunError) and named:
            raise error
        if isinstance(error, NoRunError):
            return "skip"
        return "fail" if isinstance(error, WrongAnswerError) else "refused"
    if isinstance(error, UsageError | ResourceError) and not named:
        return "skip"
    raise error


def _card(engine: OpenedWorker) -> Card | None:
    text = engine.model_summary.get("metadata", {}).get(CARD_KEY)
    return Card.loads(text) if text else None
