"""A proof: every step is tried whatever became of the others, and says what became of it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from toolkit.bench.report import BENCH_SCHEMA
from toolkit.cli.commands.prove import prove_command
from toolkit.errors import ResourceError, UsageError
from toolkit.proving import prove as proving
from toolkit.proving.plan import PROVABLE, ProofConfig, plan_steps
from toolkit.proving.prove import prove
from toolkit.proving.report import ProofReport
from toolkit.proving.wheels import make_environment
from toolkit.render.prove import find_figures

QUICK = ProofConfig(provider="cuda", data="mnist-mini", quick=True)
# A command of each step in the place of ours: it does what the table says for its words, and passes otherwise.
PRETENDER = """#!{python}
import json, os, sys, time
words = sys.argv[4:]
table = json.loads({table!r})
act = next((act for phrase, act in table.items() if phrase in " ".join(words)), "pass")
if act == "crash":
    os.abort()
if act == "hang":
    time.sleep(60)
if act == "babble":
    print("no JSON at all")
    sys.exit(0)
if act == "not-run":
    print(json.dumps({{"schema": "toolkit/kits/1", "kits": [{{"check": {{"status": "not-run"}}}}]}}))
    print("error: there is no `node` on the PATH", file=sys.stderr)
    sys.exit(5)
if act == "refuse":
    print("a line before", file=sys.stderr)
    print("error: provider cuda is not active", file=sys.stderr)
    sys.exit(5)
print(json.dumps({{"said": words, "artifacts": os.environ["TOOLKIT_ARTIFACTS"]}}))
"""


def _prove(tmp_path: Path, table: dict[str, str], config: ProofConfig = QUICK) -> ProofReport:
    pretender = tmp_path / "pretender"
    pretender.write_text(PRETENDER.format(python=sys.executable, table=json.dumps(table)))
    pretender.chmod(0o755)
    seen: list[ProofReport] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(pretender))
        report = prove(config, tmp_path, on_step=seen.append)
    assert [len(each.steps) for each in seen] == list(range(1, len(report.steps) + 1))
    return report


@pytest.mark.parametrize("provider", PROVABLE)
@pytest.mark.parametrize("quick", [False, True])
def test_what_a_step_needs_is_left_by_one_before_it(provider: str, quick: bool) -> None:
    steps = plan_steps(ProofConfig(provider=provider, quick=quick))
    assert len({step.name for step in steps}) == len(steps)
    left: set[str] = set()
    for step in steps:
        assert not step.needs or step.needs in left
        left.add(step.gives)


def test_every_command_of_a_plan_is_one_that_the_command_line_takes() -> None:
    from typer.main import get_command

    from toolkit.cli.app import app

    root = get_command(app)
    for step in [step for provider in PROVABLE for step in plan_steps(ProofConfig(provider=provider))]:
        verb, command, rest = root.resolve_command(
            root.make_context("toolkit", [], resilient_parsing=True), list(step.words)
        )  # type: ignore[attr-defined]
        command.make_context(verb, rest)


def test_all_is_run_in_one_folder_and_passes(tmp_path: Path) -> None:
    report = _prove(tmp_path, {})
    assert report.passed
    assert {step.status for step in report.steps} == {"pass"}
    assert "train on the processor" not in [step.name for step in report.steps]
    exported = report.find("export")
    assert exported is not None
    assert exported.report is not None
    assert exported.report["said"][:2] == ["export", "whole"]
    assert exported.report["artifacts"] == str(tmp_path / "artifacts")
    assert exported.typed == "toolkit export whole --precision fp32,fp16 --output model.onnx"
    assert (tmp_path / "pictures.npy").stat().st_size > QUICK.pictures * 28 * 28


def test_a_crash_of_the_training_leaves_the_rest_to_be_tried_with_another_run(tmp_path: Path) -> None:
    report = _prove(tmp_path, {"--device cuda": "crash"})
    assert not report.passed
    by_name = {step.name: step for step in report.steps}
    assert (by_name["train"].status, by_name["train"].reason) == ("fail", "it crashed with SIGABRT")
    assert by_name["train on the processor"].status == "pass"
    assert by_name["export"].typed.startswith("toolkit export spare ")
    assert {step.status for name, step in by_name.items() if not name.startswith("train")} == {"pass"}


def test_a_step_without_what_it_needs_is_not_run_and_says_so(tmp_path: Path) -> None:
    report = _prove(tmp_path, {"export whole": "refuse"})
    by_name = {step.name: step for step in report.steps}
    assert (by_name["export"].exit_code, by_name["export"].reason) == (5, "provider cuda is not active")
    assert (by_name["bench"].status, by_name["bench"].reason) == ("not-run", "there is no model: what makes it failed")
    assert "a line before" in (tmp_path / "logs" / "export.txt").read_text()


def test_a_step_that_hangs_is_ended_after_half_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.proving.prove.LEAST_S", 1.0)
    report = _prove(tmp_path, {"doctor": "hang"}, replace(QUICK, minutes=2 / 60))
    first, *others = report.steps
    assert first.status == "fail"
    assert "half of the time that was left, and was ended" in first.reason
    assert {step.status for step in others} == {"not-run"}
    assert others[0].reason == "the 0.0333333 minutes are over"
    assert not report.passed


def test_a_kit_for_which_a_tool_is_missing_is_not_run_and_one_that_fails_fails(tmp_path: Path) -> None:
    report = _prove(tmp_path, {"--kit node": "not-run"})
    assert report.passed
    node = report.find("kit node")
    assert node is not None
    assert (node.status, node.reason) == ("not-run", "there is no `node` on the PATH")
    assert not _prove(tmp_path, {"--kit node": "refuse"}).passed


def test_a_step_that_prints_no_report_has_none(tmp_path: Path) -> None:
    step = _prove(tmp_path, {"predict": "babble"}).find("predict")
    assert step is not None
    assert (step.status, step.report) == ("pass", None)


@pytest.mark.parametrize("wrong", [{"minutes": 0.0}, {"minutes": float("nan")}, {"provider": "openvino"}])
def test_a_proof_of_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        ProofConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_folder_without_the_packages_is_told_with_the_command_that_fills_it(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    with pytest.raises(ResourceError, match=r"onnx-parity-toolkit.*pip download --dest .*wheels 'onnx-parity-toolkit'"):
        make_environment(tmp_path / "environment", tmp_path / "wheels", provider="cpu")


def test_a_folder_of_packages_that_does_not_exist_is_a_wrong_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no folder .*wheels with packages"):
        prove_command("cpu", from_wheels=tmp_path / "wheels", output=tmp_path / "proof")
    assert not (tmp_path / "proof").exists()


def test_a_name_is_a_data_set_though_a_folder_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnist-mini").mkdir()
    (tmp_path / "own").mkdir()
    monkeypatch.chdir(tmp_path)
    asked: list[str] = []

    def stop(config: ProofConfig, *_: Any, **__: Any) -> None:
        asked.append(config.data)
        raise ResourceError("enough")

    monkeypatch.setattr(proving, "prove", stop)
    for number, name in enumerate(("mnist-mini", "own")):
        with pytest.raises(ResourceError, match="enough"):
            prove_command("cpu", data=name, output=tmp_path / f"proof-{number}")
    assert asked == ["mnist-mini", str(tmp_path / "own")]


def test_figures_of_two_engines_say_whose_they_are() -> None:
    def row(runtime: str, batch: int, p50_ms: float) -> dict[str, Any]:
        told = {"runtime": runtime, "precision": "fp32", "batch": batch, "latency_ms": {"p50": p50_ms}}
        return {**told, "throughput_items_per_s": 1000 * batch / p50_ms}

    rows = [row("ort", 1, 0.5), row("ort", 64, 4.0), row("torch", 1, 2.0), {"runtime": "torch", "status": "error"}]
    assert find_figures({"schema": BENCH_SCHEMA, "rows": rows[:2]}) == "batch 1: p50 0.5 ms, batch 64: 16,000 images/s"
    assert find_figures({"schema": BENCH_SCHEMA, "rows": rows}) == (
        "ort fp32: batch 1: p50 0.5 ms, batch 64: 16,000 images/s; torch fp32: batch 1: p50 2 ms, batch 1: 500 images/s"
    )
    assert find_figures({"schema": BENCH_SCHEMA, "rows": []}) == ""


def test_a_figure_that_is_missing_is_no_failure_of_the_proof() -> None:
    """A slow device makes two calls in the time of a quick proof: its report has no percentiles."""
    row = {
        "runtime": "ort",
        "precision": "fp32",
        "batch": 1,
        "latency_ms": {"p50": None},
        "throughput_items_per_s": 3.0,
    }
    assert find_figures({"schema": BENCH_SCHEMA, "rows": [row]}) == "batch 1: p50 unknown, batch 1: 3 images/s"
    rows = [{"bound": 1.0, "max_abs_logit_error": None, "flips": 0}]
    assert find_figures({"schema": "toolkit/parity/1", "rows": rows}).startswith("0 rows")
    check = {"runtime": "node", "version": "20", "ms_per_image": None}
    assert find_figures({"schema": "toolkit/kits/1", "kits": [{"check": check}]}) == "node 20"
