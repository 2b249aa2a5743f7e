"""A user's own images: trained, exported, proven; nothing of them leaves with the model."""

from __future__ import annotations

import base64
import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from coloured_shapes import SHAPES, write_shapes
from small_training import Listener

from toolkit.artifacts import ArtifactStore
from toolkit.card import CARD_KEY, Card
from toolkit.data import load_dataset
from toolkit.data.dataset import Dataset
from toolkit.data.images import split_images
from toolkit.errors import ModelError
from toolkit.evaluation.evaluate import evaluate_run
from toolkit.evaluation.selftest import run_selftest
from toolkit.exporting.config import ExportConfig
from toolkit.exporting.export import export_run
from toolkit.exporting.reference import CAP_BASE64_BYTES, count_golden, make_golden, make_probe, synthetic_images
from toolkit.network.config import LARGEST_IMAGE
from toolkit.onnx_file.source import ModelSource
from toolkit.runs.checkpoint import read_checkpoint
from toolkit.runs.run import read_run
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.ort.runtime import OrtRuntime
from toolkit.training.config import TrainConfig
from toolkit.training.recipe_catalog import resolve_recipe
from toolkit.training.train import train

ROOT = Path(__file__).resolve().parents[2]
DEEP = ["stages=3", "stage_convs=2", "normalisation=batch", "hidden_units=0", "epochs=1"]
SMALL = [*DEEP, "conv1_channels=4", "conv2_channels=4", "conv3_channels=4", "batch_size=16"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("private place") / "shapes", count=60, height=36, width=20)


@pytest.fixture(scope="module")
def data(folder: Path) -> Dataset:
    return load_dataset(str(folder))


@pytest.fixture(scope="module")
def run(data: Dataset, folder: Path) -> Path:
    recipe = resolve_recipe("fast", settings=SMALL)
    config = TrainConfig(recipe=recipe, device="cpu", threads=1, data_source=str(folder))
    return train(data, config, store=ArtifactStore(root=folder.parent / "results"), listener=Listener()).run


@pytest.fixture(scope="module")
def exported(run: Path, data: Dataset) -> Any:
    return export_run(run, data, config=ExportConfig(), store=ArtifactStore(root=run.parents[1]))


def test_golden_vectors_are_synthetic_and_nothing_of_the_user_is_in_the_file(
    data: Dataset, folder: Path, exported: Any
) -> None:
    golden = exported.card.golden
    assert (golden.origin, golden.shape) == ("synthetic", (16, 36, 20, 3))
    own = {image.tobytes() for split in (data.train, data.test) for image in split.images}
    size = 36 * 20 * 3
    assert not own & {golden.images[start : start + size] for start in range(0, len(golden.images), size)}
    for content in (exported.model.read_bytes(), exported.card.dumps().encode()):
        assert b"private place" not in content
        assert b".png" not in content


def test_the_users_own_images_travel_only_where_that_is_asked_for(data: Dataset, run: Path, exported: Any) -> None:
    network = read_checkpoint(read_run(run).checkpoint_path).network
    graph = onnx.load_from_string(exported.model.read_bytes())
    probe = make_probe(network, graph, data=data, split="validation", precision="fp32")
    assert len(probe.images) >= 64  # the largest batch that is proven, of ten that are held out
    golden = make_golden("data", probe, network=network, graph=graph)
    assert golden is not None
    images = np.frombuffer(golden.images, np.uint8).reshape(golden.shape)
    held_out = {image.tobytes() for image in data.train.images[-len(images) :]}
    assert {image.tobytes() for image in images} == held_out  # fewer than the 16 that are wanted
    assert make_golden("none", probe, network=network, graph=graph) is None


def test_class_names_and_figures_are_those_of_the_run(data: Dataset, run: Path, exported: Any) -> None:
    session = onnxruntime.InferenceSession(exported.model.read_bytes(), providers=["CPUExecutionProvider"])
    card = Card.loads(session.get_modelmeta().custom_metadata_map[CARD_KEY])
    assert card.classes == SHAPES
    assert (card.input.height, card.input.width, card.input.channels) == (36, 20, 3)
    labels = session.run(["label"], {"images": data.test.images})[0]
    assert (
        int((labels == data.test.labels).sum()) == exported.accuracy.correct == evaluate_run(run, data).report.correct
    )


def test_the_golden_vectors_pass_and_see_swapped_channels(exported: Any) -> None:
    with OrtRuntime(ModelSource.read(exported.model), RuntimeSettings()) as runtime:
        assert run_selftest(runtime, exported.card).passed

        class Swapped:
            info = runtime.info

            def run(self, feeds: dict[str, Any]) -> Any:
                return runtime.run({"images": np.ascontiguousarray(feeds["images"][..., ::-1])})

        assert not run_selftest(Swapped(), exported.card).passed  # type: ignore[arg-type]  # all that is asked of it


def test_an_export_says_which_golden_vectors_it_wrote_or_why_none(exported: Any) -> None:
    from toolkit.render.export import describe_golden

    assert describe_golden(exported.card, asked=None) == "golden vectors: 16 synthetic images"
    bare = replace(exported.card, golden=None)
    assert "none, as asked" in describe_golden(bare, asked="none")
    assert "over the cap" in describe_golden(bare, asked=None)
    with (
        OrtRuntime(ModelSource.read(exported.model), RuntimeSettings()) as runtime,
        pytest.raises(ModelError, match="no golden vectors"),
    ):
        run_selftest(runtime, bare)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [16, 28, 64, LARGEST_IMAGE])
@pytest.mark.parametrize("classes", [2, 100])
def test_synthetic_images_stay_under_the_cap_at_every_size(channels: int, side: int, classes: int) -> None:
    count = count_golden(classes=classes, image_bytes=side * side * channels)
    images = synthetic_images((side, side) if channels == 1 else (side, side, 3), count=count)
    assert 4 <= len(images) <= max(16, classes + 3)
    assert len(base64.b64encode(images.tobytes())) <= CAP_BASE64_BYTES
    if channels == 3:  # red and blue swapped show in the first four, which always fit
        assert not np.array_equal(images[:4], images[:4, ..., ::-1])


def test_golden_logits_of_many_classes_stay_under_the_cap_of_the_images() -> None:
    assert count_golden(classes=100, image_bytes=28 * 28) == 103
    assert 16 < count_golden(classes=200, image_bytes=16 * 16) <= CAP_BASE64_BYTES // (20 * 200)
    assert count_golden(classes=1000, image_bytes=16 * 16) == 16


def test_large_images_are_taken_in_smaller_pieces() -> None:
    small, large = np.zeros((1001, 28, 28), np.uint8), np.zeros((9, 128, 128, 3), np.uint8)
    assert [len(piece) for piece in split_images(small)] == [500, 500, 1]
    assert [len(piece) for piece in split_images(large)] == [7, 2]
    assert [len(piece) for piece in split_images(large, pixels=1)] == [1] * 9


@pytest.mark.slow
def test_every_command_works_on_large_coloured_images(tmp_path: Path) -> None:
    folder = write_shapes(tmp_path / "shapes", count=80, height=128, width=96)

    def toolkit(*arguments: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "toolkit", *arguments, "--json"]
        environment = {**os.environ, "TOOLKIT_ARTIFACTS": str(tmp_path / "results"), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
        value: dict[str, Any] = json.loads(done.stdout)
        return value

    settings = [item for setting in SMALL for item in ("--set", setting)]
    toolkit("train", "--data", str(folder), "--keep-every", "1", *settings)
    model = toolkit("export")["model"]["path"]
    assert toolkit("evaluate")["correct"] == toolkit("evaluate", model, "--data", str(folder))["correct"]
    assert toolkit("selftest")["vectors"] == 5
    parity = toolkit("parity")  # finds the data where the run found them
    assert parity["passed"]
    assert parity["reference"] == "pytorch-float64"
    toolkit("bench", "--batch", "1", "--seconds", "0.2", "--runtime", "ort,torch")
    toolkit("predict", str(folder / SHAPES[0]))
    (table,) = (tmp_path / "results" / "predictions").glob("*.csv")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 20
    assert {row["label"] for row in rows} <= set(SHAPES)
