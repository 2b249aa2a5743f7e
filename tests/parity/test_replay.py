"""The worst sample of a row is written as an image and a file, and the file runs it again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from broken_models import broken
from fake_engine import FakeEngine
from PIL import Image

from toolkit.cli.app import app
from toolkit.data.load import load_mini
from toolkit.errors import CheckFailedError, DataError, ModelError, UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.diagnosis.replay import Sample, replay_sample
from toolkit.parity.recording import Recording, write_recording
from toolkit.parity.references.images import Reference, SuiteReference
from toolkit.runtimes.base import RuntimeSettings

pytestmark = pytest.mark.usefixtures("little_noise")

NARROW = ["--runtime", "ort", "--threads", "1", "--optimisation", "all", "--data", "mnist-mini", "--sample", "70"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path


@pytest.fixture(scope="module")
def failed(model_path: Path, trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of which one weight was changed, and the report that judged it against its run.

    Why it fails is not asked here.
    """
    folder = tmp_path_factory.mktemp("failed")
    (folder / "broken.onnx").write_bytes(broken(model_path.read_bytes(), "one weight changed by 1 %"))
    words = ["parity", str(folder / "broken.onnx"), *NARROW, "--run", str(trained_run)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolkit.parity.check._explain", lambda report, *_, **__: report)
        with pytest.raises(CheckFailedError):
            app(args=[*words, "--output", str(folder / "report.json")], standalone_mode=False)
    return folder


@pytest.fixture
def again(here: Path, failed: Path) -> list[str]:
    """The words of another check, whose report would lie beside the samples of an earlier one."""
    shutil.copytree(failed / "report-worst", here / "report-worst")
    return ["parity", *NARROW, "--output", str(here / "report.json")]


def test_a_failing_row_names_its_worst_sample_which_fails_again(
    failed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (row,) = json.loads((failed / "report.json").read_text())["rows"]
    assert row["status"] == "fail"
    worst, files = row["worst"], row["worst_files"]
    assert worst["error"] == row["suites"][worst["suite"]]["max_abs_logit_error"]
    image = np.asarray(Image.open(files["image"]))
    assert worst["suite"] == "test"
    chosen = np.linspace(0, len(load_mini().test) - 1, 70).astype(np.int64)
    assert np.array_equal(image, load_mini().test.images[chosen[worst["index"]]])
    with pytest.raises(CheckFailedError, match="the sample fails again"):
        app(args=["parity", "--replay", files["replay"], "--json"], standalone_mode=False)
    replayed = json.loads(capsys.readouterr().out)
    assert replayed["max_abs_logit_error"] == pytest.approx(worst["error"], rel=0.05)
    differences = np.abs(replayed["values"]["logits"]["difference"])
    assert differences.max() == pytest.approx(replayed["max_abs_logit_error"])
    assert sorted(path.name for path in (failed / "report-worst").iterdir()) == ["01-ort-cpu.png", "01-ort-cpu.replay"]


def test_an_earlier_reports_samples_are_not_mixed_with_new_ones(again: list[str], model_path: Path) -> None:
    with pytest.raises(UsageError, match="report-worst"):
        app(args=[*again, str(model_path)], standalone_mode=False)


def test_samples_that_were_given_up_are_removed(again: list[str], here: Path, model_path: Path) -> None:
    for name in ("02-ort-cuda.replay", "notes.txt"):
        (here / "report-worst" / name).touch()
    app(args=[*again, str(model_path), "--force"], standalone_mode=False)
    names = ["01-ort-cpu.png", "01-ort-cpu.replay", "notes.txt"]
    assert sorted(path.name for path in (here / "report-worst").iterdir()) == names


@pytest.mark.parametrize("option", [["--runtime", "torch"], ["--output", "a.json"], ["--bisect"], ["--force"]])
def test_a_replay_takes_no_option_that_it_would_ignore(option: list[str], here: Path) -> None:
    with pytest.raises(UsageError, match="only the model, --allow-external-data and --json"):
        app(args=["parity", "--replay", str(here / "a.replay"), *option], standalone_mode=False)


def test_an_engine_that_refuses_the_sample_again_fails_again(here: Path) -> None:
    settings = RuntimeSettings()
    entry = SuiteReference(name="test", images=np.zeros((1, 8, 8), np.uint8), logits=np.eye(3)[:1], bound=1e-3)
    recording = Recording(
        reference=Reference(kind="onnx-float64", suites=(entry,)), model_sha256="", data={}, environment={}
    )
    sample = Sample(
        recording=recording, settings=settings, suite="test", index=0, position=0, model_path=here / "m", run=None
    )
    refuses = FakeEngine(run_error=ModelError("not this one"))
    report = replay_sample(sample, ModelSource(model=b"", sha256="", path=here / "m"), opener=lambda *_, **__: refuses)
    assert report.agreement.failures == ("not this one",)


def test_a_sample_belongs_to_its_file(failed: Path, here: Path, model_path: Path) -> None:
    (row,) = json.loads((failed / "report.json").read_text())["rows"]
    replay = row["worst_files"]["replay"]
    with pytest.raises(ModelError, match="a proof holds for one file"):
        app(args=["parity", str(model_path), "--replay", replay], standalone_mode=False)
    away = (failed / "broken.onnx").rename(here / "broken.onnx")
    try:
        with pytest.raises(ModelError, match="not there any more"):
            app(args=["parity", "--replay", replay], standalone_mode=False)
    finally:
        away.rename(failed / "broken.onnx")


def test_a_recording_of_a_whole_check_is_no_replay(here: Path) -> None:
    entry = SuiteReference(name="test", images=np.zeros((1, 8, 8), np.uint8), logits=np.eye(3)[:1], bound=1e-3)
    reference = Reference(kind="onnx-float64", suites=(entry,))
    recording = Recording(reference=reference, model_sha256="", data={}, environment={})
    write_recording(here / "proof", recording)
    with pytest.raises(DataError, match="no replay file"):
        app(args=["parity", "--replay", str(here / "proof")], standalone_mode=False)
    (here / "proof").write_bytes((here / "proof").read_bytes()[:-5])
    with pytest.raises(DataError, match="not a whole recording"):
        app(args=["parity", "--replay", str(here / "proof")], standalone_mode=False)
