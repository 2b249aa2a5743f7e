"""What only an extra of ours brings: wherever it is missing, the message names the pip command that brings it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from toolkit.errors import ResourceError
from toolkit.programs import import_extra
from toolkit.runtimes.registry import EXTRA, RUNTIMES

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAMED = re.compile(rf"pip install '{PROJECT['name']}\[([a-z-]+)\]'")
DISTRIBUTIONS = packages_distributions()
# A module of torch that is nothing without another package.
BROUGHT_BY_ANOTHER = {"torch.utils.tensorboard": "tensorboard"}


@cache
def needs() -> dict[str, str]:
    """Return the modules that are imported with `import_extra`, and those of the engines, with their extra."""
    texts = [path.read_text() for path in (ROOT / "toolkit").rglob("*.py")]
    trees = [ast.parse(text) for text in texts if "import_extra(" in text]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    imports = [call for call in calls if ast.unparse(call.func) == "import_extra"]
    found = {ast.literal_eval(call.args[0]): ast.literal_eval(call.keywords[0].value) for call in imports}
    return found | {entry.package: "runtimes" for entry in RUNTIMES.values() if entry.install == EXTRA}


def test_every_extra_that_a_message_names_is_one_of_ours() -> None:
    texts = [path.read_text() for path in (ROOT / "toolkit").rglob("*.py")]
    named = {name for text in texts for name in NAMED.findall(text)} | set(needs().values())
    assert {"kit-c", "loadgen", "openvino", "runtimes", "parquet", "ray", "tune", "tensorboard", "kits"} <= named
    assert named <= set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize(("module", "extra"), needs().items(), ids=needs())
def test_the_extra_that_is_named_brings_the_module(module: str, extra: str) -> None:
    top = BROUGHT_BY_ANOTHER.get(module, module).partition(".")[0]
    brought = {re.split(r"[\[<>=; ]", wish)[0] for wish in PROJECT["optional-dependencies"][extra]}
    given = {name.lower().replace("_", "-") for name in DISTRIBUTIONS.get(top, [])}
    if not given:
        pytest.skip(f"{top} is not installed")
    assert given & brought


@pytest.mark.parametrize(("module", "extra"), needs().items(), ids=needs())
def test_a_hidden_module_names_its_pip_command(module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ResourceError) as raised:
        import_extra(module, extra=extra, user="it")
    assert f"get it with: pip install '{PROJECT['name']}[{extra}]'" in str(raised.value)
