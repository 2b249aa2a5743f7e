"""`toolkit export --precision int8` from a run to a file that is kept or refused."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from loaded_modules import modules_after

from exporters import ExportError
from toolkit.cli.app import app
from toolkit.data.dataset import Split
from toolkit.data.load import load_mini
from toolkit.errors import CheckFailedError, UsageError
from toolkit.exporting import derived, int8_gate
from toolkit.exporting.config import ExportConfig
from toolkit.exporting.derived import INT8_SETTINGS, calibration_images, rank_tries
from toolkit.exporting.reference import split_training
from toolkit.exporting.report import Int8Report, Int8Try
from toolkit.render.export import int8_table
from toolkit.runtimes.workers.client import WorkerRuntime


def tried(name: str, *, changed: int, rms: float) -> Int8Try:
    return Int8Try(name=name, setting=INT8_SETTINGS[name], labels_changed=changed, rms_logit_error=rms, graph=object())  # type: ignore[arg-type]  # stands for a graph


def test_the_ranking_takes_labels_first_then_the_error_then_the_order_of_the_list() -> None:
    tries = [
        tried("minmax", changed=1, rms=0.001),
        tried("percentile 99.99", changed=0, rms=0.004),
        tried("minmax, 7-bit weights", changed=0, rms=0.004),
    ]
    assert [item.name for item in rank_tries(tries)] == ["percentile 99.99", "minmax, 7-bit weights", "minmax"]
    tries[1] = replace(tries[1], graph=None, status="failed")
    assert [item.name for item in rank_tries(tries)] == ["minmax, 7-bit weights", "minmax"]


def test_a_try_is_held_against_the_float32_file_and_the_true_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = {"logits": np.array([[1, 0], [0, 1], [1, 0]], np.float32), "label": np.array([0, 1, 0])}
    seen = {"logits": np.array([[1, 0.5], [0, 1], [0, 1]], np.float32), "label": np.array([0, 1, 1])}
    answers = iter([exact, *[seen] * len(INT8_SETTINGS)])
    monkeypatch.setattr(derived, "_answer", lambda *_: next(answers))
    monkeypatch.setattr(derived, "quantise_apart", lambda *_, **__: "graph")
    monkeypatch.setattr(derived, "finish_model", lambda *_, **__: SimpleNamespace(model=b"12"))
    held_out = Split(images=np.zeros((3, 4, 4), np.uint8), labels=np.array([0, 0, 1]))
    given: Any = "not read"
    first, *_ = derived.try_settings(given, given, held_out=held_out, calibration=given, log=tmp_path / "log")
    assert (first.status, first.size_bytes, first.labels_changed, first.correct) == ("chosen", 2, 1, 2)
    assert (first.max_logit_error, first.rms_logit_error) == (1, pytest.approx((2.25 / 6) ** 0.5))


def test_calibration_takes_a_seeded_sample_and_never_a_validation_image() -> None:
    mini = load_mini()
    training = split_training(mini)[0]
    images = calibration_images(training, 1000)
    assert np.array_equal(images, calibration_images(training, 1000))
    assert len(images) == 1000
    held_out = {image.tobytes() for image in mini.train.images[-1000:]}
    known = {image.tobytes() for image in mini.train.images[:-1000]}
    assert {image.tobytes() for image in images} <= known - held_out
    assert len(calibration_images(training, 50_000)) == 4000


def test_the_table_has_a_row_for_every_try_and_says_what_the_test_images_said() -> None:
    from rich.console import Console

    truth = np.zeros(10_000, np.int64)
    measured = {"size_bytes": 1_160_000, "correct": 9_972, "max_logit_error": 0.3}
    chosen = replace(tried("minmax", changed=0, rms=0.0074), status="chosen", **measured)
    failed = Int8Try(
        name="other", setting=INT8_SETTINGS["percentile 99.99"], status="failed", reason="the quantiser hung"
    )
    report = Int8Report(
        model={},
        output=Path("m.int8.onnx"),
        calibration={"images": 1000, "seed": 0},
        ranking={"images": 10_000, "split": "training"},
        tries=(chosen, failed),
        gate=int8_gate.judge_int8(truth, fp32=truth, int8=truth, max_logit_error=0.056, bound=0.6),
    )
    written = io.StringIO()
    console = Console(width=160, file=written)
    console.print(*int8_table(report), sep="\n")
    text = written.getvalue()
    assert "chosen  minmax   1.16        0  9,972  0.0074  0.3" in text
    assert "the quantiser hung" in text
    assert "ranked on 10,000 training images" in " ".join(text.split())
    assert "gate holds on 10,000 test images: 0.000 points lost (95 % interval -0.038 to 0.038)" in text
    untouched = replace(report, tries=(), gate=None, failures=("too few",))
    assert int8_table(untouched) == ["the test images were not looked at"]


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'int8'"):
        ExportConfig(precisions=("int9",))
    with pytest.raises(UsageError, match="the least is 16"):
        ExportConfig(calibration_count=3)


def test_too_few_test_images_are_refused_with_the_number_that_would_do_and_float32_stays(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path))
    link(trained_run, tmp_path)
    with pytest.raises(CheckFailedError, match=r"1,000 test images cannot show .* 2,558 are the least"):
        app(args=["export", trained_run.name, "--precision", "fp32,int8", "--json"], standalone_mode=False)
    report = json.loads(capsys.readouterr().out)
    assert Path(report["model"]["path"]).is_file()
    assert report["derived"] == []
    assert not report["int8"]["passed"]
    assert [path.name for path in (tmp_path / "models").glob("*.int8.*")] == []
    (kept,) = (tmp_path / "reports").glob("int8-*.json")
    assert json.loads(kept.read_text())["failures"] == report["int8"]["failures"]


def link(run: Path, artifacts: Path) -> None:
    (artifacts / "runs").mkdir(exist_ok=True)
    (artifacts / "runs" / run.name).symlink_to(run)


@pytest.fixture(scope="module")
def large_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mini's images with 3,000 of them as test images, in Keras's form."""
    mini = load_mini()
    images = np.concatenate([mini.train.images, mini.test.images])
    labels = np.concatenate([mini.train.labels, mini.test.labels])
    path = tmp_path_factory.mktemp("large") / "digits.npz"
    np.savez(path, x_train=images[:3000], y_train=labels[:3000], x_test=images[3000:], y_test=labels[3000:])
    return path


@pytest.fixture(scope="module")
def exported(large_test: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """An artifacts folder with a run on `large_test`, whose int8 file holds its gate, and the report of the export."""
    import contextlib

    root = tmp_path_factory.mktemp("int8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOOLKIT_ARTIFACTS", str(root))
        app(
            # A run whose int8 file loses next to nothing: the gate is strict with 3,000 images.
            args=["train", "--data", str(large_test), "--set", "epochs=6", "--set", "batch_size=256", "--seed", "3"],
            standalone_mode=False,
        )
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            app(args=["export", "--precision", "fp32,fp16,int8", "--json"], standalone_mode=False)
    return root, json.loads(out.getvalue())


@pytest.mark.slow
def test_an_int8_file_has_its_own_card_and_passes_selftest_and_parity(
    exported: tuple[Path, dict[str, Any]],
    large_test: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, report = exported
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(root))
    assert [item["precision"] for item in report["derived"]] == ["fp16", "int8"]
    file = report["derived"][1]
    path = Path(file["model"]["path"])
    assert file["model"]["size_bytes"] == path.stat().st_size < 1_200_000
    card = json.loads(Path(file["card"]).read_text())
    assert card["precision"] == "int8"
    assert card["derived_from_sha256"] == report["model"]["sha256"]
    assert card["recipe"]["int8"]["calibration_images"] == 1000
    assert card["bound"]["formula"].startswith("empirical")
    chosen = next(row for row in report["int8"]["rows"] if row["status"] == "chosen")
    assert card["bound"]["logits"] == pytest.approx(2 * chosen["max_logit_error"], rel=0.02)
    assert card["golden"]["origin"] == "synthetic"  # a user's own images do not leak
    assert card["golden"]["tolerance"] >= card["bound"]["logits"]
    assert {row["name"] for row in report["int8"]["rows"]} == set(INT8_SETTINGS)
    gate = report["int8"]["gate"]
    assert card["test_accuracy"]["correct"] == pytest.approx(
        report["test_accuracy"]["correct"] - gate["only_fp32_right"] + gate["only_int8_right"]
    )
    app(args=["selftest", str(path), "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["passed"]
    narrow = ["--runtime", "ort,torch", "--threads", "1", "--sample", "64", "--data", str(large_test), "--json"]
    app(args=["parity", str(path), *narrow], standalone_mode=False)
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["runtime"]: row["status"] for row in rows} == {"torch": "skip", "ort": "pass"}


@pytest.mark.slow
def test_the_parity_of_an_int8_file_sees_a_fault(
    exported: tuple[Path, dict[str, Any]], large_test: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import onnx
    from onnx import numpy_helper

    root, report = exported
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(root))
    model = onnx.load(report["derived"][1]["model"]["path"])
    (weight,) = (
        item
        for item in model.graph.initializer
        if item.name.endswith("convs.0.weight_quantized") and "stages.1" in item.name
    )
    array = numpy_helper.to_array(weight).copy()
    array[:, :4] = 0  # a few channels lost
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    broken = tmp_path / "broken.onnx"
    onnx.save(model, broken)
    narrow = ["--runtime", "ort", "--threads", "1", "--optimisation", "all", "--sample", "256"]
    with pytest.raises(CheckFailedError, match="parity failed"):
        app(args=["parity", str(broken), *narrow, "--data", str(large_test)], standalone_mode=False)


@pytest.mark.slow
def test_a_second_export_gives_the_same_bytes_without_a_stopwatch_and_leaves_onnx_runtime_to_others(
    exported: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, report = exported
    path = Path(report["derived"][1]["model"]["path"])
    before = path.read_bytes(), path.with_suffix(".card.json").read_bytes()
    path.unlink()
    loaded = modules_after(
        ["export", "--precision", "int8"], cwd=tmp_path, environment={"TOOLKIT_ARTIFACTS": str(root)}
    )
    assert "onnxruntime" not in loaded
    assert (path.read_bytes(), path.with_suffix(".card.json").read_bytes()) == before
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(root))
    monkeypatch.setattr(WorkerRuntime, "measure", lambda *_: pytest.fail("the speed was measured"))
    path.unlink()
    app(args=["export", "--precision", "int8"], standalone_mode=False)
    assert path.read_bytes() == before[0]


@pytest.mark.slow
def test_where_no_setting_gives_a_file_the_test_images_are_not_looked_at(
    exported: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ExportError("the quantiser left with exit code 3")

    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(exported[0]))
    monkeypatch.setattr(derived, "quantise_apart", refuse)
    monkeypatch.setattr(derived, "judge_int8", lambda *_, **__: pytest.fail("the test images were looked at"))
    with pytest.raises(CheckFailedError, match="no setting gives a file: the quantiser left with exit code 3"):
        app(args=["export", "--precision", "int8", "--name", "none", "--json"], standalone_mode=False)
    rows = json.loads(capsys.readouterr().out)["int8"]["rows"]
    assert {item["status"] for item in rows} == {"failed"}


@pytest.mark.slow
def test_a_gate_that_does_not_hold_removes_the_file_and_keeps_the_others_and_the_table(
    exported: tuple[Path, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, report = exported
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(root))
    monkeypatch.setattr(int8_gate, "LEAST_AGREEMENT", 1.1)
    path = Path(report["derived"][1]["model"]["path"])
    kept = path.read_bytes()
    try:
        with pytest.raises(CheckFailedError, match=r"no int8 file: its labels agree .*; every try is in"):
            app(args=["export", "--precision", "fp32,fp16,int8"], standalone_mode=False)
        assert not path.exists()
        assert not path.with_suffix(".card.json").exists()
        assert all(Path(item["model"]["path"]).is_file() for item in (report, report["derived"][0]))
        assert "gate does not hold" in capsys.readouterr().out
    finally:
        path.write_bytes(kept)
