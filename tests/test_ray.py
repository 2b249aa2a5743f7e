"""Predictions over Ray: what travels, and on a real local cluster of two workers the local engine's very bytes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imaging_samples import encode

from toolkit.data.mini_subset import load_mini
from toolkit.errors import DataError, ModelError, ResourceError, UsageError
from toolkit.imaging.settings import PrepareSettings
from toolkit.prediction.config import RAY, EngineChoice, PredictionConfig
from toolkit.prediction.crossing import read_answers, read_items
from toolkit.prediction.ray_parts import ModelWorker, ReadRequest, RunRequest, describe_model, raise_sent, read_jobs
from toolkit.prediction.run import run_prediction
from toolkit.runtimes.frames import read_frame

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


def run_request(model: Path, *, with_images: bool = False, **choice: Any) -> RunRequest:
    return RunRequest(
        model=model.read_bytes(),
        path=model,
        choice=EngineChoice(threads=1, **choice),
        settings=PrepareSettings(),
        batch=16,
        with_images=with_images,
    )


def read_request(inputs: tuple[Path, ...], *, rows: int = 32, done: Any = (0, None), stdin: bytes = b"") -> ReadRequest:
    return ReadRequest(inputs=inputs, stdin=stdin, rows=rows, done=done)


def test_jobs_hold_every_row_once(inputs: tuple[Path, ...]) -> None:
    frames = list(read_jobs(read_request(inputs)))
    assert {kind for kind, _ in frames} == {"job"}
    sizes = [sum(item.num_rows for item in read_items(io.BytesIO(body))) for _, body in frames]
    assert sizes[:-1] == [32] * (len(sizes) - 1)
    assert sum(sizes) == 22 + 300 + 1 + 1


def test_names_on_standard_input_travel(inputs: tuple[Path, ...]) -> None:
    names = f"{inputs[0] / 'large.png'}\n".encode()
    ((kind, body),) = read_jobs(read_request((Path("-"),), stdin=names))
    assert (kind, read_items(io.BytesIO(body))[0].source) == ("job", str(inputs[0] / "large.png"))


def test_inputs_that_changed_are_an_error_that_travels(inputs: tuple[Path, ...]) -> None:
    ((kind, body),) = read_jobs(read_request(inputs, done=(5, ("other.png", 0))))
    assert kind == "error"
    with pytest.raises(UsageError, match="inputs have changed"):
        raise_sent(body)


def test_a_worker_answers_and_hands_on(inputs: tuple[Path, ...], model_path: Path) -> None:
    worker = ModelWorker(run_request(model_path, with_images=True))
    assert worker.answer("note", b"something") == ("note", b"something")
    first = next(read_jobs(read_request(inputs)))
    kind, body = worker.answer(*first)
    stream = io.BytesIO(body)
    answers, images = read_answers(stream)
    frame = read_frame(stream)
    assert kind == "answers"
    assert images is not None
    assert frame is not None
    assert len(images) == len(frame[1]["places"]) == answers.num_rows - 1
    assert "broken.png" in answers.messages[int(np.flatnonzero(answers.labels < 0)[0])]


def test_a_model_that_cannot_be_opened_is_an_error_that_travels(tmp_path: Path, model_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    job = next(read_jobs(read_request((tmp_path,))))
    for kind, body in (
        describe_model(run_request(tmp_path / "broken.onnx")),
        ModelWorker(run_request(tmp_path / "broken.onnx")).answer(*job),
    ):
        assert kind == "error"
        with pytest.raises(ModelError, match=r"broken\.onnx"):
            raise_sent(body)
    kind, body = describe_model(run_request(model_path))
    frame = read_frame(io.BytesIO(body))
    assert frame is not None
    assert (kind, frame[0]["info"]["provider_active"], frame[0]["settings"]["threads"]) == ("info", "cpu", 1)


def test_what_is_of_one_machine_is_refused(model_path: Path, tmp_path: Path) -> None:
    common = {"model": model_path, "inputs": (tmp_path,), "executor": RAY}
    with pytest.raises(UsageError, match="--batch auto"):
        PredictionConfig(batch=0, **common)


def test_without_ray_the_command_says_what_brings_it(monkeypatch: pytest.MonkeyPatch, model_path: Path) -> None:
    from toolkit.prediction.ray_cluster import RayCluster

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ResourceError, match=r"onnx-parity-toolkit\[ray\]"):
        RayCluster(provider="cpu", workers=None)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A cluster of two workers, started as the product starts one, kept for all tests."""
    pytest.importorskip("ray", reason="Ray is not installed")
    from toolkit.prediction.ray_cluster import RayCluster

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
    local, far = run_both(tmp_path, model_path, inputs, probabilities=True, truths=True, gallery=tmp_path / "g.png")
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
def test_errors_of_the_cluster_are_those_of_the_command(tmp_path: Path, model_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    common = {"inputs": (tmp_path,), "output": tmp_path / "x.csv", "executor": RAY}
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        run_prediction(PredictionConfig(model=tmp_path / "broken.onnx", **common))
    with pytest.raises(ResourceError, match="no GPU"):
        run_prediction(PredictionConfig(model=model_path, provider="cuda", **common))


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
