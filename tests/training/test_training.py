"""Training: reproducible, honest about what it was fed, stops when the loss is lost."""

from __future__ import annotations

import csv
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_training import Listener

from toolkit.artifacts import ArtifactStore
from toolkit.data.dataset import Dataset, Split
from toolkit.errors import CheckFailedError, DataError, UsageError
from toolkit.network.cnn import CNN
from toolkit.runs.checkpoint import read_checkpoint
from toolkit.training.config import TrainConfig
from toolkit.training.recipe_catalog import resolve_recipe
from toolkit.training.session import _lay_out, choose_machine, make_session
from toolkit.training.steps.epoch import Cycle, predict_logits, standardise, train_epoch
from toolkit.training.steps.state import make_state
from toolkit.training.train import TrainReport, train

SMALL = ["conv1_channels=4", "conv2_channels=4", "hidden_units=16", "epochs=2", "batch_size=16"]


@pytest.fixture(scope="module")
def bars() -> Dataset:
    """Images with a bright bar whose direction is the class: learnt in two epochs."""
    random = np.random.default_rng(0)
    images = random.integers(0, 40, (500, 28, 28), np.uint8)
    labels = random.integers(0, 2, 500)
    for image, label in zip(images, labels, strict=True):
        place = random.integers(4, 24)
        if label:
            image[:, place] = 255
        else:
            image[place, :] = 255
    half = Split(images=images[:400], labels=labels[:400])
    rest = Split(images=images[400:], labels=labels[400:])
    return Dataset(
        name="bars", train=half, test=rest, classes=("row", "column"), licence="x", polarity="any", fit="stretch"
    )


def make_noise(count: int, side: int) -> Dataset:
    """Return `count` training images of noise in two classes, 20 test images."""
    images = np.random.default_rng(0).integers(0, 256, (count + 20, side, side), np.uint8)
    labels = np.arange(count + 20) % 2
    parts = [Split(images=images[part], labels=labels[part]) for part in (slice(count), slice(count, None))]
    return Dataset(
        name="noise", train=parts[0], test=parts[1], classes=("a", "b"), licence="x", polarity="any", fit="stretch"
    )


def run(data: Dataset, folder: Path, *, listener: Listener | None = None, **config: Any) -> TrainReport:
    settings = TrainConfig(
        **{"recipe": resolve_recipe("fast", settings=SMALL), "device": "cpu", "threads": 1, **config}
    )
    return train(data, settings, store=ArtifactStore(root=folder), listener=listener or Listener())


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    """With two threads, whose sums could come in another order."""
    noise, before = make_noise(100, 28), torch.get_num_threads()
    first, second, other = (run(noise, tmp_path, seed=seed, threads=2).checkpoint_sha256 for seed in (3, 3, 4))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
    assert first == second
    assert first != other


def test_a_run_leaves_what_is_needed_to_go_on(bars: Dataset, tmp_path: Path) -> None:
    report = run(bars, tmp_path)
    config = json.loads((report.run / "config.json").read_text())
    assert config["data"]["train_count"] == 320
    assert config["data"]["validation_count"] == 80
    assert config["recipe"]["network"]["classes"] == 2
    assert config["training"]["seed"] == 0
    rows = list(csv.DictReader((report.run / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[-1]["validation_accuracy"]) > 0.7  # two classes; 4 deviations over chance on 80 images
    last = read_checkpoint(report.run / "checkpoints" / "last.safetensors")
    assert (last.epoch, last.sha256) == (2, report.checkpoint_sha256)
    assert ArtifactStore(root=tmp_path).latest_run() == report.run


def test_all_data_holds_nothing_out(bars: Dataset, tmp_path: Path) -> None:
    report = run(bars, tmp_path, all_data=True)
    config = json.loads((report.run / "config.json").read_text())
    assert (config["data"]["train_count"], config["data"]["validation_count"]) == (400, 0)
    assert report.rows[-1].validation_accuracy is None
    assert not (report.run / "checkpoints" / "best.safetensors").exists()


def test_standardisation_is_computed_on_the_images_trained_on(bars: Dataset, tmp_path: Path) -> None:
    network = read_checkpoint(run(bars, tmp_path).run / "checkpoints" / "last.safetensors").network
    images = bars.train.images[:320].astype(np.float64)
    assert np.allclose(network.mean.numpy(), images.mean(axis=0), atol=1e-4)
    assert float(network.std) == pytest.approx(images.std(), rel=1e-6)


def test_images_of_one_value_cannot_be_standardised() -> None:
    with pytest.raises(DataError, match="same value"):
        standardise(Split(images=np.full((3, 4, 4), 7, np.uint8), labels=np.zeros(3, np.int64)))


def test_a_standardisation_holds_a_few_images_and_not_all() -> None:
    training = Split(
        images=np.tile(np.arange(784, dtype=np.uint8).reshape(28, 28), (20_000, 1, 1)),
        labels=np.zeros(20_000, np.int64),
    )
    training = training.take(np.arange(20_000)[::-1])
    tracemalloc.start()
    mean, std = standardise(training)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert mean.flatten().tolist() == training.stored[0].ravel().tolist()
    assert float(std) == pytest.approx(training.stored[0].std())
    assert peak < training.stored.nbytes / 2


@pytest.mark.parametrize("shift", [0, 1])
def test_no_more_images_are_looked_at_at_once_where_each_has_five_views(shift: int) -> None:
    network = CNN(replace(resolve_recipe("best").network, height=28, width=28, test_shift_pixels=shift))
    seen: list[int] = []
    network.stages[0].register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    assert predict_logits(network, torch.zeros(700, 28, 28, dtype=torch.uint8)).shape == (700, 10)
    assert max(seen) == 500


def test_images_that_lie_in_another_order_train_to_the_same_bits(bars: Dataset, tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(len(bars.train))
    lying = bars.train.take(order)
    moved = Split(images=lying.images, labels=lying.labels).take(np.argsort(order))
    stored = moved.stored
    assert not np.array_equal(stored, bars.train.images)
    runs = [run(replace(bars, train=each), tmp_path / str(number)) for number, each in enumerate((bars.train, moved))]
    assert runs[0].checkpoint_sha256 == runs[1].checkpoint_sha256
    recipe = resolve_recipe("fast", settings=SMALL).for_dataset(bars)
    machine = choose_machine(recipe, device="cpu", threads=0)
    session = make_session(moved, None, recipe=recipe, seed=0, machine=machine)
    assert session.images.data_ptr() == stored.ctypes.data, "not copied into order"


def test_another_device_gets_its_images_in_order() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1200, 28, 28), np.uint8)
    order = np.random.default_rng(1).permutation(1200)[:1100]  # more than two pieces
    chosen = Split(images=images, labels=np.zeros(1200, np.int64)).take(order)
    laid, places = _lay_out(chosen, "cpu:0")  # every device but `cpu` has a memory of its own
    assert torch.equal(laid, torch.from_numpy(images[order]))
    assert torch.equal(places, torch.arange(1100))


def test_a_loss_that_is_not_finite_stops_before_the_step(bars: Dataset) -> None:
    recipe = resolve_recipe("fast", settings=SMALL).for_data(height=28, width=28, channels=1, classes=2)
    network = CNN(recipe.network, mean=torch.zeros(28, 28), std=torch.tensor(50.0))
    with torch.no_grad():
        network.dense2.bias[0] = float("nan")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = make_state(network, recipe, seed=0, bfloat16=False)
    images, labels = torch.from_numpy(bars.train.images), torch.from_numpy(bars.train.labels)
    with pytest.raises(CheckFailedError, match="loss is nan at step 1 of epoch 1"):
        train_epoch(state, images, labels=labels, recipe=recipe, cycle=Cycle(0, 1))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items() if "dense2" not in name)


def test_a_training_that_fails_is_not_the_latest_run(bars: Dataset, tmp_path: Path) -> None:
    class Failing(Listener):
        def on_epoch(self, rows: list[Any], *, epochs: int, run: Path) -> None:
            raise CheckFailedError("stop")

    with pytest.raises(CheckFailedError):
        run(bars, tmp_path, listener=Failing())
    assert len(list((tmp_path / "runs").iterdir())) == 1
    with pytest.raises(UsageError):
        ArtifactStore(root=tmp_path).latest_run()


def test_a_gradient_that_is_not_finite_stops_before_the_step(bars: Dataset) -> None:
    recipe = resolve_recipe("fast", settings=SMALL).for_data(height=28, width=28, channels=1, classes=2)
    network = CNN(recipe.network, mean=torch.zeros(28, 28), std=torch.tensor(50.0))
    network.dense2.weight.register_hook(lambda gradient: gradient * float("inf"))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = make_state(network, recipe, seed=0, bfloat16=False)
    images, labels = torch.from_numpy(bars.train.images), torch.from_numpy(bars.train.labels)
    with pytest.raises(CheckFailedError, match=r"gradient's norm is (inf|nan) at step 1"):
        train_epoch(state, images, labels=labels, recipe=recipe, cycle=Cycle(0, 1))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_seeds_and_threads_out_of_range_are_refused() -> None:
    config = TrainConfig(recipe=resolve_recipe("fast"))
    with pytest.raises(UsageError, match="seed"):
        replace(config, seed=-1)
    with pytest.raises(UsageError, match="threads"):
        replace(config, threads=-1)
    for threads in (100_000, 10**30):
        with pytest.raises(UsageError, match="expected 0 to 4096"):
            choose_machine(config.recipe, device="cpu", threads=threads)


def test_one_class_or_a_handful_of_images_is_refused(bars: Dataset, tmp_path: Path) -> None:
    few = Split(images=bars.train.images[:5], labels=bars.train.labels[:5])
    one = Split(images=bars.train.images, labels=np.zeros(400, np.int64))
    only = Split(images=bars.test.images, labels=np.zeros(100, np.int64))
    for data in (replace(bars, train=few), replace(bars, train=one, test=only, classes=("a",))):
        with pytest.raises(DataError, match="at least"):
            run(data, tmp_path)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("height", "width", "advice"), [(15, 40, "16x40"), (129, 128, "128x127"), (8, 300, "16x64")])
def test_images_of_a_size_that_the_network_is_not_made_for_are_refused(
    height: int, width: int, advice: str, bars: Dataset, tmp_path: Path
) -> None:
    """They may still be loaded and looked at."""
    images = np.zeros((40, height, width), np.uint8)
    split = Split(images=images, labels=np.arange(40) % 2)
    with pytest.raises(DataError, match=f"{height}x{width}; expected 16 to 128 .*--size {advice}"):
        run(replace(bars, train=split, test=split), tmp_path)
    assert not (tmp_path / "runs").exists()


# Maps of one pixel under a batch normalisation: speedrun's network on images of 20x20, with few channels.
ONE_PIXEL = ("conv1_channels=2", "conv2_channels=2", "conv3_channels=2", "epochs=1")


@pytest.mark.parametrize("batch_size", [128, 2])
def test_an_image_left_alone_at_the_end_of_an_epoch_joins_the_batch_before(batch_size: int, tmp_path: Path) -> None:
    data = make_noise(161, 20)  # of which 129 are trained on
    recipe = resolve_recipe("speedrun", settings=[*ONE_PIXEL, f"batch_size={batch_size}"])
    report = train(
        data,
        TrainConfig(recipe=recipe, device="cpu", threads=1),
        store=ArtifactStore(root=tmp_path),
        listener=Listener(),
    )
    assert len(report.rows) == 1


def test_a_batch_of_one_that_cannot_be_normalised_is_refused_with_what_to_do(tmp_path: Path) -> None:
    recipe = resolve_recipe("speedrun", settings=[*ONE_PIXEL, "batch_size=1"])
    with pytest.raises(UsageError, match=r"batch_size is 1, .*20x20 .*expected batch_size of at least 2"):
        train(
            make_noise(40, 20),
            TrainConfig(recipe=recipe, device="cpu", threads=1),
            store=ArtifactStore(root=tmp_path),
            listener=Listener(),
        )


@pytest.mark.parametrize(
    ("images", "batch_size", "sizes"),
    [(129, 128, [129]), (257, 128, [128, 129]), (5, 2, [2, 3]), (6, 4, [4, 2]), (3, 1, [1, 1, 1]), (3, 8, [3])],
)
def test_no_batch_holds_a_single_image_but_where_all_do(images: int, batch_size: int, sizes: list[int]) -> None:
    recipe = resolve_recipe("fast", settings=[*SMALL[:3], f"batch_size={batch_size}", "epochs=1"])
    recipe = recipe.for_data(height=16, width=16, channels=1, classes=2)
    seen: list[int] = []
    state = make_state(CNN(recipe.network), recipe, seed=0, bfloat16=False)
    state.forward.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    pixels = torch.zeros((images, 16, 16), dtype=torch.uint8)
    train_epoch(state, pixels, labels=torch.zeros(images, dtype=torch.int64), recipe=recipe, cycle=Cycle(0, 1))
    assert seen == sizes
