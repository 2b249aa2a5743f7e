"""Randomness follows from the seed, the purpose and the place, and from nothing else."""

from __future__ import annotations

import torch

from toolkit.training.steps.seeding import derive_seed, make_generator


def test_every_seed_purpose_and_place_has_numbers_of_its_own() -> None:
    keys = [
        (seed, purpose, place) for seed in (0, 1) for purpose in ("order", "dropout") for place in ((), (0,), (1, 2))
    ]
    seeds = {derive_seed(seed, purpose, *place) for seed, purpose, place in keys}
    assert len(seeds) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_same_place_draws_the_same_whatever_was_drawn_before() -> None:
    first = torch.rand(3, generator=make_generator(5, "order", 2))
    torch.rand(100)
    assert torch.equal(torch.rand(3, generator=make_generator(5, "order", 2)), first)


def test_the_numbers_are_the_same_on_every_machine_and_in_every_version() -> None:
    assert derive_seed(0, "weights") == 2496658808455855596
