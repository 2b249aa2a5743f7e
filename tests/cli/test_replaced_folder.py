"""A folder made anew takes the old one's place in one step: killed anywhere, one of them is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from killed import UNKILLABLE, answer_of, put, words_in

from toolkit import durable
from toolkit.durable import replaced_folder
from toolkit.errors import ResourceError
from toolkit.runtimes import installed


@pytest.mark.skipif(UNKILLABLE is not None, reason=str(UNKILLABLE))
@pytest.mark.parametrize("exchanges", [True, False], ids=["exchanged", "renamed twice"])
def test_killed_at_any_system_call_the_old_or_the_new_folder_is_there(tmp_path: Path, exchanges: bool) -> None:
    if exchanges:
        put(tmp_path / "try", "one")
        if not durable._exchange(tmp_path / "try", tmp_path / "try"):
            pytest.skip("this system cannot exchange two folders in one step")
    assert answer_of("folder", tmp_path / "kits" / "kit", exchanges) == ["new", "old"]


def test_a_block_that_fails_leaves_the_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "kit"
    put(folder, "old")
    with pytest.raises(FileNotFoundError), replaced_folder(folder) as made:
        (made / "half" / "there").touch()
    assert words_in(folder) == {"old"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["kit"]


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "theirs")
    (tmp_path / "kit").symlink_to(tmp_path / "elsewhere")
    put(tmp_path / "kit", "new")
    assert (words_in(tmp_path / "kit"), words_in(tmp_path / "elsewhere")) == ({"new"}, {"theirs"})
    assert not (tmp_path / "kit").is_symlink()


INSTALL = """
from toolkit.runtimes.installed import install_private
install_private("ort-web")
"""
WAITING_NPM = """#!/bin/sh
touch begun
read answer < "{gate}"
"""
QUICK_NPM = """#!/bin/sh
mkdir node_modules
"""


def test_one_engine_is_installed_by_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, npm = tmp_path / "gate", tmp_path / "bin" / "npm"
    os.mkfifo(gate)
    npm.parent.mkdir()
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    monkeypatch.setenv("TOOLKIT_RUNTIMES", str(tmp_path / "private"))
    monkeypatch.setattr(installed, "PATIENCE_S", 0.0)

    def put_npm(text: str) -> None:
        npm.write_text(text)
        npm.chmod(0o755)

    put_npm(QUICK_NPM)
    folder = installed.install_private("ort-web")
    put_npm(WAITING_NPM.format(gate=gate))
    with subprocess.Popen([sys.executable, "-c", INSTALL]) as first:
        opened = gate.open("w")  # as soon as the first one's npm reads
        with pytest.raises(ResourceError, match="ort-web is being written by another process"):
            installed.install_private("ort-web")
        assert installed.find_private_folder("ort-web") == folder  # the earlier one serves meanwhile
        first.kill()
    put_npm(QUICK_NPM)
    installed.install_private("ort-web")  # although its npm lives on: nothing is held for a killed process
    opened.close()
    assert not (folder / "begun").exists()
    assert [entry.name for entry in folder.parent.iterdir()] == ["ort-web"]
