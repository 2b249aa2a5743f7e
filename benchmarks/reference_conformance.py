"""Is the float64 reference right? One-node files of every opset and ONNX's own cases, judged by independent engines.

    python benchmarks/reference_conformance.py [--family softmax,pooling] [--op LRN] [--output JSON]

Each file is evaluated in float64 by the reference, in its own types by `--runtime onnx`, and by the witnesses:
ONNX Runtime without optimisation (in float32, and with the file widened, in float64), OpenVINO, tract, and PyTorch in
float64 where it has the operator. ONNX's own cases state their answers. A case in which the reference stands alone
against the majority is `different`; one that no witness can run is `no witness`.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from conformance.cases import Case
from conformance.families import FAMILIES, make_all_cases
from conformance.judging import Verdict, judge_case
from conformance.onnx_cases import FAMILY, make_onnx_cases
from conformance.witnesses import Answer, Witness, answer_by_torch

from toolkit.durable import write_json
from toolkit.environment import describe_environment

SCHEMA = "toolkit/benchmark-reference-conformance/1"
STATUSES = ("equal", "different", "no reference", "no witness")


def main() -> None:
    """Judge every case, print the table and the cases that are not equal, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", help=f"some of {', '.join((*FAMILIES, FAMILY))}; all by default")
    parser.add_argument("--op", help="these operators only")
    parser.add_argument("--bare", action="store_true", help="judge ONNX's evaluator without our operators")
    parser.add_argument("--output", type=Path, default=Path("artifacts/reports/reference-conformance.json"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    started = time.monotonic()
    families = arguments.family.split(",") if arguments.family else (*FAMILIES, FAMILY)
    cases = [*make_all_cases(), *(make_onnx_cases() if FAMILY in families else ())]
    cases = [case for case in cases if case.family in families]
    if arguments.op:
        cases = [case for case in cases if case.op_type in arguments.op.split(",")]
    verdicts = _judge_all(cases, bare=arguments.bare)
    _print_tables(verdicts)
    print(f"\n{len(verdicts)} files in {time.monotonic() - started:.0f} s")
    write_json(
        arguments.output,
        {
            "schema": SCHEMA,
            "command": sys.argv,
            "environment": describe_environment(),
            "rows": [asdict(verdict) for verdict in verdicts],
        },
    )


def _judge_all(cases: Sequence[Case], *, bare: bool) -> list[Verdict]:
    reference = Witness("reference", "onnx-widened", bare=bare)
    witnesses = [
        Witness("onnx", "onnx", bare=bare),
        Witness("ort", "ort", optimisation="none", threads=1),
        Witness("ort-float64", "ort", optimisation="none", threads=1, widens=True),
        Witness("openvino", "openvino", threads=1),
        Witness("tract", "tract"),
    ]
    with ThreadPoolExecutor(len(witnesses) + 2) as pool:
        asked = {witness.name: pool.submit(_ask_all, witness.ask, cases) for witness in (reference, *witnesses)}
        asked["torch"] = pool.submit(_ask_all, answer_by_torch, cases)
        answers = {name: answer.result() for name, answer in asked.items()}
    for witness in (reference, *witnesses):
        witness.close()
    answers["stated"] = ["states none" if case.expected is None else case.expected for case in cases]
    known = answers.pop(reference.name)
    return [
        judge_case(case, known[index], {name: given[index] for name, given in answers.items()})
        for index, case in enumerate(cases)
    ]


def _ask_all(ask: Callable[[Case], Answer], cases: Sequence[Case]) -> list[Answer]:
    return [ask(case) for case in cases]


def _print_tables(verdicts: list[Verdict]) -> None:
    families = sorted({verdict.family for verdict in verdicts})
    print(f"{'family':<16}{'files':>7}" + "".join(f"{status:>14}" for status in STATUSES))
    for family in (*families, "all"):
        counts = Counter(verdict.status for verdict in verdicts if family in (verdict.family, "all"))
        print(f"{family:<16}{counts.total():>7}" + "".join(f"{counts[status]:>14}" for status in STATUSES))
    for status in STATUSES[1:]:
        for verdict in verdicts:
            if verdict.status == status:
                print(f"{status}: {verdict.name}: {verdict.reason or verdict.differ or verdict.refused}")
    for engine in ("onnx", "ort", "ort-float64", "openvino", "tract", "torch"):
        parted = [verdict for verdict in verdicts if engine in (verdict.differ or {})]
        agreed = sum(engine in verdict.agree for verdict in verdicts)
        print(f"\n{engine}: {agreed} as the reference, {len(parted)} apart")
        for verdict in parted:
            print(f"  {verdict.name}: {(verdict.differ or {})[engine]}; as the reference: {', '.join(verdict.agree)}")


if __name__ == "__main__":
    main()
