"""Two commands on one output: the second is refused or waits; nothing is lost or mixed (FAULTS 39)."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from imaging_samples import encode

from toolkit.data.mini_subset import load_mini
from toolkit.prediction.unfinished import part_of

IMAGES = load_mini().train.images
PATIENCE_S = 120.0


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start a command that waits for names on its standard input."""
    command = [sys.executable, "-m", "toolkit", *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "toolkit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.02)


def test_a_second_prediction_into_an_output_under_way_leaves_with_5(model_path: Path, tmp_path: Path) -> None:
    output, picture = tmp_path / "rows.csv", tmp_path / "a.png"
    picture.write_bytes(encode(IMAGES[0]))
    with start("predict", model_path, "-", "-o", output) as first:
        wait_for(part_of(output), first)
        for more in ([], ["--resume"], ["--force"]):
            second = run("predict", model_path, picture, "-o", output, *more)
            assert (second.returncode, second.stdout) == (5, "")
            assert f"error: {output} is being written by another process" in second.stderr
        _, words = first.communicate(f"{picture}\n{picture}\n")
        assert first.returncode == 0, words
    assert len(output.read_text().splitlines()) == 3
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.is_file()) == ["a.png", "rows.csv"]


def test_an_output_that_came_while_the_second_opened_its_model_is_kept(tmp_path: Path) -> None:
    from toolkit.errors import UsageError
    from toolkit.prediction.unfinished import Unfinished

    (tmp_path / "rows.csv").write_bytes(b"another's")
    with pytest.raises(UsageError, match="exists"):
        Unfinished(tmp_path / "rows.csv", {}, resume=False, force=False)


@pytest.mark.parametrize("how", ["pattern", "folder", "list", "linked", "pattern of folders"])
def test_forced_outputs_are_never_inputs(model_path: Path, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(encode(IMAGES[number]))
    output = folder / "1.png"
    if how == "linked":
        output = tmp_path / "kept.png"
        (folder / "1.png").rename(output)
        (folder / "1.png").symlink_to(output)
    before = output.read_bytes()
    source = {"pattern": folder / "*.png", "list": "-", "pattern of folders": tmp_path / "sc*"}.get(how, folder)
    names = "\n".join(str(folder / f"{number}.png") for number in range(3)) if how == "list" else ""
    for option, ending in (("-o", ()), ("--gallery", ("-o", str(tmp_path / "rows.csv")))):
        with start("predict", model_path, source, option, output, *ending, "--force") as process:
            _, words = process.communicate(names)
        assert (process.returncode, f"the output {output} is also an input" in words) == (2, True), words
        assert output.read_bytes() == before
    assert sorted(entry.name for entry in folder.iterdir()) == ["0.png", "1.png", "2.png"]


def test_a_gallery_is_not_overwritten_unasked_beside_rows_on_stdout(model_path: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGES[:2])
    gallery = tmp_path / "g.png"
    gallery.write_bytes(b"another's")
    done = run("predict", model_path, tmp_path / "a.npy", "-o", "-", "--gallery", gallery)
    assert (done.returncode, done.stdout, gallery.read_bytes()) == (2, "", b"another's")
