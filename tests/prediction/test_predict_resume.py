"""A prediction that is killed goes on: no row twice, none lost, the bytes of a run that nobody disturbed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from imaging_samples import encode
from predict_command import predict_here

from toolkit.data.load import load_mini
from toolkit.prediction.sinks.target import part_of, record_of

IMAGES = load_mini().train.images
COUNT = 20_000
# `toolkit predict` that gets a signal as soon as so many rows are recorded, however fast the machine is.
DISTURBED = """
import os, sys
from toolkit.cli.app import main
from toolkit.prediction.sinks import target as module
number, rows = int(sys.argv.pop(1)), int(sys.argv.pop(1))
advance = module.FileTarget.advance
def interfere(target, progress):
    advance(target, progress)
    if progress.rows > rows:
        os.kill(os.getpid(), number)
module.PERIOD_S = 0.0
module.FileTarget.advance = interfere
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("resume")
    np.save(folder / "array.npy", np.resize(IMAGES, (COUNT, 28, 28)))
    (folder / "few").mkdir()
    for number in range(30):
        (folder / "few" / f"{number:02}.png").write_bytes(encode(IMAGES[number]))
    (folder / "few" / "zz.png").write_bytes(b"broken")
    return [folder / "few", folder / "array.npy"]


def command(model: Path, inputs: list[Path], output: Path, *more: str) -> list[str]:
    rest = ["-o", str(output), "--threads", "1", "--json", *more]
    return [sys.executable, "-m", "toolkit", "predict", str(model), *map(str, inputs), *rest]


def recorded_rows(output: Path) -> int:
    return int(json.loads(record_of(output).read_text())["rows"]) if record_of(output).exists() else 0


def disturb(arguments: list[str], number: signal.Signals, *, beyond: int = 0) -> int:
    """Run the command, let it get a signal once more rows are recorded than before, and return its exit code."""
    python, _, _, *words = arguments
    command = [python, "-c", DISTURBED, str(int(number)), str(beyond), *words]
    done = subprocess.run(command, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    return done.returncode


def check_resumed(model: Path, inputs: list[Path], folder: Path, ending: str, numbers: list[signal.Signals]) -> None:
    whole, output = folder / f"whole.{ending}", folder / f"rows.{ending}"
    subprocess.run(command(model, inputs, whole), capture_output=True, check=False)
    seen = 0
    for place, number in enumerate(numbers):
        code = disturb(command(model, inputs, output, *(["--resume"] if place else [])), number, beyond=seen)
        assert code == (-number if number == signal.SIGKILL else 128 + number)
        assert not output.exists()
        rows = recorded_rows(output)
        assert seen < rows < COUNT + 31
        seen = rows
    done = subprocess.run(command(model, inputs, output, "--resume"), capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert (done.returncode, report["count"], report["errors"]) == (3, COUNT + 31, 1)
    assert report["resumed"] >= seen
    assert output.read_bytes() == whole.read_bytes()
    assert not part_of(output).exists()
    assert not record_of(output).exists()


@pytest.mark.slow
def test_a_killed_run_goes_on(model_path: Path, inputs: list[Path], tmp_path: Path) -> None:
    check_resumed(model_path, inputs, tmp_path, "csv", [signal.SIGKILL])


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "jsonl", "npy", "parquet"])
def test_a_run_that_is_disturbed_again_and_again_goes_on(
    model_path: Path, inputs: list[Path], tmp_path: Path, ending: str
) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    check_resumed(model_path, inputs, tmp_path, ending, [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])


def test_what_cannot_be_gone_on_with_is_said(model_path: Path, inputs: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    arguments = command(model_path, inputs, output)
    words = arguments[4:]
    assert "nothing to resume" in predict_here(*words, "--resume", code=2).stderr
    assert disturb(arguments, signal.SIGINT) == 130
    assert "--resume or start over with --force" in predict_here(*words, code=2).stderr
    assert "polarity" in predict_here(*words, "--resume", "--polarity", "light-on-dark", code=2).stderr
    fewer = command(model_path, inputs[:1], output, "--resume")[4:]
    assert "inputs" in predict_here(*fewer, code=2).stderr
    assert part_of(output).exists()
