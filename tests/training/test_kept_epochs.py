"""A run's earlier checkpoints are exported under their own names, and found again from the file."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_training import Listener

from toolkit.artifacts import ArtifactStore
from toolkit.card import CARD_KEY
from toolkit.data.dataset import Dataset, Split
from toolkit.data.load import load_mini
from toolkit.errors import ModelError, UsageError
from toolkit.exporting.config import ExportConfig
from toolkit.exporting.export import choose_name, export_run
from toolkit.onnx_file.source import ModelSource
from toolkit.runs.checkpoint import read_checkpoint
from toolkit.runs.origin import find_origin, require_origin
from toolkit.runs.run import epoch_checkpoint, find_checkpoint, list_checkpoints, read_run
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.engines.torch_eager import TorchEagerRuntime
from toolkit.training.config import ResumeConfig, TrainConfig
from toolkit.training.recipe_catalog import resolve_recipe
from toolkit.training.resume import resume_run
from toolkit.training.train import train

SMALL = ["conv1_channels=4", "conv2_channels=4", "hidden_units=16", "epochs=2"]


def first(split: Split, count: int) -> Split:
    return Split(images=split.images[:count], labels=split.labels[:count])


@pytest.fixture(scope="module")
def data() -> Dataset:
    mini = load_mini()
    return Dataset(
        name="few",
        train=first(mini.train, 400),
        test=first(mini.test, 100),
        classes=mini.classes,
        licence="unknown",
        polarity="any",
        fit="stretch",
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ArtifactStore:
    return ArtifactStore(root=tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def early(data: Dataset, store: ArtifactStore) -> Any:
    """Two epochs of a run, every one kept and the last one exported, and a third added; then a run of another seed."""
    config = TrainConfig(recipe=resolve_recipe("fast", settings=SMALL), device="cpu", threads=1, keep_every=1)
    run = train(data, config, store=store, listener=Listener()).run
    report = export_run(run, data, config=ExportConfig(), store=store)
    resume_run(run, data, config=ResumeConfig(epochs="+1"), store=store, listener=Listener())
    train(data, replace(config, seed=1, keep_every=0), store=store, listener=Listener())
    return report


@pytest.fixture(scope="module")
def run(early: Any, store: ArtifactStore) -> Path:
    return store.root / "runs" / early.model.stem


def choose(run: Path, choice: str) -> Path:
    return run.with_name(f"{run.name}@{choice}")


def sha256_of(reference: Path) -> str:
    return str(json.loads(find_checkpoint(reference).with_suffix(".json").read_bytes())["sha256"])


@pytest.fixture(scope="module")
def exported(run: Path, data: Dataset, store: ArtifactStore) -> Any:
    return export_run(choose(run, "1"), data, config=ExportConfig(), store=store)


def test_a_kept_epoch_is_exported_under_its_own_name_and_recorded_by_its_run(
    run: Path, store: ArtifactStore, exported: Any
) -> None:
    assert exported.model == store.root / "models" / f"{run.name}-epoch1.onnx"
    assert exported.card.name == f"{run.name}-epoch1"
    assert exported.card.recipe["epochs"] == 1
    assert exported.card.checkpoint_sha256 == sha256_of(choose(run, "1"))
    latest = json.loads((store.root / "latest.json").read_text())
    assert latest["model_run"] == run.name


def test_a_run_that_went_on_is_exported_beside_its_earlier_file(
    early: Any, run: Path, data: Dataset, store: ArtifactStore
) -> None:
    before = early.model.read_bytes()
    later = export_run(run, data, config=ExportConfig(), store=store)
    assert (early.model.stem, early.card.recipe["epochs"]) == (run.name, 2)
    assert (later.model.stem, later.unchanged, later.card.name) == (f"{run.name}-2", False, f"{run.name}-2")
    assert early.model.read_bytes() == before
    assert choose_name(run.name, sha256_of(run), store=store) == f"{run.name}-2"  # where it would be unchanged
    # The card states the epochs really trained.
    assert later.card.recipe["epochs"] == 3  # the recipe says 2
    assert later.card.recipe["name"].startswith("fast+epochs=2+")  # as the run began


def test_a_name_that_is_taken_by_what_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    store = ArtifactStore(root=tmp_path)
    store.model_path("m").parent.mkdir(parents=True)
    store.model_path("m").write_bytes(b"?")
    assert choose_name("m", "0" * 64, store=store) == "m-2"


@pytest.mark.parametrize(
    ("choice", "name"), [(None, "{}"), ("best", "{}-best"), ("2", "{}-epoch2"), ("002", "{}-epoch2")]
)
def test_every_checkpoint_has_a_name_for_its_model(run: Path, choice: str | None, name: str) -> None:
    reference = run if choice is None else choose(run, choice)
    assert read_run(reference).model_name == name.format(run.name)


def test_every_checkpoint_of_every_run_is_found_by_its_hash(run: Path, store: ArtifactStore) -> None:
    for number in (1, 2):
        found = find_origin(sha256_of(choose(run, str(number))), store=store)
        assert found is not None
        assert sha256_of(found) == sha256_of(choose(run, str(number)))
        assert read_run(found).path == run
    # The last epoch was kept under its number too: the plain folder stands for it.
    assert sha256_of(choose(run, "3")) == sha256_of(run)
    assert find_origin(sha256_of(run), store=store) == run
    other = next((store.root / "runs").glob("*-s1-*"))
    assert find_origin(sha256_of(other), store=store) == other
    assert find_origin("0" * 64, store=store) is None


def test_of_runs_with_the_same_checkpoint_the_one_with_the_same_data_is_found(run: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        copy = tmp_path / "runs" / name
        shutil.copytree(run, copy)
        config = json.loads((copy / "config.json").read_text())
        config["data"]["sha256"] = name * 64
        (copy / "config.json").write_text(json.dumps(config) if name != "c" else "{")
    found = ArtifactStore(root=tmp_path)
    assert find_origin(sha256_of(run), store=found, data_sha256="b" * 64) == tmp_path / "runs" / "b"
    for unknown in ("", "c" * 64):
        assert find_origin(sha256_of(run), store=found, data_sha256=unknown) == tmp_path / "runs" / "a"


def test_the_best_checkpoint_is_found_where_no_epoch_was_kept(run: Path, store: ArtifactStore, tmp_path: Path) -> None:
    copy = tmp_path / "runs" / "one"
    shutil.copytree(run, copy)
    for number in (1, 2, 3):
        epoch_checkpoint(copy, number).with_suffix(".json").unlink()
    best, last = copy / "checkpoints" / "best.json", copy / "checkpoints" / "last.json"
    best.write_text(json.dumps({**json.loads(best.read_text()), "sha256": "b" * 64}))
    (copy / "checkpoints" / "notes.json").write_text(json.dumps({"sha256": "c" * 64}))
    found = ArtifactStore(root=tmp_path)
    assert find_origin("b" * 64, store=found) == choose(copy, "best")
    assert find_origin(json.loads(last.read_text())["sha256"], store=found) == copy
    assert find_origin("c" * 64, store=found) is None
    assert list(list_checkpoints(copy)) == [copy, choose(copy, "best")]


def test_pytorch_runs_the_checkpoint_that_the_file_came_from(
    run: Path, data: Dataset, store: ArtifactStore, exported: Any
) -> None:
    import numpy as np
    import torch

    origin = find_origin(exported.card.checkpoint_sha256, store=store)
    source = ModelSource.read(exported.model, run=origin)
    with TorchEagerRuntime(source, RuntimeSettings(runtime="torch")) as runtime:
        logits = runtime.run({"images": data.test.images[:4]})["logits"]
    images = torch.from_numpy(data.test.images[:4])
    with torch.inference_mode():
        of_first, of_last = (
            read_checkpoint(find_checkpoint(reference)).network(images).numpy() for reference in (choose(run, "1"), run)
        )
    assert np.array_equal(logits, of_first)
    assert not np.allclose(logits, of_last)


def test_a_file_of_a_kept_epoch_is_not_the_last_checkpoints(run: Path, exported: Any) -> None:
    metadata = {CARD_KEY: exported.card.dumps()}
    require_origin(choose(run, "1"), metadata, name="m")
    with pytest.raises(ModelError, match="RUN@12"):
        require_origin(run, metadata, name="m")
    with pytest.raises(UsageError, match="it keeps @best, @1, @2, @3"):
        require_origin(choose(run, "7"), metadata, name="m")
