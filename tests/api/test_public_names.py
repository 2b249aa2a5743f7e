"""`toolkit`'s names: these and no more, typed, loaded late, never a module in a function's place."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

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
# Without a guard for __main__, inside a running event loop, as in a notebook; nothing is said.
TWICE = """
import asyncio, importlib, pkgutil
import numpy as np
import toolkit
for module in pkgutil.walk_packages(toolkit.__path__, "toolkit."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ImportError:
            pass  # an engine that is not installed
SMALL = {"hidden_units": 32, "conv1_channels": 8, "conv2_channels": 16}
async def use():
    for turn in range(2):
        run = toolkit.train("mnist-mini", epochs=1, set=SMALL, threads=1, name=f"run{turn}")
        model = toolkit.export(run)
        assert toolkit.evaluate(model).count == 1000
        assert toolkit.check_parity(model, runtime="ort", threads=1, optimisation="all", sample=32).passed
        assert len(toolkit.predict(model, np.zeros((2, 28, 28), np.uint8))) == 2
        assert not toolkit.benchmark(model, batch=[1, 2], seconds=0.05).problem
        assert toolkit.diagnose(runtime="ort").find("cpu").status == "pass"
        with toolkit.Classifier(model) as classifier:
            assert classifier.predict(toolkit.load_dataset("mnist-mini").test.images[:2])[1].label
asyncio.run(use())
"""


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


def test_no_public_function_bears_a_module_s_name() -> None:
    assert [name for name in NAMES if importlib.util.find_spec(f"toolkit.{name}")] == ["errors"]


@pytest.mark.slow
def test_every_function_works_twice_after_every_submodule_was_imported(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(TWICE)
    done = subprocess.run(
        [sys.executable, "-W", "error", "use.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    written = {path.relative_to(tmp_path / "artifacts").parts[0] for path in (tmp_path / "artifacts").rglob("*")}
    assert written == {"runs", "models", "reports", "latest.json"}
    assert {path.suffix for path in (tmp_path / "artifacts" / "reports").iterdir()} == {".log"}  # of the exports


TYPED = """
import numpy as np
import torch
import toolkit
run = toolkit.train((np.zeros((9, 28, 28), np.uint8), [0, 1]), set={"dropout": 0.3}, on_epoch=print)
model = toolkit.export(run)
reveal_type(model.accuracy.accuracy)
reveal_type(toolkit.export(torch.nn.Linear(2, 2), example=torch.zeros(1, 2)).parameters)
reveal_type(toolkit.evaluate(model).interval)
reveal_type(toolkit.check_parity(model, runtime=["ort"], threads=[0, 1]).passed)
reveal_type(toolkit.predict(model, "pictures/")[0].label)
reveal_type(toolkit.predict(model, ["a.png"], output="rows.csv").num_ok)
reveal_type(toolkit.benchmark(model, batch=[1, 64], provider="cpu").problem)
toolkit.diagnose(runtimes="ort")
"""


@pytest.mark.slow
def test_a_type_checker_sees_the_real_signatures(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent", "use.py"]
    environment = {**os.environ, "MYPYPATH": str(Path(toolkit.__file__).parent.parent)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    revealed = [line.split('"')[1] for line in done.stdout.splitlines() if "Revealed type" in line]
    assert revealed == ["float", "int", "tuple[float, float]", "bool", "str", "int", "str"], done.stdout
    assert 'error: Unexpected keyword argument "runtimes" for "diagnose"' in done.stdout
    assert "Found 1 error" in done.stdout
