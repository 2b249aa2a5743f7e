"""What a shell is offered after the letters that were typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer import Context

from exporters.kits import KITS
from toolkit.bench import auto, compare
from toolkit.bench import config as bench_config
from toolkit.cli import completion
from toolkit.cli.app import _load_command
from toolkit.network.device import DEVICE_NAMES
from toolkit.parity import config as parity_config
from toolkit.runtimes.base import OPTIMISATIONS
from toolkit.runtimes.timing import plan
from toolkit.runtimes.timing.plan import MeasurePlan
from toolkit.tuning import config as tuning_config


def complete(words: str, folder: Path) -> set[str]:
    """Return what bash would be offered for the last of some words."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "TOOLKIT_ARTIFACTS": str(folder / "artifacts"),
        "_TOOLKIT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    program = "from toolkit.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, cwd=folder
    )
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, a model, and a folder of one's own."""
    made = tmp_path_factory.mktemp("shell")
    for name in ("runs/first", "runs/fashion", "models", "../photos"):
        (made / "artifacts" / name).mkdir(parents=True)
    (made / "artifacts/models/digits.onnx").touch()
    (made / "photos/other.onnx").touch()
    (made / "photos/old.json").touch()
    (made / "artifacts/tune").mkdir()
    (made / "artifacts/tune/mine.db").touch()
    return made


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("toolkit train --data ph", {"photos/"}),
        ("toolkit bench --provider cpu,cu", {"cpu,cuda"}),
        ("toolkit data inf", {"info"}),
        ("toolkit data fetch km", {"kmnist"}),
    ],
)
def test_a_shell_is_offered_what_begins_so(words: str, expected: set[str], folder: Path) -> None:
    assert complete(words, folder) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("toolkit train --recipe sp", {"speedrun"}),
        ("toolkit train --set learning_r", {"learning_rate="}),
        ("toolkit train --data mnist-", {"mnist-mini"}),
        ("toolkit train --device cu", {"cuda"}),
        ("toolkit train --resume f", {"first", "fashion"}),
        ("toolkit runs --delete fi", {"first"}),
        ("toolkit parity --runtime ort,openv", {"ort,openvino"}),
        ("toolkit export --kit python,w", {"python,web"}),
        ("toolkit evaluate fa", {"fashion"}),
        ("toolkit selftest photos/o", {"photos/other.onnx"}),
        ("toolkit doctor --runtime ort,openv", {"ort,openvino"}),
        ("toolkit doctor --require torch/cu", {"torch/cuda"}),
        ("toolkit runtimes install ort-", {"ort-node", "ort-web", "ort-webgpu"}),
        ("toolkit compare photos/", {"photos/old.json"}),
        ("toolkit report photos/o", {"photos/old.json"}),
        ("toolkit learning-curve --resume photos/o", {"photos/old.json"}),
        ("toolkit tune --space learning_r", {"learning_rate="}),
        ("toolkit tune --study mi", {"mine"}),
        ("toolkit train --polarity dark", {"dark-on-light"}),
        ("toolkit bench --scenario off", {"offline"}),
        ("toolkit bench --precision fp16,b", {"fp16,bf16"}),
        ("toolkit parity --optimisation all,n", {"all,none"}),
        ("toolkit parity --run fi", {"first"}),
        ("toolkit predict --format js", {"jsonl"}),
        ("toolkit predict --executor r", {"ray"}),
        ("toolkit export --golden sy", {"synthetic"}),
        ("toolkit quickstart --data mnist-", {"mnist-mini"}),
    ],
)
def test_values_are_completed(words: str, expected: set[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(folder / "artifacts"))
    _, verb, *typed, last = words.split()
    command = _load_command(verb)
    while hasattr(command, "commands"):
        command = command.commands[typed.pop(0)]
    named = typed[-1] if typed and typed[-1].startswith("--") else ""
    parameter = next(
        item for item in command.params if (named in item.opts if named else item.param_type_name == "argument")
    )
    offered = parameter.shell_complete(Context(command), last)
    assert {item.value for item in offered} == expected


def test_a_model_in_artifacts_is_offered_and_no_reference_is_an_engine(folder: Path) -> None:
    assert str(folder / "artifacts/models/digits.onnx") in complete(f"toolkit selftest {folder}/artifacts/m", folder)
    assert "torch" in complete("toolkit bench --runtime t", folder)
    assert not {name for name in complete("toolkit bench --runtime onnx", folder) if "widened" in name}


def test_a_closed_set_of_values_is_the_codes_own() -> None:
    assert completion.KIT_NAMES == KITS
    assert completion.SEARCHES == tuning_config.SEARCHES
    assert completion.ARITHMETICS == parity_config.ARITHMETICS
    assert completion.OPTIMISATIONS == OPTIMISATIONS
    assert (completion.SCENARIOS, completion.DRIVERS) == (plan.SCENARIOS, plan.DRIVERS)
    assert completion.BINDINGS == bench_config.BINDINGS
    assert completion.OBJECTIVES == auto.OBJECTIVES
    assert completion.ALLOWANCES == compare.ALLOWANCES
    for boundary in completion.BOUNDARIES:
        MeasurePlan(boundary=boundary)
    assert completion.DEVICES == DEVICE_NAMES
