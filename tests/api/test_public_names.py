"""`toolkit`'s names: these and no more, typed, loaded late, never a module in a function's place."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest

import toolkit

NAMES = [
    "Classifier",
    "Dataset",
    "Listener",
    "Prediction",
    "Split",
    "__version__",
    "benchmark",
    "check_parity",
    "diagnose",
    "errors",
    "evaluate",
    "export",
    "load_dataset",
    "predict",
    "train",
]
FUNCTIONS = ("benchmark", "check_parity", "diagnose", "evaluate", "export", "load_dataset", "predict", "train")


def test_the_public_names_are_these_and_no_more() -> None:
    assert dir(toolkit) == sorted(toolkit.__all__) == NAMES
    public = {name for name in vars(toolkit) if not name.startswith("_") and not inspect.ismodule(vars(toolkit)[name])}
    assert public - {"annotations", "TYPE_CHECKING"} <= set(NAMES)
    with pytest.raises(AttributeError, match="no attribute 'parity_check'"):
        toolkit.parity_check  # type: ignore[attr-defined]  # noqa: B018 - that it is not there


def test_importing_toolkit_loads_only_the_standard_library() -> None:
    code = "import sys, json; import toolkit; dir(toolkit); print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    site = json.loads(
        subprocess.run(
            [sys.executable, "-c", "import sys, json; print(json.dumps(sorted(sys.modules)))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    strange = loaded - {name.split(".")[0] for name in site} - set(sys.stdlib_module_names)
    assert strange == {"toolkit"}
    assert [name for name in json.loads(done.stdout) if name.startswith("toolkit.")] == []
