"""The reference against ONNX Runtime and PyTorch on files of one node: the benchmark's cases, without its other engines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toolkit.durable import sha256_bytes
from toolkit.errors import ModelError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.ort.runtime import OrtRuntime
from toolkit.runtimes.references.evaluator import OnnxEvaluatorRuntime
from toolkit.runtimes.references.widened import WidenedRuntime

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
# Every how manieth case is judged here: a few seconds' worth.
STRIDE = 29


@pytest.fixture(scope="module")
def cases() -> Iterator[list[Any]]:
    sys.path.insert(0, str(BENCHMARKS))
    from conformance.families import make_all_cases

    yield make_all_cases()
    sys.path.remove(str(BENCHMARKS))


def answer(runtime: type[Any], case: Any, **settings: Any) -> Any:
    model = case.model.SerializeToString()
    source = ModelSource(model=model, sha256=sha256_bytes(model), path=Path("case.onnx"))
    try:
        with runtime(source, RuntimeSettings(runtime=runtime.name, **settings)) as opened:
            return opened.compute(case.feeds)
    except ModelError as error:
        return str(error)


def test_the_reference_answers_as_the_standard_says(cases: list[Any]) -> None:
    from conformance.judging import judge_case
    from conformance.witnesses import answer_by_torch

    wrong = []
    for case in cases[::STRIDE]:
        answers = {
            "onnx": answer(OnnxEvaluatorRuntime, case),
            "ort": answer(OrtRuntime, case, optimisation="none", threads=1),
            "torch": answer_by_torch(case),
        }
        verdict = judge_case(case, answer(WidenedRuntime, case), answers)
        if verdict.status in {"different", "no reference"}:
            wrong.append(verdict)
    assert not wrong


def test_a_reference_that_is_wrong_is_seen(cases: list[Any]) -> None:
    from conformance.judging import judge_case
    from conformance.witnesses import answer_by_torch

    case = next(case for case in cases if case.name.startswith("Softmax-11"))
    right = answer(WidenedRuntime, case)
    answers = {"ort": answer(OrtRuntime, case, optimisation="none"), "torch": answer_by_torch(case)}
    assert judge_case(case, right, answers).status == "equal"
    for factor in (1.04, 1.001):
        wrong = {name: value * factor for name, value in right.items()}
        assert judge_case(case, wrong, answers).status == "different"
    assert judge_case(case, "has none", answers).status == "no reference"
    assert judge_case(case, right, {"ort": "refuses"}).status == "no witness"
