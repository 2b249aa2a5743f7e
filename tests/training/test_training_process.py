"""The process's own settings while it trains: waiting threads let others run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from toolkit.training.process import SPIN_COUNT

PROGRAM = """
import os, sys
for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
    os.environ.pop(name, None)
{before}
from toolkit.training.process import yield_idle_cores
yield_idle_cores()
print(os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", f"{SPIN_COUNT} False"),
        ("os.environ['OMP_WAIT_POLICY'] = 'ACTIVE'", "None False"),
        ("os.environ['GOMP_SPINCOUNT'] = '7'", "7 False"),
        ("sys.modules['torch'] = None", "None True"),
    ],
)
def test_the_count_is_set_unless_chosen_or_too_late(before: str, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected
