from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prediction_samples import SPEC, array_item, image_item

from toolkit.card import InputSpec
from toolkit.errors import UsageError
from toolkit.prediction.sources.items import ArrayItem, Item, group_items, rows_per_job, skip_rows


def rows_of(items: list[Item] | Iterator[Item]) -> list[tuple[str, int]]:
    rows = []
    for item in items:
        if isinstance(item, ArrayItem):
            rows += [(item.source, item.start + offset) for offset in range(item.num_rows)]
            assert [int(image[0, 0]) for image in item.images] == [
                (item.start + offset) % 256 for offset in range(item.num_rows)
            ]
        else:
            rows.append((item.source, item.index))
    return rows


ITEMS = st.lists(st.integers(0, 9), max_size=8).map(
    lambda counts: [
        image_item(f"{place}.png") if count == 9 else array_item(count, source=f"{place}.npy")
        for place, count in enumerate(counts)
    ]
)


@given(items=ITEMS, rows=st.integers(1, 12))
def test_jobs_have_the_asked_number_of_rows_and_keep_their_order(items: list[Item], rows: int) -> None:
    jobs = list(group_items(items, rows))
    assert rows_of([item for job in jobs for item in job]) == rows_of(items)
    sizes = [sum(item.num_rows for item in job) for job in jobs]
    assert all(size == rows for size in sizes[:-1])
    assert not sizes or 0 <= sizes[-1] <= rows


def test_large_pictures_travel_few_at_a_time_and_small_ones_are_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large").write_bytes(bytes(3 << 20))
    (tmp_path / "small").write_bytes(bytes(300))
    looked: list[str] = []
    stat = os.stat
    monkeypatch.setattr("toolkit.prediction.sources.items.os.stat", lambda path: looked.append(path) or stat(path))
    large, small, missing = (str(tmp_path / name) for name in ("large", "small", "missing"))
    assert [len(job) for job in group_items([image_item("x", large) for _ in range(7)], 512)] == [3, 3, 1]
    assert [len(job) for job in group_items([image_item("x", bytes(5 << 20)) for _ in range(5)], 512)] == [2, 2, 1]
    looked.clear()
    assert [len(job) for job in group_items([image_item("x", small) for _ in range(1000)], 512)] == [512, 488]
    assert len(looked) == 2
    assert [len(job) for job in group_items([image_item("x", missing)], 512)] == [1]


@given(items=ITEMS, data=st.data())
def test_what_is_skipped_and_what_follows_are_the_whole(items: list[Item], data: st.DataObject) -> None:
    whole = rows_of(items)
    count = data.draw(st.integers(0, len(whole)))
    rest = rows_of(skip_rows(items, count, last=whole[count - 1] if count else None))
    assert whole[:count] + rest == whole


def test_changed_inputs_are_not_gone_on_with() -> None:
    items: list[Item] = [image_item("a.png"), image_item("b.png"), image_item("c.png")]
    with pytest.raises(UsageError, match=r"have changed.*b\.png"):
        list(skip_rows(items, 2, last=("x.png", 0)))
    with pytest.raises(UsageError, match="have changed"):
        list(skip_rows(items, 4, last=("c.png", 0)))


def test_nothing_is_taken_before_it_is_needed() -> None:
    taken: list[int] = []

    def endless() -> Iterator[Item]:
        for number in range(1_000_000):
            taken.append(number)
            yield image_item(f"{number}.png")

    next(group_items(endless(), 8))
    assert len(taken) == 8


@pytest.mark.parametrize(
    ("batch", "spec", "rows"),
    [
        (64, SPEC, 512),
        (100, SPEC, 500),
        (1, SPEC, 512),
        (1024, SPEC, 1024),
        (8, InputSpec(height=1024, width=1024, channels=3), 8),
        (2, InputSpec(height=1024, width=1024, channels=3), 4),
    ],
)
def test_a_job_is_whole_batches_of_a_bounded_size(batch: int, spec: InputSpec, rows: int) -> None:
    assert rows_per_job(batch, spec) == rows
