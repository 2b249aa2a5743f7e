"""What is asked of a benchmark: settings, inputs made for a model, runtimes and providers expanded from words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from toolkit.bench.config import DEFAULT_BATCHES, DEFAULT_PLAN, BenchConfig, plan_within
from toolkit.bench.measuring.inputs import choose_batches, make_feeds
from toolkit.bench.measuring.variants import expand_variants
from toolkit.card import Golden
from toolkit.errors import UsageError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.runtimes.feed_config import FeedConfig

GOLDEN = Golden(
    origin="synthetic", images=bytes(range(192)), shape=(3, 8, 8), logits=((0.0, 1.0, 2.0),) * 3, tolerance=1e-4
)


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"runtimes": ()},
        {"providers": ()},
        {"threads": ()},
        {"batches": ()},
        {"batches": (0,)},
        {"precisions": ("fp8",)},
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        BenchConfig(**changes)


def test_default_rows_reach_the_floor_of_p99_and_fit_in_twenty_seconds() -> None:
    plan = BenchConfig().plan
    assert plan.min_calls >= 662
    assert len(DEFAULT_BATCHES) * (plan.max_s + plan.warmup_s + 2) < 20


@pytest.mark.parametrize("seconds", [0.05, 3.5, 60.0])
def test_plan_within_a_limit_counts_no_longer(seconds: float) -> None:
    plan = plan_within(seconds)
    assert plan.max_s == seconds
    assert plan.min_s <= seconds
    assert plan.min_calls == DEFAULT_PLAN.min_calls


def test_long_plan_is_not_taken_for_a_hang() -> None:
    config = BenchConfig(plan=plan_within(600))
    assert config.timeout_s > config.plan.warmup_s + 2 * 600


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_plan_without_time_is_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match="expected more than 0"):
        plan_within(seconds)


# --- inputs ------------------------------------------------------------------------------------------------------

IMAGES = TensorSpec(name="images", dtype="uint8", shape=("batch", 8, 8))


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_golden_digits_are_repeated_until_the_batch_is_full(batch: int) -> None:
    feeds = make_feeds((IMAGES,), batch=batch, golden=GOLDEN)
    own = np.arange(192, dtype=np.uint8).reshape(3, 8, 8)
    assert feeds.origin == "golden"
    np.testing.assert_array_equal(feeds.arrays["images"], [own[number % 3] for number in range(batch)])


@pytest.mark.parametrize(
    "spec",
    [
        TensorSpec(name="x", dtype="float32", shape=("batch", 8, 8)),
        TensorSpec(name="x", dtype="uint8", shape=("batch", 9, 8)),
        TensorSpec(name="x", dtype="uint8", shape=("batch", 8, 8, 3)),
    ],
)
def test_golden_digits_that_do_not_fit_are_not_used(spec: TensorSpec) -> None:
    feeds = make_feeds((spec,), batch=2, golden=GOLDEN)
    assert feeds.origin == "random"
    assert spec.explain_mismatch(feeds.arrays["x"]) is None


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64"])
def test_random_inputs_have_the_declared_type_and_are_not_zeros(dtype: str) -> None:
    spec = TensorSpec(name="x", dtype=dtype, shape=("batch", 5))
    array = make_feeds((spec, TensorSpec(name="s", dtype="float32", shape=())), batch=64, golden=None).arrays["x"]
    assert (array.dtype, array.shape) == (np.dtype(dtype), (64, 5))
    assert len(np.unique(array)) > 50
    np.testing.assert_array_equal(array, make_feeds((spec,), batch=64, golden=None).arrays["x"])


def test_a_second_symbolic_size_is_chosen_and_the_shape_that_the_user_gives_holds() -> None:
    spec = TensorSpec(name="tokens", dtype="float32", shape=("batch", "length"))
    assert make_feeds((spec,), batch=5, golden=None).arrays["tokens"].shape == (5, 16)
    config = FeedConfig(shapes={"tokens": (3, 16)})
    assert choose_batches(None, (spec,), config=config) == (3,)
    assert make_feeds((spec,), batch=3, golden=None, config=config).arrays["tokens"].shape == (3, 16)
    with pytest.raises(UsageError, match="have a batch of 3; leave out --batch"):
        choose_batches((1, 2), (spec,), config=config)


def test_whole_numbers_are_indices_that_are_valid_nearly_everywhere() -> None:
    array = make_feeds((TensorSpec(name="ids", dtype="int64", shape=("batch", 4)),), batch=9, golden=None).arrays["ids"]
    assert (array.dtype, array.shape, set(np.unique(array))) == (np.int64, (9, 4), {0, 1})


def test_given_arrays_are_fed_as_they_are() -> None:
    spec = TensorSpec(name="x", dtype="float32", shape=("batch", "width"))
    given = {"x": np.full((5, 2), 7, np.float32)}
    feeds = make_feeds((spec,), batch=5, golden=None, config=FeedConfig(given=given))
    assert (feeds.origin, feeds.arrays["x"].tolist()) == ("given", given["x"].tolist())
    assert choose_batches(None, (spec,), config=FeedConfig(given=given)) == (5,)
    with pytest.raises(UsageError, match="inputs are"):
        make_feeds((spec,), batch=5, golden=None, config=FeedConfig(given={"y": given["x"]}))


def test_an_input_of_fixed_size_beside_one_with_a_batch_keeps_its_size() -> None:
    specs = (
        TensorSpec(name="x", dtype="float32", shape=("batch", 3)),
        TensorSpec(name="table", dtype="float32", shape=(4, 3)),
    )
    assert choose_batches(None, specs) == DEFAULT_BATCHES
    arrays = make_feeds(specs, batch=7, golden=None).arrays
    assert (arrays["x"].shape, arrays["table"].shape) == ((7, 3), (4, 3))


def test_input_that_no_memory_holds_is_refused_before_it_is_made() -> None:
    spec = TensorSpec(name="x", dtype="uint8", shape=("batch", 10**10, 28))
    with pytest.raises(UsageError, match=r"'x' of .* is larger than 1 GB"):
        make_feeds((spec,), batch=1, golden=None)


def test_fixed_batch_is_taken_when_none_is_asked_for_and_refused_when_another_is() -> None:
    fixed = (TensorSpec(name="x", dtype="uint8", shape=(4, 8)),)
    assert choose_batches(None, fixed) == (4,)
    assert choose_batches(None, (IMAGES,)) == DEFAULT_BATCHES
    assert choose_batches((2,), fixed) == (2,)
    with pytest.raises(UsageError, match="takes 4 items a call, not 2; use --batch 4"):
        make_feeds(fixed, batch=2, golden=None)


# --- which runtime on which provider -----------------------------------------------------------------------------


def _pairs(**changes: Any) -> list[tuple[str, str]]:
    return [(item.runtime, item.provider) for item in expand_variants(BenchConfig(**changes))]


def test_names_are_taken_in_their_order_and_once() -> None:
    assert _pairs(providers=("cuda", "cpu", "cuda")) == [("ort", "cuda"), ("ort", "cpu")]


def test_all_providers_are_those_that_the_runtime_has() -> None:
    assert _pairs(providers=("all",)) == [("ort", name) for name in ("cpu", "cuda", "tensorrt", "openvino")]
    assert _pairs(runtimes=("torch",), providers=("all",)) == [("torch", name) for name in ("cpu", "cuda", "mps")]


def test_all_runtimes_are_engines_not_references() -> None:
    names = [name for name, _ in _pairs(runtimes=("all",))]
    assert names[:2] == ["ort", "torch"]
    assert {"openvino", "tract"} <= set(names)
    assert not {"onnx-float64", "ort-node"} & set(names)
    with pytest.raises(UsageError, match="through a pipe"):
        _pairs(runtimes=("ort-node",))
    with pytest.raises(UsageError, match="reference for parity"):
        _pairs(runtimes=("onnx-float64",))


def test_name_binds_even_beside_a_wildcard() -> None:
    variants = expand_variants(BenchConfig(providers=("all", "cuda")))
    assert {item.provider for item in variants if item.provider_named} == {"cuda"}


@pytest.mark.parametrize(("changes", "message"), [
    ({"providers": ("cudda",)}, r"unknown provider 'cudda' \(did you mean 'cuda'\?\)"),
    ({"providers": ("GPU",)}, r"unknown provider 'GPU' \(did you mean 'cuda'\?\); known: cpu, .*, mps, auto, all"),
    ({"runtimes": ("ortt",)}, r"unknown runtime 'ortt' \(did you mean 'ort'\?\)"),
    ({"runtimes": ("torch",), "providers": ("openvino",)}, "runtime torch has no provider openvino; it has cpu, cuda, mps"),
])  # fmt: skip
def test_names_that_cannot_be_are_usage_errors(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _pairs(**changes)
