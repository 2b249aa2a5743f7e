"""The reference in a file: a proof handed from one machine to another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_models import broken

from toolkit.cli.app import app
from toolkit.data.load import load_mini
from toolkit.durable import sha256_bytes
from toolkit.errors import CheckFailedError, DataError, ModelError, UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.check import record_reference
from toolkit.parity.config import ParityConfig
from toolkit.parity.recording import Recording, read_recording, write_recording
from toolkit.parity.subject import require_providers
from toolkit.runtimes.workers.frames import read_frame, write_frame

QUICK = ParityConfig(threads=(1,), optimisations=("all",), sample=40, small_batches=(3,), small_count=7)
NARROW = ["--runtime", "ort", "--threads", "1", "--optimisation", "all"]


@pytest.fixture(scope="module")
def source(model_path: Path, trained_run: Path) -> ModelSource:
    return ModelSource.read(model_path, run=trained_run)


@pytest.fixture(scope="module")
def recording(source: ModelSource) -> Recording:
    card = require_providers(source, QUICK).card
    assert card is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolkit.parity.references.images.NOISE_COUNT", 16)
        recording = record_reference(source, load_mini(), config=QUICK, card=card)
    return replace(recording, environment={"cpu": "of another machine"})


@pytest.fixture
def recorded(recording: Recording, tmp_path: Path) -> Path:
    write_recording(tmp_path / "proof", recording)
    return tmp_path / "proof"


def test_a_recording_comes_back_as_it_was_written(recorded: Path, recording: Recording, source: ModelSource) -> None:
    again = read_recording(recorded, source)
    assert (again.data, again.environment, again.model_sha256) == (recording.data, recording.environment, source.sha256)
    assert again.reference.kind == "pytorch-float64"
    for mine, other in zip(again.reference.suites, recording.reference.suites, strict=True):
        assert (mine.name, mine.bound) == (other.name, other.bound)
        np.testing.assert_array_equal(mine.images, other.images)
        np.testing.assert_array_equal(mine.logits, other.logits)


def test_a_recording_of_another_file_is_refused(recorded: Path, source: ModelSource) -> None:
    model = broken(source.model, "bias dropped")
    other = ModelSource(model=model, sha256=sha256_bytes(model), path=Path("other.onnx"))
    with pytest.raises(ModelError, match="a proof holds for one file"):
        read_recording(recorded, other)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_cut_recording_is_bad_data(share: float, recorded: Path, source: ModelSource) -> None:
    data = recorded.read_bytes()
    recorded.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DataError, match=r"is not a .*recording"):
        read_recording(recorded, source)


def _edit(name: str, change: Any) -> Any:
    def edit(header: dict[str, Any], arrays: dict[str, Any]) -> None:
        arrays[name] = change(arrays[name])

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        lambda header, _: header.pop("suites"),
        lambda header, _: header.update(schema="toolkit/parity/1"),
        lambda header, _: header.update(suites=[]),
        lambda header, _: header.update(data=None),
        lambda header, _: header.update(form="feeds"),
        lambda header, _: header["suites"][0].update(bound=float("inf")),
        lambda header, _: header["suites"][0].update(bound=-1.0),
        lambda header, _: header["suites"][0].update(bound="large"),
        lambda _, arrays: arrays.pop("1.logits"),
        _edit("0.logits", lambda array: array[1:]),
        _edit("0.logits", lambda array: array * np.nan),
        _edit("0.logits", lambda array: array.astype(np.float32)),
        _edit("0.images", lambda array: array.astype(np.float32)),
    ],
)
def test_an_edited_recording_is_bad_data(edit: Any, recorded: Path, source: ModelSource) -> None:
    with recorded.open("rb") as stream:
        frame = read_frame(stream)
    assert frame is not None
    header, arrays = frame
    edit(header, arrays)
    with recorded.open("wb") as stream:
        write_frame(stream, header, arrays=arrays)
    with pytest.raises(DataError, match=r"is not a .*recording"):
        read_recording(recorded, source)


@pytest.mark.parametrize("share", [0.2, 0.7, 0.9999])
def test_a_flipped_bit_is_seen(share: float, recorded: Path, source: ModelSource) -> None:
    data = bytearray(recorded.read_bytes())
    data[int(share * len(data))] ^= 1
    recorded.write_bytes(data)
    with pytest.raises(DataError, match=r"SHA-256 that it was written with"):
        read_recording(recorded, source)


def test_a_bound_that_was_widened_is_seen(recorded: Path, source: ModelSource) -> None:
    with recorded.open("rb") as stream:
        frame = read_frame(stream)
    assert frame is not None
    frame[0]["suites"][0]["bound"] *= 10
    with recorded.open("wb") as stream:
        write_frame(stream, frame[0], arrays=frame[1])
    with pytest.raises(DataError, match=r"SHA-256 that it was written with"):
        read_recording(recorded, source)


def test_one_rows_sample_is_no_proof(recording: Recording, source: ModelSource, tmp_path: Path) -> None:
    write_recording(tmp_path / "row.replay", replace(recording, sample={"suite": "test"}))
    with pytest.raises(DataError, match="no whole check"):
        read_recording(tmp_path / "row.replay", source)


def test_what_is_not_a_recording_at_all_is_bad_data(tmp_path: Path, source: ModelSource) -> None:
    (tmp_path / "text").write_text("hello, this is no recording of anything")
    for path in (tmp_path / "text", tmp_path / "missing", tmp_path):
        with pytest.raises(DataError):
            read_recording(path, source)


def test_another_machine_needs_neither_data_nor_run(
    model_path: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    proof = tmp_path / "proof"
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "here"))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "runs").symlink_to(trained / "runs")
    app(args=["parity", str(model_path), *NARROW, "--sample", "64", "--record", str(proof)], standalone_mode=False)
    capsys.readouterr()
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "there"))
    monkeypatch.setattr("toolkit.api.check_parity.load_recorded", None)
    app(args=["parity", str(model_path), *NARROW, "--against", str(proof), "--json"], standalone_mode=False)
    report = json.loads(capsys.readouterr().out)
    assert report["passed"]
    assert report["reference"] == "pytorch-float64"
    assert report["recorded_on"]["cpu"]
    assert report["rows"][0]["suites"]["test"]["images"] == 64


def test_a_recording_judges(recording: Recording, source: ModelSource, tmp_path: Path, capsys: Any) -> None:
    """One logit moved by three bounds fails every engine."""
    suite = recording.reference.suites[0]
    suite.logits[5, 2] += 3 * suite.bound
    try:
        write_recording(tmp_path / "moved", recording)
    finally:
        suite.logits[5, 2] -= 3 * suite.bound
    with pytest.raises(CheckFailedError, match="`logits` differ"):
        app(args=["parity", str(source.path), *NARROW, "--against", str(tmp_path / "moved")], standalone_mode=False)


@pytest.mark.parametrize("option", [["--record", "a"], ["--data", "mnist-mini"], ["--sample", "3"], ["--run", "a"]])
def test_a_recording_brings_its_own_images(option: list[str], source: ModelSource, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--against brings its own"):
        app(args=["parity", str(source.path), "--against", str(tmp_path / "proof"), *option], standalone_mode=False)
