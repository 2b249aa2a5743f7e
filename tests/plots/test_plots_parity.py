"""The heat map of a parity matrix."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from toolkit.parity.report import ParityReport, ParityRow
from toolkit.plots.parity import draw_parity

RED = (214, 39, 40)


def row_of(runtime: str, status: str, **errors: float | None) -> ParityRow:
    suites = {name: {"max_abs_logit_error": error, "bound": 1e-4} for name, error in errors.items()}
    return ParityRow(
        runtime=runtime, provider="cpu", precision="fp32", threads=1, optimisation="all", status=status, suites=suites
    )


def draw(*rows: ParityRow) -> np.ndarray:
    report = ParityReport(
        reference="onnx-float64", bound=1e-4, bound_rule="", baseline="", rows=rows, model={}, data={}
    )
    return np.asarray(Image.open(io.BytesIO(draw_parity(report))).convert("RGB"))


def count_of(pixels: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((pixels == colour).all(axis=2).sum())


def test_only_what_failed_is_red() -> None:
    good = row_of("ort", "pass", test=1e-6, noise=9.9e-5)
    assert count_of(draw(good), RED) == 0
    over = count_of(draw(good, row_of("tract", "fail", test=2e-4, noise=1e-6)), RED)
    both = count_of(draw(good, row_of("tract", "fail", test=2e-4, noise=None)), RED)
    assert 0 < over < both


def test_an_error_nearer_to_the_bound_is_darker() -> None:
    means = [draw(row_of("ort", "pass", test=error))[-28:-2, -100:-10].mean() for error in (1e-8, 1e-6, 1e-5, 1e-4)]
    assert sorted(means, reverse=True) == means
    assert len(set(means)) == 4


def test_an_engine_that_was_skipped_has_a_row_without_values() -> None:
    height = len(draw(row_of("ort", "pass", test=1e-6)))
    assert len(draw(row_of("ort", "pass", test=1e-6), row_of("jax", "skip"))) == height + 30
