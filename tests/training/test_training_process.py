"""The process that trains: waiting threads let others run, and nothing is imported that is not used."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_training import small_recipe

from toolkit.network.cnn import CNN
from toolkit.training.process import SPIN_COUNT
from toolkit.training.steps.state import make_state

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


TRAINING = """
import sys
from pathlib import Path
from small_training import begin, make_bars, small_recipe
begin(Path(sys.argv[1]), small_recipe("epochs=1"), data=make_bars(), threads=1)
print(len(list(Path(sys.argv[1]).glob("runs/*/checkpoints/last.json"))), "torch._dynamo" in sys.modules)
"""


def test_a_training_does_not_import_torch_s_compiler(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAINING, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "1 False"


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_an_optimizer_steps_to_the_bits_of_torch_s_own(optimizer: str) -> None:
    torch.manual_seed(0)
    recipe = small_recipe(f"optimizer={optimizer}")
    network = CNN(recipe.network)
    twin = copy.deepcopy(network)
    state, other = (make_state(item, recipe, seed=0, bfloat16=False) for item in (network, twin))
    kind = type(state.optimizer).__bases__[0]
    own = kind(other.optimizer.param_groups)
    for seed in range(3):
        torch.manual_seed(seed)
        for parameter, second in zip(network.parameters(), twin.parameters(), strict=True):
            parameter.grad = torch.randn_like(parameter)
            second.grad = parameter.grad.clone()
        state.optimizer.step()
        own.step()
    assert kind.__module__.startswith("torch.optim")
    assert kind.__name__.lower() == optimizer == type(state.optimizer).__name__.lower()
    for parameter, second in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(parameter, second)
