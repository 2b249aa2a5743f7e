"""The parity matrix on a terminal: whole figures at 80 columns, what all rows share once, reasons under the table."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from toolkit.cli.actions.parity import require_passed
from toolkit.errors import CheckFailedError
from toolkit.parity.report import ParityReport, ParityRow
from toolkit.render.parity import describe_matrix

PASSED = ParityRow(
    runtime="ort",
    version="1.31.1",
    provider="cpu",
    precision="fp32",
    threads=0,
    optimisation="all",
    status="pass",
    images=21,
    max_abs_logit_error=3.21e-07,
    bound=4.64e-06,
    error_ratio=0.37,
    suites={"normal": {}},
)
REASON = "OpenVINO refuses the model: No conversion rule found for operations: ai.onnx.ml.TreeEnsembleClassifier"
REFUSED = ParityRow(
    runtime="openvino",
    provider="cpu",
    precision="fp32",
    threads=0,
    optimisation=None,
    status="refused",
    reason=REASON,
)


def report_of(rows: Sequence[ParityRow], *, is_stranger: bool = True) -> ParityReport:
    return ParityReport(
        reference="onnx-float64",
        bound=4.64e-06,
        bound_rule="",
        baseline="ort float32",
        rows=tuple(rows),
        model={},
        data={},
        reference_witnesses={"words": ""} if is_stranger else None,
    )


def shown(rows: Sequence[ParityRow], *, width: int = 80, is_stranger: bool = True) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False)
    for line in describe_matrix(report_of(rows, is_stranger=is_stranger)):
        console.print(line, highlight=False)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined] # it is the StringIO from above


def test_eighty_columns_hold_every_engine_and_whole_figures() -> None:
    engines = [("torch-compile", "2.13.0"), ("openvino", "2026.4.1"), ("onnx", "1.23.2"), ("tvm", "0.27.0.post1")]
    rows = [replace(PASSED, runtime=name, version=version, optimisation=None) for name, version in engines]
    rows += [PASSED, replace(PASSED, optimisation="none", threads=1), replace(PASSED, precision="bf16"), REFUSED]
    lines = shown(rows)
    assert "…" not in "".join(lines)
    assert all(len(line) <= 80 for line in lines)
    figures = [re.findall(r"\S+e-\d\d|0\.37", line) for line in lines if line.startswith("PASS")]
    assert figures == [["3.2e-07", "4.6e-06", "0.37"]] * 7
    assert [line.split()[1] for line in lines if line.startswith("PASS")][:3] == ["torch-compile", "openvino", "onnx"]


def test_what_all_rows_share_is_said_once() -> None:
    lines = shown([PASSED, replace(PASSED, threads=1), REFUSED])
    assert "every row: provider cpu, precision fp32, 21 items, 0 labels changed" in lines
    heading = next(line for line in lines if "runtime" in line)
    assert not {"provider", "precision", "items", "changed"} & set(heading.split())
    assert "threads" in heading.split()
    flipped = shown([PASSED, replace(PASSED, flips=2, flips_excused=1)])
    assert "every row: provider cpu, precision fp32, threads own, 21 items, optimisation all" in flipped
    assert ["2 (1 excused)" in line for line in flipped if line.startswith("PASS")] == [False, True]


def test_a_model_with_a_card_is_judged_on_images() -> None:
    assert ", 21 images, " in ", ".join(shown([PASSED, replace(PASSED, threads=1)], is_stranger=False))


def test_a_reason_is_said_once_and_whole_under_the_table() -> None:
    lines = shown([PASSED, REFUSED, replace(REFUSED, threads=1)], width=120)
    assert lines[-1] == f"openvino: {REASON}"
    assert " ".join(lines).count("refuses") == 1
    some = shown([PASSED, replace(PASSED, threads=1, status="fail", reason="too far")])
    assert some[-1] == "ort (threads 1): too far"
    crossed = [replace(PASSED, threads=threads, optimisation=name) for threads in (0, 1) for name in ("all", "none")]
    crossed = [
        replace(row, reason="too far") if row.threads == (row.optimisation == "none") else row for row in crossed
    ]
    assert shown(crossed)[-1] == "ort (threads own, optimisation all; threads 1, optimisation none): too far"


def test_a_matrix_in_which_nothing_was_judged_does_not_say_that_the_file_failed() -> None:
    lines = shown([replace(REFUSED, status="skip", reason="no run")])
    assert lines[0].startswith("parity judged nothing against onnx-float64, bound 4.6e-06")
    assert "ratios" not in lines[0]


def test_the_end_of_a_matrix_in_which_nothing_was_judged_says_why() -> None:
    report = report_of([replace(REFUSED, status="skip", reason="no run")])
    with pytest.raises(CheckFailedError, match="parity judged none of 1 row; openvino: no run"):
        require_passed(report)
