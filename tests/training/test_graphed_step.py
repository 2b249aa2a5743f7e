"""A step as one graph, with a stand-in for the capture: the same weights as the plain step, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from commands_here import exit_code_of

from toolkit.errors import CheckFailedError, UsageError
from toolkit.network.cnn import CNN
from toolkit.training.recipe import Recipe
from toolkit.training.recipe_catalog import resolve_recipe
from toolkit.training.steps.process_group import Group
from toolkit.training.steps.state import TrainingState, make_state
from toolkit.training.steps.step import WARM_RUNS, EagerStep, GraphedStep, require_graphs

SMALL = ["conv1_channels=2", "conv2_channels=3", "hidden_units=8", "normalisation=batch", "dropout=0", "batch_size=8"]


def recipe() -> Recipe:
    return resolve_recipe("fast", settings=SMALL).for_data(height=16, width=16, channels=1, classes=3)


def state_of(seed: int = 0) -> TrainingState:
    torch.manual_seed(seed)
    network = CNN(recipe().network, mean=torch.full((16, 16), 120.0), std=torch.tensor(70.0))
    return make_state(network, recipe(), seed=seed, bfloat16=False)


def batches(sizes: tuple[int, ...]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(5)
    return [
        (
            torch.randint(0, 256, (size, 16, 16), dtype=torch.uint8, generator=generator),
            torch.randint(0, 3, (size,), generator=generator),
        )
        for size in sizes
    ]


def captured(calls: list[int]) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Return a stand-in for a capture: warms up for real, then replays by running the body."""

    def capture(body: Callable[[], None]) -> Callable[[], None]:
        for _ in range(WARM_RUNS):
            body()
        calls.append(1)
        return body

    return capture


@pytest.mark.parametrize(
    ("sizes", "captures"),
    [((8, 8, 8, 3, 8), 1), ((3, 8, 8, 3, 8), 2), ((8, 9, 8, 8), 1), ((9, 8, 8), 1)],
    ids=["last batch smaller", "resumed at the last batch", "last batch joined by one", "resumed at a joined batch"],
)
def test_a_graphed_step_trains_as_the_plain_one_whatever_batch_comes_first(
    sizes: tuple[int, ...], captures: int
) -> None:
    plain, graphed, calls = state_of(), state_of(), []
    eager, replayed = EagerStep(plain, recipe()), GraphedStep(graphed, recipe(), capture=captured(calls))
    for batch, target in batches(sizes):
        for state in (plain, graphed):
            state.forward.train()
        first, second = eager(batch, target), replayed(batch, target)
        assert first.right == second.right
        assert first.loss_sum == pytest.approx(second.loss_sum, rel=1e-6)
    for name, value in plain.network.state_dict().items():
        assert torch.equal(value, graphed.network.state_dict()[name]), name
    assert len(calls) == captures


def test_a_graphed_step_with_a_loss_that_is_not_finite_steps_nothing() -> None:
    state = state_of()
    step = GraphedStep(state, recipe(), capture=captured([]))
    (batch, target), (other, labels) = batches((8, 8))
    step(batch, target)
    with torch.no_grad():
        state.network.dense2.bias[0] = float("nan")
    before = {name: value.clone() for name, value in state.network.named_parameters()}
    with pytest.raises(CheckFailedError, match="loss is nan"):
        step(other, labels)
    for name, value in state.network.named_parameters():
        assert torch.equal(value.nan_to_num(), before[name].nan_to_num()), name


@pytest.mark.parametrize(("device", "size", "words"), [("cpu", 1, "runs on cpu"), ("cuda", 2, "not in 2")])
def test_graphs_are_refused_where_they_cannot_be(device: str, size: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        require_graphs(device, Group(size=size))


def test_graphs_are_allowed_on_one_cuda_device() -> None:
    require_graphs("cuda", Group())


def test_the_command_asks_for_graphs_when_told_to(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "--data", "mnist-mini", "--device", "cpu", "--cuda-graph"]
    assert exit_code_of(*arguments, debug=False) == 2
    assert "captures CUDA kernels, the training runs on cpu" in capsys.readouterr().err
