"""The default batches of a sweep follow the time of the first call."""

from __future__ import annotations

import pytest
from fake_engine import FakeEngine, make_info

from toolkit.bench.config import DEFAULT_BATCHES, DEFAULT_PLAN, BenchConfig
from toolkit.bench.measuring.interleaving import next_window
from toolkit.bench.measuring.probing import Probe
from toolkit.bench.measuring.variants import Variant, expand_variants
from toolkit.bench.sweep import BUDGET_S, explain_batches, fit_batches
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.runtimes.timing.loop import measure
from toolkit.runtimes.timing.plan import Clock

(VARIANT,) = expand_variants(BenchConfig())
FIXED = make_info(inputs=(TensorSpec(name="images", dtype="uint8", shape=(4, 8, 8)),))


def probe(call_s: float, *, batch: int = 1, variant: Variant = VARIANT) -> Probe:
    return Probe(variant=variant, precision="fp32", info=make_info(), call_s=call_s, batch=batch)


@pytest.mark.parametrize(
    ("call_s", "expected"),
    [(0.0, (1, 32, 256)), (1e-4, (1, 32, 256)), (0.004, (1, 32)), (0.02, (1, 4)), (0.3, (1,)), (60.0, (1,))],
)
def test_slow_calls_leave_fewer_and_smaller_batches(call_s: float, expected: tuple[int, ...]) -> None:
    assert fit_batches(probe(call_s), BenchConfig()) == expected


def test_what_is_left_out_is_told_with_the_option_that_asks_for_it() -> None:
    words = explain_batches(probe(0.02), BenchConfig())
    assert words.startswith("ort on cpu takes 20 ms an item, so that batches of 1,32,256 would run ")
    assert words.endswith("; 1,4 are measured (for all of them: --batch 1,32,256)")
    assert explain_batches(probe(1e-4), BenchConfig()) == ""


def test_batches_that_are_asked_for_are_measured_however_slow() -> None:
    config = BenchConfig(batches=DEFAULT_BATCHES)
    assert fit_batches(probe(60.0), config) == DEFAULT_BATCHES
    assert explain_batches(probe(60.0), config) == ""


def test_a_fixed_batch_is_measured_however_slow() -> None:
    slow = Probe(variant=VARIANT, precision="fp32", info=FIXED, call_s=60.0, batch=4)
    assert fit_batches(slow, BenchConfig()) == (4,)
    assert explain_batches(slow, BenchConfig()) == ""


class Slow(FakeEngine):
    """A runtime whose calls take the clock's time, by the items in them."""

    def __init__(self, item_s: float) -> None:
        super().__init__()
        self.now_ns, self.item_s, self.notes = 0, item_s, ()

    def run(self, feeds: int) -> None:
        self.now_ns += int(feeds * self.item_s * 1e9) + 1000

    def prepare(self, feeds: int, *, boundary: str) -> object:
        return lambda: self.run(feeds)

    def time_phases(self, *_: object, **__: object) -> None:
        return None


@pytest.mark.parametrize("item_s", [1e-5, 1e-3, 0.004, 0.02, 0.1])
def test_the_rows_that_fit_are_over_in_the_budget(item_s: float) -> None:
    runtime = Slow(item_s)
    clock = Clock(lambda: runtime.now_ns, lambda _: None)
    for batch in fit_batches(probe(item_s), BenchConfig()):
        windows: list[object] = []
        while (plan := next_window(DEFAULT_PLAN, windows)) is not None:  # type: ignore[arg-type]  # of fakes
            windows.append(measure(runtime, batch, plan=plan, clock=clock))  # type: ignore[arg-type]  # a fake
    assert runtime.now_ns / 1e9 <= BUDGET_S
