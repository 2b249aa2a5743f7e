"""Rows of one float32 file computed in bfloat16 or TF32: which there are, and by what they are judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from whole_parity import run_parity

from toolkit.data.load import load_mini
from toolkit.errors import UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.config import ParityConfig
from toolkit.parity.matrix import Arithmetics
from toolkit.parity.references.images import Reference, SuiteReference
from toolkit.parity.variants import expand_matrix
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.workers.client import open_worker


def rows(**axes: tuple[str, ...]) -> set[tuple[str, str, str]]:
    config = ParityConfig(threads=(0,), optimisations=("all",), **axes)
    found = [item.settings for item in expand_matrix(config, has_run=True)]
    assert len({(item.runtime, item.provider, item.arithmetic) for item in found}) == len(found)
    return {(item.runtime, item.provider, item.arithmetic) for item in found}


def test_a_matrix_is_float32_unless_told_otherwise() -> None:
    assert rows(runtimes=("ort", "torch", "openvino"), providers=("cpu", "cuda")) == {
        (name, device, "fp32") for name in ("ort", "torch") for device in ("cpu", "cuda")
    } | {("openvino", "cpu", "fp32")}


def test_tf32_is_an_axis_of_cuda_alone() -> None:
    found = rows(runtimes=("ort", "torch", "openvino"), providers=("cpu", "cuda"), precisions=("tf32",))
    assert found == {("ort", "cuda", "tf32"), ("torch", "cuda", "tf32")}


def test_every_engine_in_everything_that_it_can() -> None:
    found = rows(runtimes=("all",))
    assert {("openvino", "cpu", "fp32"), ("openvino", "cpu", "bf16"), ("tract", "cpu", "fp32")} <= found
    assert {item for _, _, item in found} == {"fp32", "bf16"}
    assert {item for _, _, item in rows(runtimes=("all",), precisions=("fp32",))} == {"fp32"}


def test_settings_say_what_is_computed() -> None:
    tf32, bf16 = RuntimeSettings(tf32=True), RuntimeSettings(runtime="openvino", precision="bf16")
    assert (tf32.arithmetic, tf32.precision, bf16.arithmetic) == ("tf32", "fp32", "bf16")


def test_what_nothing_computes_in_is_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown precision 'bf61' \(did you mean 'bf16'\?\); known: fp32, tf32"):
        ParityConfig(precisions=("bf61",))
    config = ParityConfig(runtimes=("tract",), precisions=("bf16",))
    with pytest.raises(UsageError, match="none of tract runs on cpu in bf16"):
        expand_matrix(config, has_run=True)


def arithmetics(source: ModelSource, precision: str = "fp32") -> Arithmetics:
    images = load_mini().test.images[:8]
    suite = SuiteReference(name="test", images=images, logits=np.zeros((8, 10)), bound=1e-4)
    return Arithmetics(
        source=source, precision=precision, reference=Reference(kind="x", suites=(suite,)), opener=open_worker
    )


def test_bounds_and_baselines_grow_with_the_unit_roundoff(model_path: Path) -> None:
    known = arithmetics(ModelSource.read(model_path))
    bf16 = known.reference_for(RuntimeSettings(precision="bf16"))
    tf32 = known.reference_for(RuntimeSettings(tf32=True))
    assert known.reference_for(RuntimeSettings()) is known.reference
    # The formula is linear in the roundoff; bounds are rounded up to three digits.
    assert bf16.suites[0].bound / tf32.suites[0].bound == pytest.approx(8, rel=0.02)
    assert known.scale_baseline(1e-6, "bf16") == pytest.approx(2.0**16 * 1e-6)
    assert known.scale_baseline(1e-6, "fp32") == 1e-6


def test_a_file_in_fewer_bits_is_not_judged_in_others(model_path: Path) -> None:
    known = arithmetics(ModelSource.read(model_path), precision="int8")
    assert known.explain_absence(RuntimeSettings(tf32=True)) == "tf32 is for float32 files; this one is int8"
    assert known.explain_absence(RuntimeSettings()) is None


@pytest.mark.slow
def test_openvino_passes_in_both_precisions_within_their_own_bounds(model_path: Path, trained_run: Path) -> None:
    config = ParityConfig(
        runtimes=("torch", "openvino"), precisions=("all",), threads=(0,), small_batches=(3,), small_count=4, sample=200
    )
    report = run_parity(ModelSource.read(model_path, run=trained_run), load_mini(), config)
    fp32, bf16 = (row for row in report.rows if row.runtime == "openvino")
    assert (fp32.precision, fp32.status, bf16.precision) == ("fp32", "pass", "bf16")
    if bf16.status == "fail" and "on this processor" in str(bf16.reason):
        pytest.skip(str(bf16.reason))
    assert bf16.status == "pass"
    # Asked for, it is really computed in: its error is another order than float32's, and its bound too.
    assert bf16.max_abs_logit_error is not None
    assert fp32.bound is not None
    assert bf16.max_abs_logit_error > fp32.bound


def test_onnx_runtimes_provider_is_asked_for_each_arithmetic_that_it_has() -> None:
    from toolkit.parity.config import ParityConfig
    from toolkit.parity.variants import expand_matrix

    config = ParityConfig(runtimes=("ort",), providers=("cpu", "openvino"), precisions=("all",), optimisations=("all",))
    asked = [(item.settings.provider, item.settings.precision) for item in expand_matrix(config, has_run=True)]
    assert set(asked) == {("cpu", "fp32"), ("openvino", "fp32"), ("openvino", "bf16")}
