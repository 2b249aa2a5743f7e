"""Predictions over Ray: what travels, and on a real local cluster of two workers the local engine's very bytes."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imaging_samples import encode

from toolkit.card import InputSpec
from toolkit.data.load import load_mini
from toolkit.errors import DataError, ModelError, ResourceError, UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.prediction import truths
from toolkit.prediction.config import RAY, EngineChoice, PredictionConfig
from toolkit.prediction.ray import Message, ModelWorker, divide_inputs
from toolkit.prediction.run import run_prediction
from toolkit.prediction.sinks.target import Progress
from toolkit.prediction.truths import tell_truth

SPEC = InputSpec(height=28, width=28, channels=1)
IMAGES = load_mini().test.images[:300]


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, ...]:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number % 10}-{number}.png").write_bytes(encode(IMAGES[number]))
    (folder / "broken.png").write_bytes(b"no image")
    (folder / "large.png").write_bytes(encode(255 - np.kron(IMAGES[5], np.ones((4, 4), np.uint8))))
    np.save(tmp_path / "array.npy", IMAGES)
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("a/b.png", encode(IMAGES[7]))
    return (folder, tmp_path / "array.npy", tmp_path / "some.zip", tmp_path / "gone.png")


def config_of(inputs: tuple[Path, ...], model: Path = Path("m.onnx"), **changes: Any) -> PredictionConfig:
    return PredictionConfig(model=model, inputs=inputs, batch=16, executor=RAY, **changes)


def divide(inputs: tuple[Path, ...], *, progress: Progress = Progress(), stdin: bytes = b"") -> list[Message]:  # noqa: B008 - frozen
    parts = divide_inputs(config_of(inputs), SPEC, stdin=stdin, outputs=(), progress=progress)
    return [pickle.loads(pickle.dumps(part)) for part in parts]  # as they travel


def test_a_part_is_some_pictures_or_one_file_that_holds_many_and_nothing_is_read_for_it(
    inputs: tuple[Path, ...], tmp_path: Path
) -> None:
    for number in range(1000):
        (tmp_path / "pictures" / f"x-{number:04}.png").touch()
    parts = divide(inputs)
    assert [kind for kind, _ in parts] == ["items", "items", "file", "file", "items"]
    assert [len(value) for kind, value in parts if kind == "items"] == [512, 22 + 1000 - 512, 1]
    assert [Path(value.path).name for kind, value in parts if kind == "file"] == ["array.npy", "some.zip"]
    assert all(isinstance(item.content, str) for item in parts[0][1])
    assert "gone.png" in parts[-1][1][0].message


def test_names_on_standard_input_travel(inputs: tuple[Path, ...]) -> None:
    ((kind, items),) = divide((Path("-"),), stdin=f"{inputs[0] / 'large.png'}\n".encode())
    assert (kind, items[0].source) == ("items", str(inputs[0] / "large.png"))


def test_what_is_done_is_left_out_even_in_the_midst_of_a_file(inputs: tuple[Path, ...]) -> None:
    parts = divide(inputs, progress=Progress(rows=22 + 70, last=(str(inputs[1]), 69)))
    items = [item for kind, value in parts for item in value if kind == "items"]
    assert (items[0].source, items[0].start) == (str(inputs[1]), 70)
    assert sum(item.num_rows for item in items) == 300 - 70 + 1 + 1


def test_inputs_that_changed_are_an_error_that_travels(inputs: tuple[Path, ...]) -> None:
    ((kind, error),) = divide(inputs, progress=Progress(rows=5, last=("other.png", 0)))
    assert kind == "error"
    assert isinstance(error, UsageError)
    assert "inputs have changed" in str(error)


def test_a_worker_answers_and_hands_on(inputs: tuple[Path, ...], model_path: Path, tmp_path: Path) -> None:
    config = config_of(inputs, model_path, gallery=tmp_path / "g.png")
    worker = ModelWorker(ModelSource.read(model_path), config)
    assert list(worker.answer("note", "something")) == [("note", "something")]
    parts = divide(inputs)
    ((kind, (block, answers)),) = worker.answer(*parts[0])
    assert kind == "answers"
    assert len(block.images) == len(block.places) == answers.num_rows - 1
    assert "broken.png" in answers.messages[int(np.flatnonzero(answers.labels < 0)[0])]
    ((_, (_, answers)),) = worker.answer(*parts[1])
    assert (answers.num_rows, answers.indices.tolist()) == (300, list(range(300)))
    ((_, (block, _)),) = ModelWorker(ModelSource.read(model_path), config_of(inputs, model_path)).answer(*parts[1])
    assert block is None  # only rows travel


def test_what_a_worker_leaves_out_is_told(tmp_path: Path, model_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("a.png", encode(IMAGES[7]))
        archive.writestr("readme.txt", "words")
    worker = ModelWorker(ModelSource.read(model_path), config_of((tmp_path,), model_path))
    ((_, _), (kind, note)) = worker.answer(*divide((tmp_path / "some.zip",))[0])
    assert (kind, "left out" in note) == ("note", True)


def test_a_model_that_cannot_be_opened_is_an_error_that_travels(tmp_path: Path, inputs: tuple[Path, ...]) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    source = ModelSource.read(tmp_path / "broken.onnx")
    ((kind, error),) = ModelWorker(source, config_of(inputs)).answer(*divide(inputs)[0])
    assert kind == "error"
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, ModelError)
    assert "broken.onnx" in str(again)


def test_what_is_of_one_machine_is_refused(model_path: Path, tmp_path: Path) -> None:
    common = {"model": model_path, "inputs": (tmp_path,), "executor": RAY}
    with pytest.raises(UsageError, match="--batch auto"):
        PredictionConfig(batch=0, **common)


def test_without_ray_the_command_says_what_brings_it(monkeypatch: pytest.MonkeyPatch, model_path: Path) -> None:
    from toolkit.prediction.ray import RayCluster

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ResourceError, match=r"onnx-parity-toolkit\[ray\]"):
        RayCluster(provider="cpu", workers=None)


def stop_at_array(source: str, classes: Sequence[str]) -> str:
    """Stand in for what tells a picture's class, until the array's turn comes."""
    if source.endswith("array.npy"):
        raise RuntimeError("stopped")
    return tell_truth(source, classes)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A cluster of two workers, started as the product starts one, kept for all tests."""
    pytest.importorskip("ray", reason="Ray is not installed")
    from toolkit.prediction.ray import RayCluster

    with RayCluster(provider="cpu", workers=2) as cluster:
        yield cluster


def run_both(tmp_path: Path, model: Path, inputs: tuple[Path, ...], *, ending: str = "csv", **options: Any) -> Any:
    reports = []
    for executor in ("local", RAY):
        config = PredictionConfig(
            model=model,
            inputs=inputs,
            output=tmp_path / f"{executor}.{ending}",
            executor=executor,
            processes=2,
            **options,
        )
        reports.append(run_prediction(config))
    assert (tmp_path / f"local.{ending}").read_bytes() == (tmp_path / f"{RAY}.{ending}").read_bytes()
    return reports


@pytest.mark.slow
@pytest.mark.usefixtures("ray")
def test_two_workers_give_the_local_rows(tmp_path: Path, model_path: Path, inputs: tuple[Path, ...]) -> None:
    local, far = run_both(
        tmp_path, model_path, inputs, probabilities=True, truths="filename", gallery=tmp_path / "g.png"
    )
    assert far.processes == 2
    assert (far.num_ok, far.num_errors, far.num_right) == (local.num_ok, local.num_errors, local.num_right)
    assert (local.num_ok, local.num_errors) == (322, 2)
    assert [(picture.source, picture.probability) for picture in far.gallery] == [
        (picture.source, picture.probability) for picture in local.gallery
    ]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(far.gallery, local.gallery, strict=True))
    run_both(tmp_path, model_path, inputs[:2], ending="npy")


@pytest.mark.slow
@pytest.mark.usefixtures("ray")
def test_a_result_that_was_stopped_is_gone_on_with(
    tmp_path: Path, model_path: Path, inputs: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "rows.csv"
    config = PredictionConfig(
        model=model_path, inputs=inputs, output=output, batch=32, executor=RAY, processes=1, probabilities=True
    )
    with monkeypatch.context() as patch:
        patch.setattr(truths, "tell_truth", stop_at_array)
        with pytest.raises(RuntimeError, match="stopped"):
            run_prediction(replace(config, truths="filename"))
    resumed = run_prediction(replace(config, truths="filename", resume=True))
    assert resumed.num_resumed == 22
    run_prediction(replace(config, truths="filename", output=tmp_path / "whole.csv", executor="local"))
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("ray")
def test_errors_of_the_cluster_are_those_of_the_command(tmp_path: Path, model_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    common = {"inputs": (tmp_path,), "output": tmp_path / "x.csv", "executor": RAY}
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        run_prediction(PredictionConfig(model=tmp_path / "broken.onnx", **common))
    with pytest.raises(ResourceError, match="no GPU"):
        run_prediction(PredictionConfig(model=model_path, engine=EngineChoice(provider="cuda"), **common))


@pytest.mark.slow
def test_the_command_starts_its_own_cluster(tmp_path: Path, model_path: Path, inputs: tuple[Path, ...]) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    command = [sys.executable, "-m", "toolkit", "predict", str(model_path), *map(str, inputs[:1]), "--json"]
    for name, executor in (("near", "local"), ("far", "ray")):
        more = ["--executor", executor, "--processes", "2", "-o", str(tmp_path / f"{name}.csv")]
        done = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
        assert done.returncode == DataError.exit_code, done.stderr  # one picture is broken
        assert json.loads(done.stdout)["errors"] == 1
        assert "Traceback" not in done.stderr
        assert "ray" not in done.stderr.replace(str(tmp_path), "").lower()
    assert (tmp_path / "near.csv").read_bytes() == (tmp_path / "far.csv").read_bytes()
