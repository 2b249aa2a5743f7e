"""Freed memory is kept, unless the user chose otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest

from toolkit.network.memory import M_MMAP_MAX, M_TRIM_THRESHOLD, MALLOC_CHOICES, keep_freed_memory

# Memory is asked for and given back twenty times; what counts is how often the kernel had to bring pages.
FAULTS = """
import resource
import numpy as np
from toolkit.network.memory import keep_freed_memory
{before}
def step():
    return [np.ones(2 << 20) for _ in range(2)]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MALLOC_CHOICES:
        monkeypatch.delenv(name, raising=False)


def test_freed_memory_is_neither_mapped_nor_trimmed() -> None:
    calls: list[tuple[int, int]] = []
    assert keep_freed_memory(lambda *call: calls.append(call) or 1)
    assert calls == [(M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1)]


def test_a_refusal_of_the_allocator_is_told() -> None:
    assert not keep_freed_memory(lambda *_: 0)


@pytest.mark.parametrize("name", MALLOC_CHOICES)
def test_what_the_user_chose_for_the_allocator_stays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    calls: list[tuple[int, int]] = []
    assert not keep_freed_memory(lambda *call: calls.append(call) or 1)
    assert calls == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator that is told is Linux's glibc")
def test_memory_that_is_kept_is_not_faulted_in_again() -> None:
    plain, kept = (_count_faults(before) for before in ("", "assert keep_freed_memory()"))
    assert kept < 0.2 * plain, (kept, plain)


def _count_faults(before: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(before=before)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)
