"""Waiting threads let others run, before torch is there to be told."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
{before}
from toolkit.training.idle import yield_idle_cores
yield_idle_cores()
print(os.environ.get("OMP_WAIT_POLICY"), "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("os.environ.pop('OMP_WAIT_POLICY', None)", "PASSIVE False"),
        ("os.environ['OMP_WAIT_POLICY'] = 'ACTIVE'", "ACTIVE False"),
        ("os.environ.pop('OMP_WAIT_POLICY', None); sys.modules['torch'] = None", "None True"),
    ],
)
def test_the_policy_is_set_unless_chosen_or_too_late(before: str, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected
