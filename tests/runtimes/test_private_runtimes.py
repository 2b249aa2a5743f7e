"""Engines in private folders, with an npm that stands in for the real one: the network is not these tests' matter."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from toolkit.cli.app import app, main
from toolkit.errors import ResourceError, UsageError, WorkerError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes import installed as private_module
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.installed import find_private_folder, install_private, list_runtimes, private_python, private_root
from toolkit.runtimes.registry import RUNTIMES, WORKER_PINS, RuntimeEntry
from toolkit.runtimes.workers.client import WorkerRuntime

NPM = """#!/bin/sh
echo "$@" > arguments
mkdir -p node_modules
"""
BROKEN_NPM = """#!/bin/sh
echo "npm error code E404" >&2
echo "npm error 404 Not Found" >&2
exit 1
"""


def put_wheel(folder: Path, monkeypatch: pytest.MonkeyPatch, *, packages: tuple[str, ...]) -> None:
    """Register a runtime whose engine is a wheel of one line, found in a folder and nowhere else."""
    name, info = "pocket_engine-1.5-py3-none-any.whl", "pocket_engine-1.5.dist-info"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr("pocket_engine.py", "ANSWER = 42\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: pocket-engine\nVersion: 1.5\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    entry = RuntimeEntry("nothing", "Nothing", "pocket_engine", "toolkit runtimes install pocket", pip=packages)
    monkeypatch.setitem(RUNTIMES, "pocket", entry)


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOOLKIT_RUNTIMES", str(tmp_path / "private"))
    return tmp_path / "private"


def put_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "npm").write_text(text)
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def row_of(name: str) -> tuple[bool, str | None]:
    row = next(row for row in list_runtimes() if row.runtime == name)
    return row.installed, row.version


def test_an_installed_engine_is_found_and_listed(
    tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_npm(tmp_path, monkeypatch, NPM)
    assert row_of("ort-node") == (False, None)
    app(args=["runtimes", "install", "ort-node"], standalone_mode=False)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert str(private / "ort-node") in captured.err
    assert find_private_folder("ort-node") == private / "ort-node"
    assert row_of("ort-node") == (True, RUNTIMES["ort-node"].npm[0].partition("@")[2])
    arguments = (private / "ort-node" / "arguments").read_text().split()
    assert "--ignore-scripts" in arguments
    assert arguments[-1] == RUNTIMES["ort-node"].npm[0]


def test_installing_again_replaces_what_was_there(
    tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_npm(tmp_path, monkeypatch, NPM)
    install_private("ort-web")
    (private / "ort-web" / "left over").touch()
    install_private("ort-web")
    assert not (private / "ort-web" / "left over").exists()


def test_a_failed_installation_is_none_and_leaves_the_one_before(
    tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_npm(tmp_path, monkeypatch, NPM)
    install_private("ort-web")
    put_npm(tmp_path, monkeypatch, BROKEN_NPM)
    for name in ("ort-node", "ort-web"):
        with pytest.raises(ResourceError, match=r"npm cannot install onnxruntime-.*@.*: npm error code E404"):
            install_private(name)
    assert find_private_folder("ort-web") == private / "ort-web"
    assert [entry.name for entry in private.iterdir()] == ["ort-web"]
    with pytest.raises(ResourceError, match=r"runtime ort-node is not installed; .*toolkit runtimes install ort-node"):
        find_private_folder("ort-node")


def test_without_npm_the_message_says_what_brings_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceError, match="no `npm` on the PATH; get it with"):
        install_private("ort-node")


@pytest.mark.parametrize(("name", "words"), [("ort-nod", "did you mean 'ort-node'"), ("tract", "lives in this Python")])
def test_what_cannot_be_installed_privately_is_refused(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        install_private(name)


def test_a_worker_without_the_engine_names_the_command(model_path: Path) -> None:
    source = ModelSource.read(model_path)
    with pytest.raises(ResourceError, match="toolkit runtimes install ort-node"):
        WorkerRuntime(source, RuntimeSettings(runtime="ort-node"))


def test_engines_lie_in_the_users_own_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", "results")
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("TOOLKIT_RUNTIMES", "mine")  # workers run in another folder
    assert private_root() == tmp_path / "mine"
    monkeypatch.delenv("TOOLKIT_RUNTIMES")
    monkeypatch.setenv("XDG_DATA_HOME", "of-the-working-folder")
    assert private_root() == Path("/home/someone/.local/share/onnx-parity-toolkit/runtimes")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert private_root() == Path("/data/onnx-parity-toolkit/runtimes")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system tells no owners")
def test_an_engine_that_somebody_else_may_change_is_refused(
    tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_npm(tmp_path, monkeypatch, NPM)
    folder = install_private("ort-node")
    assert folder.stat().st_mode & 0o077 == 0
    for mode in (0o770, 0o702):
        folder.chmod(mode)
        with pytest.raises(ResourceError, match=f"with mode {mode:o}; .*; close it with: chmod go-w {folder}"):
            find_private_folder("ort-node")
    folder.chmod(0o755)
    assert find_private_folder("ort-node") == folder
    owner = folder.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:  # what the system's own administrator made is trusted: make it another user's
        os.chown(folder, 12345, -1)
    with pytest.raises(ResourceError, match="belongs to user"):
        find_private_folder("ort-node")
    assert row_of("ort-node") == (False, None)


def test_the_marker_says_what_was_brought(tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_npm(tmp_path, monkeypatch, NPM)
    marker = json.loads((install_private("ort-web") / "installed.json").read_text())
    assert marker["packages"] == list(RUNTIMES["ort-web"].npm)


def test_a_private_environment_holds_its_engine_and_nothing_of_ours(
    tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_wheel(tmp_path / "wheels", monkeypatch, packages=("pocket-engine==1.5",))
    assert row_of("pocket") == (False, None)
    assert install_private("pocket") == private / "pocket"
    assert row_of("pocket") == (True, "1.5")
    python = private_python("pocket")
    assert python is not None
    program = "import importlib.util as u, pocket_engine; print(pocket_engine.ANSWER, u.find_spec('numpy'))"
    done = subprocess.run([python, "-P", "-c", program], capture_output=True, text=True, check=True, env={})
    assert done.stdout.split() == ["42", "None"]
    # The worker runs there: the one package that it needs is what it misses.
    with pytest.raises(WorkerError, match="left with exit code") as caught:
        WorkerRuntime(ModelSource(model=b"x", sha256="", path=Path("m.onnx")), RuntimeSettings(runtime="pocket"))
    assert "No module named 'numpy'" in caught.value.log


def test_a_private_environment_in_other_versions_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_wheel(tmp_path / "wheels", monkeypatch, packages=("pocket-engine==1.5",))
    install_private("pocket")
    monkeypatch.setitem(RUNTIMES, "pocket", RUNTIMES["pocket"]._replace(pip=("pocket-engine==1.6",)))
    with pytest.raises(
        ResourceError, match=r"installed as .*1\.5.*; expected .*1\.6.*; mend it with: toolkit runtimes"
    ):
        private_python("pocket")
    assert row_of("pocket") == (False, None)


def test_a_failed_pip_is_one_line_and_no_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_wheel(tmp_path / "wheels", monkeypatch, packages=("pocket-engine==9.9",))
    with pytest.raises(SystemExit) as left:
        main(["runtimes", "install", "pocket"])
    assert left.value.code == 5
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert "pip cannot install pocket-engine==9.9: ERROR: No matching distribution found" in line
    assert row_of("pocket") == (False, None)


def test_an_installer_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_npm(tmp_path, monkeypatch, "#!/bin/sh\nexec sleep 600\n")
    monkeypatch.setattr(private_module, "INSTALL_TIMEOUT_S", 0.2)
    with pytest.raises(ResourceError, match=r"npm cannot install .*: it took over 0\.2 s and was ended"):
        install_private("ort-node")


def test_private_pins_are_those_of_the_constraints() -> None:
    constraints = (Path(__file__).resolve().parents[2] / "constraints.txt").read_text().splitlines()
    assert set(WORKER_PINS) <= set(constraints)
    assert all("==" in pin for entry in RUNTIMES.values() for pin in entry.pip)
