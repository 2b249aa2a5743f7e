"""`toolkit bench` and `toolkit doctor` as a user meets them: exit codes, streams, files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands_here import run_here
from tiny_models import save_model

from toolkit.artifacts import ArtifactStore
from toolkit.card import Golden
from toolkit.cli.commands import doctor
from toolkit.errors import UsageError

GOLDEN = Golden(
    origin="synthetic", images=bytes(range(192)), shape=(3, 8, 8), logits=((0.0, 1.0, 2.0),) * 3, tolerance=1e-4
)
TABLE_MARK = "latency of one call"
DEFAULT_TIMES = "--json"  # as the last argument: the user's own default, at full length


def _toolkit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if arguments[0] == "bench" and "--seconds" not in arguments and arguments[-1] != DEFAULT_TIMES:
        arguments += ("--seconds", "0.05")
    return run_here(*arguments)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_model(tmp_path / "tiny.onnx", golden=GOLDEN)


@pytest.fixture(scope="module")
def cuda_required(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What the doctor answers when CUDA is required, asked once: it takes seconds."""
    return _toolkit(
        "doctor", "--runtime", "ort", "--require", "cuda", "--output", tmp_path_factory.mktemp("doctor") / "doctor.json"
    )


@pytest.fixture
def no_cuda(cuda_required: subprocess.CompletedProcess[str]) -> None:
    if cuda_required.returncode == 0:
        pytest.skip("a CUDA device works here: the refusal cannot be seen")


def _reports() -> list[Path]:
    return sorted((Path(os.environ["TOOLKIT_ARTIFACTS"]) / "reports").glob("*.json"))


def test_bench_shows_a_table_and_leaves_a_report(model: Path) -> None:
    done = _toolkit("bench", model, "--batch", "1,8")
    assert done.returncode == 0, done.stderr
    assert TABLE_MARK in done.stdout
    (path,) = _reports()
    assert path.name.startswith("bench-")
    assert str(path) in done.stderr
    report = json.loads(path.read_text())
    assert [(row["batch"], row["status"], row["provider_active"]) for row in report["rows"]] == [
        (1, "pass", "cpu"),
        (8, "pass", "cpu"),
    ]
    assert report["command"] == f"toolkit bench {model} --batch 1,8 --seconds 0.05"


@pytest.mark.slow
def test_default_bench_measures_three_batches_or_says_which_it_leaves_out(model: Path) -> None:
    done = _toolkit("bench", model, DEFAULT_TIMES)
    report = json.loads(done.stdout)
    batches = [row["batch"] for row in report["rows"]]
    assert batches == [1, 32, 256] or f"{','.join(map(str, batches))} are measured" in done.stderr
    assert all(row["latency_ms"]["p99"] for row in report["rows"])
    assert TABLE_MARK in done.stderr


def test_latest_model_is_taken_and_named(model: Path, tmp_path: Path) -> None:
    ArtifactStore.default().record(model=model)
    done = _toolkit("bench", "--batch", "1")
    assert done.returncode == 0, done.stderr
    assert f"{model.name}" in done.stderr
    assert model.name in done.stdout
    (path,) = _reports()
    assert json.loads(path.read_text())["command"] == f"toolkit bench {model} --batch 1 --seconds 0.05"


def test_no_model_at_all_says_how_to_make_one() -> None:
    done = _toolkit("bench")
    assert (done.returncode, done.stdout) == (2, "")
    assert "toolkit export" in done.stderr


def test_cuda_that_is_not_here_ends_in_5_with_one_line_and_nothing_on_stdout(model: Path, no_cuda: None) -> None:
    ArtifactStore.default().record(model=model)
    for arguments in (["bench", model, "--provider", "cuda"], ["bench", "--json", "--provider", "cpu,cuda"]):
        done = _toolkit(*arguments)
        assert (done.returncode, done.stdout) == (5, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: provider cuda is not active")
        assert ".so." in line or "not part of this onnxruntime build" in line
    assert _reports() == []


def test_allowed_fallback_measures_and_marks_the_row(model: Path, no_cuda: None) -> None:
    done = _toolkit("bench", model, "--provider", "cuda", "--allow-fallback", "--json", "--batch", "1")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["rows"]
    assert (row["provider_requested"], row["provider_active"], row["fallback"]) == ("cuda", "cpu", True)
    assert row["reason"]
    assert "FALLBACK" in done.stderr


def test_all_providers_skip_what_is_not_here(model: Path, no_cuda: None) -> None:
    done = _toolkit("bench", model, "--provider", "all", "--json", "--batch", "1")
    assert done.returncode == 0, done.stderr
    status = {row["provider_requested"]: row["status"] for row in json.loads(done.stdout)["rows"]}
    assert (status["cpu"], status["cuda"]) == ("pass", "skip")


def test_explicit_output_is_written_and_not_overwritten_without_force(model: Path, tmp_path: Path) -> None:
    target = tmp_path / "own.json"
    assert _toolkit("bench", model, "--batch", "1", "--output", target).returncode == 0
    before = target.read_bytes()
    refused = _toolkit("bench", model, "--output", target)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--force" in refused.stderr
    assert target.read_bytes() == before
    assert _toolkit("bench", model, "--batch", "2", "--output", target, "--force").returncode == 0
    assert json.loads(target.read_text())["rows"][0]["batch"] == 2


def test_output_that_is_the_model_is_refused(model: Path) -> None:
    before = model.read_bytes()
    done = _toolkit("bench", model, "--output", model, "--force")
    assert done.returncode == 2
    assert model.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--provider", "cudda"], 2, "did you mean 'cuda'"),
        (["--runtime", "ortt"], 2, "did you mean 'ort'"),
        (["--batch", "0"], 2, "--batch '0' holds 0"),
        (["--batch", "one"], 2, "--batch 'one' is not a list"),
        (["--threads", "-1"], 2, "--threads"),
        (["--precision", "int8"], 2, "the file is fp32, not int8"),
        (["--precision", "bf16"], 2, "this engine does not compute in bf16"),
        (["--batch", "100000000"], 2, "a batch of 100,000,000 needs 6,400,000,000 bytes of inputs"),
        (["--scenario", "serve"], 2, "did you mean 'server'"),
        (["--scenario", "server"], 2, "--rate 100"),
        (["--rate", "100"], 2, "scenario server needs the rate"),
        (["--scenario", "server", "--rate", "-1"], 2, "the rate is -1"),
        (["--scenario", "multi-stream", "--streams", "0"], 2, "streams is 0"),
        (["--driver", "lodgen"], 2, "did you mean 'loadgen'"),
        (["--boundary", "device"], 2, "has no memory of its own"),
        (["--io-binding", "yes"], 2, "unknown IO binding 'yes'"),
        (["--device-option", "nwhc=true"], 2, "did you mean 'nhwc'"),
        (["--scenario", "server", "--rate", "0.05"], 2, "a p50 needs 11: --seconds 220"),
        (["--scenario", "multi-stream", "--streams", "100000000"], 2, "at most 10,000 streams"),
        (["--goal", "throughput"], 2, "add --auto"),
        (["--max-p99-ms", "3"], 2, "add --auto"),
        (["--scenario", "capacity"], 2, "--max-p99-ms 20"),
        (["--scenario", "capacity", "--max-p99-ms", "20"], 2, "capacity is a server's, and ort runs here"),
        (["--scenario", "capacity", "--max-p99-ms", "-1", "--at", "http://127.0.0.1:9"], 2, "--max-p99-ms is -1"),
        (
            ["--scenario", "server", "--rate", "900", "--driver", "toolkit", "--at", "http://127.0.0.1:9"],
            2,
            "by LoadGen",
        ),
        (["--at", ""], 2, "--at is empty; name a server"),
        (["--at", "http://127.0.0.1:9", "--threads", "2"], 2, "are about engines that run here"),
        (["--at", "http://127.0.0.1:9", "--io-binding", "on"], 2, "are about engines that run here"),
        (["--at", "http://127.0.0.1:9", "--require-all-nodes"], 2, "are about engines that run here"),
        (["--cuda-graph"], 2, "are about CUDA"),
        (["--device-option", "nhwc=true"], 2, "are about CUDA"),
        (["--tf32"], 2, "are about CUDA"),
        (["--auto", "--scenario", "server", "--rate", "1000"], 2, "a search measures single-stream or offline"),
        (["--output", "a.json", "--csv", "./a.json"], 2, "two outputs are both a.json"),
        (["--csv", "a.csv", "--samples", "a.csv"], 2, "two outputs are both a.csv"),
        (["--csv", "/proc/none/rows.csv"], 5, "cannot write /proc/none/rows.csv"),
        (["--auto", "--goal", "speed"], 2, "known: latency, throughput"),
        (["--auto", "--max-p99-ms", "0"], 2, "--max-p99-ms is 0"),
        (["--runtime", "torch"], 4, "no run"),
        (["--seconds", "0"], 2, "expected more than 0"),
    ],
)
def test_wrong_request_ends_in_its_code_with_one_line(model: Path, arguments: list[str], code: int, words: str) -> None:
    done = _toolkit("bench", model, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x0a" * 100])
def test_file_that_is_no_model_ends_in_4(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.onnx"
    path.write_bytes(content)
    done = _toolkit("bench", path)
    assert (done.returncode, done.stdout) == (4, "")
    assert len(done.stderr.splitlines()) == 1


def test_missing_file_ends_in_2_naming_it(tmp_path: Path) -> None:
    done = _toolkit("bench", tmp_path / "gone.onnx")
    assert done.returncode == 2
    assert "gone.onnx" in done.stderr


@pytest.mark.parametrize(
    ("words", "writer"),
    [
        (["compare", "GONE", "GONE"], "bench"),
        (["learning-curve", "--resume", "GONE"], "learning-curve"),
        (["parity", "--replay", "GONE"], "parity"),
    ],
)
def test_missing_report_ends_in_2_and_names_what_writes_it(words: list[str], writer: str, tmp_path: Path) -> None:
    done = _toolkit(*[str(tmp_path / "gone") if word == "GONE" else word for word in words])
    assert (done.returncode, done.stderr) == (
        2,
        f"error: no file {tmp_path / 'gone'}; toolkit {writer} writes such a file\n",
    )
    assert not list(tmp_path.iterdir())


def test_batch_beyond_memory_is_a_failed_row_and_the_rest_goes_on(model: Path) -> None:
    done = _toolkit("bench", model, "--json", "--batch", "1,100000000")
    assert done.returncode == 1
    rows = json.loads(done.stdout)["rows"]
    assert [(row["batch"], row["status"]) for row in rows] == [(1, "pass"), (100_000_000, "fail")]
    assert "1 of 2 rows failed: a batch of 100,000,000 needs" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["server", "--rate", "500"],
        pytest.param(["multi-stream", "--streams", "3"], marks=pytest.mark.slow),
        pytest.param(["offline"], marks=pytest.mark.slow),
    ],
    ids=lambda words: words[0],
)
def test_scenarios_are_measured_and_named_in_the_table(model: Path, arguments: list[str]) -> None:
    done = _toolkit("bench", model, "--batch", "2", "--json", "--scenario", *arguments)
    (row,) = json.loads(done.stdout)["rows"]
    # A machine that is busy may not serve so many: then the row says so, and no test may ask for more.
    assert row["status"] == "pass" or "calls a second are more than it serves" in row["reason"], done.stderr
    assert done.returncode == (row["status"] != "pass")
    assert row["scenario"] == arguments[0]
    assert arguments[0] in done.stderr
    if arguments[0] == "server":
        assert row["throughput_items_per_s"] < 5000  # the arrivals', not the engine's


@pytest.mark.parametrize(
    "scenario",
    [
        ["single-stream"],
        pytest.param(["multi-stream", "--streams", "3"], marks=pytest.mark.slow),
        pytest.param(["server", "--rate", "500"], marks=pytest.mark.slow),
        pytest.param(["offline"], marks=pytest.mark.slow),
    ],
    ids=lambda words: words[0],
)
def test_loadgen_itself_can_drive(model: Path, scenario: list[str]) -> None:
    pytest.importorskip("mlperf_loadgen", reason="the extra loadgen is not installed")
    done = _toolkit("bench", model, "--driver", "loadgen", "--batch", "2", "--json", "--scenario", *scenario)
    (row,) = json.loads(done.stdout)["rows"]
    assert row["status"] == "pass" or "calls a second are more than it serves" in row["reason"], done.stderr
    assert row["settings"]["plan"]["driver"] == "loadgen"
    assert row["samples"] > 0
    assert row["latency_ms"]["min"] > 0


# `toolkit bench` that is interrupted when its second row is finished, however long that takes.
INTERRUPTED = """
import os, signal, sys
from toolkit.cli import output
from toolkit.cli.app import main
show = output.ProgressBar.__call__
def interrupt(bar, done, total):
    show(bar, done, total)
    if done == 2:
        os.kill(os.getpid(), signal.SIGINT)
output.ProgressBar.__call__ = interrupt
main(sys.argv[1:])
"""


def test_interrupt_keeps_the_rows_that_are_finished(model: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, "bench", str(model), "--batch", ",".join(map(str, range(1, 60)))]
    command += ["--seconds", "0.05", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    stdout, stderr = done.stdout, done.stderr
    assert done.returncode == 130, stderr
    report = json.loads(stdout)
    assert report["interrupted"] is True
    assert report["passed"] is False
    assert len(report["rows"]) == 2
    assert all(row["status"] == "pass" and row["samples"] for row in report["rows"])
    (path,) = _reports()
    assert json.loads(path.read_text()) == report
    assert "INTERRUPTED" in stderr


# The same while what the machine can do at best is measured, after the last row.
INTERRUPTED_LATE = """
import os, signal, sys, time
from toolkit.bench import sweep
from toolkit.cli.app import main
def interrupt(*_, **__):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)
sweep.measure_peak, sweep.LEAST_FOR_PEAKS_S = interrupt, 0
main(sys.argv[1:])
"""


def test_interrupt_after_the_last_row_loses_no_row(model: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED_LATE, "bench", str(model), "--batch", "1,2", "--seconds", "0.05"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    report = json.loads(done.stdout)
    assert (report["interrupted"], report["floors"]) == (True, [])
    assert [row["status"] for row in report["rows"]] == ["pass", "pass"]
    (path,) = _reports()
    assert json.loads(path.read_text()) == report


def test_picture_and_page_are_made_of_results(model: Path, tmp_path: Path) -> None:
    first, second, picture = tmp_path / "first.json", tmp_path / "second.json", tmp_path / "own.png"
    assert _toolkit("bench", model, "--batch", "1,8", "-o", first, "--picture", picture).returncode == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert _toolkit("bench", model, "--batch", "1,8", "--threads", "1", "-o", second).returncode == 0
    page = tmp_path / "page.md"
    done = _toolkit("report", first, second, "-o", page)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert "| first.json | ort " in text
    assert "![latency, throughput and distribution](page-tiny.png)" in text
    assert (tmp_path / "page-tiny.png").read_bytes().startswith(b"\x89PNG")
    assert text.count("toolkit bench") == 2
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    partly = _toolkit("report", first, broken, "-o", page, "--force")
    assert partly.returncode == 3
    assert "broken.json" in page.read_text()
    none = _toolkit("report", broken, "-o", tmp_path / "none.md")
    assert (none.returncode, (tmp_path / "none.md").exists()) == (3, False)


def test_doctor_reports_and_ends_in_0_whatever_is_absent() -> None:
    done = _toolkit("doctor", "--require", "cpu", "--runtime", "ort", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["schema"] == "toolkit/doctor/1"
    assert report["command"] == "toolkit doctor --require cpu --runtime ort --json"
    (path,) = _reports()
    assert json.loads(path.read_text()) == report
    assert "ort/cpu" in done.stderr


def test_doctor_requiring_cuda_without_it_ends_in_5(
    no_cuda: None, cuda_required: subprocess.CompletedProcess[str]
) -> None:
    assert cuda_required.returncode == 5
    assert "ort/cuda" in cuda_required.stdout
    assert cuda_required.stderr.splitlines()[-1].startswith("error: ort/cuda is required and does not work")


def test_doctor_examines_what_devices_run_by_and_what_is_required() -> None:
    assert doctor._choose_engines(None, (), every=False) == ("ort", "torch")
    assert doctor._choose_engines(None, ("cuda", "openvino", "torch/cuda"), every=False) == ("ort", "torch", "openvino")
    assert doctor._choose_engines("tract,ort", ("openvino",), every=False) == ("tract", "ort")
    assert doctor._choose_engines(None, ("openvino",), every=True) == ("all",)
    with pytest.raises(UsageError, match="--all examines every engine"):
        doctor._choose_engines("ort", (), every=True)
