"""The batch sizes of a sweep that names none: as many of the default ones as its time allows."""

from __future__ import annotations

__all__ = ["BUDGET_S", "explain_batches", "fit_batches"]


from toolkit.bench.config import DEFAULT_BATCHES, BenchConfig
from toolkit.bench.measuring.inputs import choose_batches
from toolkit.bench.measuring.probing import Probe
from toolkit.bench.measuring.windows import AGAIN_CALLS, MOST_WINDOWS
from toolkit.runtimes.timing.plan import MeasurePlan

# Of all rows of one engine with default batches; with its start, a bench is then over in about 15 s.
BUDGET_S = 11.5


def fit_batches(probe: Probe, config: BenchConfig) -> tuple[int, ...]:
    """Return the batch sizes to measure: `choose_batches`, and of the default ones those that the time allows.

    A default batch that would run too long gives way to the largest power of two that does not; larger ones are left
    out. The smallest is always measured.

    Args:
        probe: an engine that opened, with the time of one call.
        config: what is asked for.
    """
    wanted = _wanted(probe, config)
    if config.batches is not None or wanted != DEFAULT_BATCHES:
        return wanted
    fitting, left_s = [wanted[0]], BUDGET_S - _row_s(probe, wanted[0], config.plan)
    for batch in wanted[1:]:
        smaller = batch
        while smaller > fitting[-1] and _row_s(probe, smaller, config.plan) > left_s:
            smaller //= 2
        if smaller <= fitting[-1]:
            break
        fitting.append(smaller)
        left_s -= _row_s(probe, smaller, config.plan)
        if smaller < batch:
            break
    return tuple(fitting)


def explain_batches(probe: Probe, config: BenchConfig) -> str:
    """Return in one line which of the default batches are left out for time; empty where none is."""
    fitting, wanted = fit_batches(probe, config), _wanted(probe, config)
    if fitting == wanted:
        return ""
    all_s = sum(_row_s(probe, batch, config.plan) for batch in wanted)
    words = ",".join(map(str, wanted))
    engine = f"{probe.variant.runtime} on {probe.variant.provider}"
    return (
        f"{engine} takes {probe.call_s / probe.batch * 1e3:.3g} ms an item, so that batches of {words} would run "
        f"{all_s:.0f} s; {','.join(map(str, fitting))} are measured (for all of them: --batch {words})"
    )


def _wanted(probe: Probe, config: BenchConfig) -> tuple[int, ...]:
    assert probe.info is not None
    return choose_batches(config.batches, probe.info.inputs, config.feeds, config.feed_plan)


def _row_s(probe: Probe, batch: int, plan: MeasurePlan) -> float:
    """Return about how long a row takes that soon agrees with itself; each window warms up and counts a call."""
    call_s = probe.call_s / probe.batch * batch
    window_s = max(plan.max_s / MOST_WINDOWS, call_s)
    counted_s = min(max(plan.min_s, plan.min_calls * call_s), plan.max_s)
    windows = max(counted_s / window_s, 1.0)
    first_s = max(plan.warmup_s, min(plan.warmup_calls * call_s, window_s + call_s))
    again_s = min(AGAIN_CALLS * call_s, window_s + call_s)
    return first_s + windows * (call_s + window_s) + (windows - 1) * again_s
