"""The learning rate without memory: torch's OneCycle, cycle after cycle."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toolkit.training.recipe_catalog import resolve_recipe
from toolkit.training.steps.epoch import Cycle, find_cycle, rate_at
from toolkit.training.steps.seeding import derive_seed, make_generator

ONECYCLE = resolve_recipe("fast", settings=["warmup_fraction=0.25", "learning_rate=0.01"])


@pytest.mark.parametrize("steps", [7, 40, 401])
def test_onecycle_gives_the_rates_of_torchs_own(steps: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.01, total_steps=steps, pct_start=0.25, cycle_momentum=False
    )
    for step in range(steps):
        assert rate_at(ONECYCLE, step=step, steps=steps) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        if step < steps - 1:
            schedule.step()


@given(steps=st.integers(1, 50), step=st.integers(0, 49), warmup=st.floats(0.001, 0.999))
def test_every_rate_is_positive_and_at_most_the_peak(steps: int, step: int, warmup: float) -> None:
    recipe = resolve_recipe("fast", settings=[f"warmup_fraction={warmup}"])
    assert 0 < rate_at(recipe, step=min(step, steps - 1), steps=steps) <= recipe.learning_rate * (1 + 1e-12)


def test_a_constant_schedule_is_constant() -> None:
    recipe = resolve_recipe("tutorial")
    assert {rate_at(recipe, step=step, steps=10) for step in range(10)} == {1e-4}


def test_an_epoch_belongs_to_the_cycle_that_holds_it() -> None:
    found = [find_cycle((6, 5), epoch) for epoch in range(11)]
    assert found == [Cycle(0, 6)] * 6 + [Cycle(6, 5)] * 5
    with pytest.raises(ValueError, match="past the cycles"):
        find_cycle((6, 5), 11)


@given(seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 10**6))
def test_seeds_differ_by_purpose_and_place_and_fit_torch(seed: int, epoch: int) -> None:
    seeds = {
        derive_seed(seed, "order", epoch),
        derive_seed(seed, "order", epoch + 1),
        derive_seed(seed, "dropout", epoch),
        derive_seed(seed, "dropout", epoch, 1),
        derive_seed(seed + 1, "order", epoch),
    }
    assert len(seeds) == 5
    assert all(0 <= value < 2**63 for value in seeds)


def test_derived_seeds_are_the_same_on_every_machine() -> None:
    assert derive_seed(0, "order", 0) == 7359345154815476902
    first, second = (torch.randperm(100, generator=make_generator(7, "order", 3)) for _ in range(2))
    assert torch.equal(first, second)
