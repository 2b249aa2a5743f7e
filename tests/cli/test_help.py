"""The help texts, frozen: a change of the command line is seen. Update with TOOLKIT_UPDATE_GOLDEN=1."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer import Context
from typer.core import TyperCommand

from toolkit.api.words import DEFAULT_DATA
from toolkit.bench.auto import DEFAULT_OBJECTIVE
from toolkit.bench.config import DEFAULT_BATCHES, DEFAULT_PLAN, BenchConfig
from toolkit.cli.app import _load_command
from toolkit.cli.help_page import EXAMPLES, VARIABLES
from toolkit.doctor.checks import DEFAULT_ENGINES
from toolkit.parity.config import DEFAULT_BUDGET_S, SHORT_MULTIPLY_ADDS, ParityConfig
from toolkit.parity.variants import DEFAULT_RUNTIMES
from toolkit.training.config import TrainConfig
from toolkit.training.recipe_catalog import RECIPES
from toolkit.tuning.config import TuneConfig
from toolkit.tuning.learning_curve import USUAL_SIZES, CurveConfig

GOLDEN = Path(__file__).parent / "golden"
COMMANDS = ["", "quickstart", "data", "data fetch", "data info", "data show", "train", "evaluate", "export", "inspect"]
COMMANDS += ["runs", "recipes", "demo", "serve", "prove"]
COMMANDS += [
    "selftest",
    "parity",
    "predict",
    "bench",
    "compare",
    "report",
    "doctor",
    "tune",
    "learning-curve",
    "runtimes",
    "runtimes list",
    "runtimes install",
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command or "toolkit")
def test_help_is_as_frozen(command: str) -> None:
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    arguments = [sys.executable, "-m", "toolkit", *command.split(), "--help"]
    text = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment).stdout
    text = re.sub(r"[ \t]+\n", "\n", text)
    path = GOLDEN / f"help-{command.replace(' ', '-') or 'toolkit'}.txt"
    if os.environ.get("TOOLKIT_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), "the help text changed; look at it, then run with TOOLKIT_UPDATE_GOLDEN=1"


def test_completion_scripts_can_be_made() -> None:
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    arguments = [sys.executable, "-m", "toolkit", "--show-completion", "bash"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0
    assert "complete" in done.stdout


@pytest.mark.parametrize("verb", EXAMPLES)
def test_examples_of_a_command_fit_a_narrow_screen_and_know_its_options(verb: str) -> None:
    page = (GOLDEN / f"help-{verb.replace(' ', '-')}.txt").read_text() if verb in COMMANDS else ""
    for example in EXAMPLES[verb]:
        assert len(example) <= 78
        assert example.startswith(f"toolkit {verb}")
        if page:
            assert f"\n  {example}" in page or f"\n    {example}" in page
            words = page.replace(example, "").split()
            assert {word for word in example.split() if word.startswith("-")} <= {word.strip(",") for word in words}


def test_every_command_has_two_examples_and_no_page_names_a_type_of_python() -> None:
    leaves = [command for command in COMMANDS if command not in {"", "data", "runtimes"}]
    assert {len(EXAMPLES[command]) for command in leaves} == {2}
    for path in GOLDEN.glob("help-*.txt"):
        assert not re.search(r"<(?:str|int|float|path|list)|\b(?:TEXT|INTEGER)\b", path.read_text()), path.name


def test_the_first_screen_tells_where_results_go_and_what_changes_it() -> None:
    """It fits a screen of 40 lines, the prompt among them, and 80 columns."""
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    arguments = [sys.executable, "-m", "toolkit", "--help"]
    text = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment).stdout
    places = [name for name, words in VARIABLES.items() if words.startswith("Where")]
    assert {"TOOLKIT_ARTIFACTS", "TOOLKIT_DATA", "TOOLKIT_CACHE", "TOOLKIT_RUNTIMES"} == set(places)
    assert all(f"{name} " in text and VARIABLES[name] in text for name in places)
    assert len(text.splitlines()) < 40
    assert max(map(len, text.splitlines())) <= 80


# What does nothing where it is not given.
WITHOUT_DEFAULT = {
    *("--set", "--space", "--resume", "--against", "--delete", "--kit", "--inputs", "--shape", "--value", "--record"),
    *("--picture", "--replay", "--gallery", "--rate", "--max-p99-ms", "--device-option", "--csv", "--samples"),
    *("--at", "--fail-if", "--allow", "--require", "--token-file", "--tls-cert", "--tls-key", "--tls-client-ca"),
}


def parameters() -> Iterator[tuple[str, Any]]:
    """Yield every option and argument that takes a value, with its command."""
    for command in COMMANDS:
        words = command.split()
        if command in {"", "data", "runtimes"}:
            continue
        loaded = _load_command(words[0])
        for parameter in (loaded.commands[words[1]] if words[1:] else loaded).params:
            if not getattr(parameter, "is_flag", False):
                yield command, parameter


def told_default(parameter: Any) -> str | None:
    """Return what the page says of a parameter's default."""
    _, words = parameter.get_help_record(Context(TyperCommand("x")))
    found = re.search(r"\[(?:env var: \w+; )?default: (.*?)(?:; (?!with).*)?\]", words)
    return found and found[1]


def test_every_default_is_on_the_page_and_in_one_form() -> None:
    for command, parameter in parameters():
        if parameter.opts[0] not in WITHOUT_DEFAULT and not parameter.required:
            assert told_default(parameter), f"{command} {parameter.opts[0]}"
        assert not {*parameter.opts} & WITHOUT_DEFAULT or told_default(parameter) is None
    pages = "".join((GOLDEN / f"help-{command.replace(' ', '-')}.txt").read_text() for command in COMMANDS if command)
    assert "by default" not in " ".join(pages.split())


def test_a_default_on_the_page_is_the_codes_own() -> None:
    told = {f"{command} {parameter.opts[0]}": told_default(parameter) for command, parameter in parameters()}
    recipe = RECIPES["fast"]
    train, tune, curve = TrainConfig(recipe=recipe), TuneConfig(recipe=recipe, space=()), CurveConfig(recipe=recipe)
    bench, parity = BenchConfig(), ParityConfig()
    for verb, config in (("train", train), ("tune", tune), ("learning-curve", curve)):
        assert (told[f"{verb} --seed"], told[f"{verb} --device"]) == (str(config.seed), config.device)
        assert told[f"{verb} --threads"] == "torch's own choice"
        assert (config.threads, told[f"{verb} --recipe"], told[f"{verb} --data"]) == (0, recipe.name, DEFAULT_DATA)
    assert (train.keep_every, tune.max_images, curve.sizes) == (0, 0, None)
    assert told["tune --search"] == tune.search
    assert (told["tune --folds"], told["learning-curve --seeds"]) == (str(tune.folds), str(curve.seeds))
    assert told["tune --trials"] == f"{tune.num_trials}, of a grid every point"
    sizes = ",".join(map(str, USUAL_SIZES))
    assert told["learning-curve --sizes"] == f"{sizes} as far as there are, and all"
    assert told["bench --seconds"] == f"{DEFAULT_PLAN.max_s:g}"
    assert told["bench --batch"] == f"{','.join(map(str, DEFAULT_BATCHES))} as far as the time allows"
    assert told["bench --threads"] == ",".join(map(str, bench.threads))
    assert told["bench --provider"] == f"{','.join(bench.providers)}; with --auto all"
    assert told["bench --runtime"] == f"{','.join(bench.runtimes)}; with --auto all"
    assert (told["bench --io-binding"], told["bench --goal"]) == (",".join(bench.io_bindings), DEFAULT_OBJECTIVE)
    for name in ("scenario", "streams", "driver", "boundary"):
        assert told[f"bench --{name}"] == str(getattr(DEFAULT_PLAN, name))
    assert told["parity --threads"] == ",".join(map(str, parity.threads))
    assert told["parity --optimisation"] == ",".join(parity.optimisations)
    assert told["parity --provider"] == ",".join(parity.providers)
    assert told["parity --runtime"] == f"{DEFAULT_RUNTIMES[1]}, and {DEFAULT_RUNTIMES[0]} where the run is here"
    assert (parity.sample, parity.precisions) == (None, None)
    assert told["parity --budget"] == f"{DEFAULT_BUDGET_S:g}"
    assert told["selftest --budget"] == f"so many calls as take {SHORT_MULTIPLY_ADDS / 1e9:g}e9 multiply-adds"
    assert told["doctor --runtime"] == ",".join(DEFAULT_ENGINES)
    assert told["predict --processes"] == "one for each core"
