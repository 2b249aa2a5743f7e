"""The installed wheel, from an unrelated folder: train, export, prove, predict, measure, embed, call."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from artifacts_page import unnamed_files
from distributed import ROOT, Installation
from PIL import Image

import toolkit

pytestmark = pytest.mark.wheel
SMALL = ("hidden_units=64", "conv1_channels=8", "conv2_channels=16")
LIBRARY = """
import sys
import toolkit
assert [name for name in sys.modules if name in ("numpy", "torch", "onnx", "onnxruntime")] == []
run = toolkit.train("mnist-mini", epochs=1, set={"hidden_units": 32, "conv1_channels": 8, "conv2_channels": 16}, name="mine")
model = toolkit.export(run)
print(toolkit.evaluate(model).count == 1000)
print(toolkit.check_parity(model, runtime="ort", threads=1, sample=8).passed)
print(toolkit.predict(model, sys.argv[1])[0].label in "0123456789")
print(toolkit.benchmark(model, provider="cpu", batch=[1], seconds=0.1).rows[0].status == "pass")
print(toolkit.diagnose(runtime="ort").rows != ())
with toolkit.Classifier(model) as classifier:
    print(classifier.predict(sys.argv[1])[0].label in "0123456789")
"""
# An export on the mini data makes no int8 file: a thousand test images cannot show that it loses little.
QUANTISE = """
import sys
import numpy as np, onnx
from toolkit.exporters import Int8Setting, quantise_apart
images = np.arange(20 * 28 * 28).astype(np.uint8).reshape(20, 28, 28)
made = quantise_apart(onnx.load(sys.argv[1]), images, setting=Int8Setting())
print({node.op_type for node in made.graph.node})
"""


@pytest.fixture(scope="module")
def trained(installation: Installation) -> Path:
    """The user's `artifacts/`, with a run of two epochs and its model."""
    small = [f"--set={setting}" for setting in SMALL]
    installation.run("toolkit", "train", "--data", "mnist-mini", "--epochs", "2", *small)
    installation.run("toolkit", "export", "--name", "digits", "--kit", "python", "--check")
    return installation.folder / "artifacts"


@pytest.fixture(scope="module")
def picture(trained: Path, installation: Installation) -> str:
    """A user's picture, by its name in the user's folder."""
    stroke = np.zeros((28, 28), np.uint8)
    stroke[4:24, 12:16] = 255
    Image.fromarray(stroke).save(installation.folder / "one.png")
    return "one.png"


def test_the_command_says_its_version_and_help(installation: Installation) -> None:
    assert installation.run("toolkit", "--version").stdout == f"toolkit {toolkit.__version__}\n"
    assert "quickstart" in installation.run("toolkit", "--help").stdout


def test_what_is_installed_is_one_package_that_comes_from_the_environment(installation: Installation) -> None:
    program = "import importlib.util as u, toolkit; print(toolkit.__file__, u.find_spec('exporters'))"
    where, _, other = installation.run("python", "-c", program).stdout.strip().rpartition(" ")
    assert Path(where).is_relative_to(installation.scripts.parent)
    assert other == "None"
    assert not Path(where).is_relative_to(ROOT)


def test_a_training_becomes_a_proven_model_with_a_kit_that_checks_itself(
    trained: Path, installation: Installation
) -> None:
    assert "PASS" in installation.run("toolkit", "selftest").stdout
    done = installation.run("toolkit", "parity", "--runtime", "ort,torch", "--threads", "1", "--sample", "64", "--json")
    rows = json.loads(done.stdout)["rows"]
    assert {row["runtime"] for row in rows} == {"ort", "torch"}
    assert {row["status"] for row in rows} == {"pass"}
    assert (trained / "kits" / "digits-python").is_dir()


def test_the_quantiser_starts_in_a_process_of_its_own(trained: Path, installation: Installation) -> None:
    done = installation.run("python", "-P", "-c", QUANTISE, str(trained / "models" / "digits.onnx"))
    assert "QuantizeLinear" in done.stdout


def test_a_picture_is_predicted_and_the_model_measured(trained: Path, picture: str, installation: Installation) -> None:
    rows = installation.run("toolkit", "predict", picture, "--output", "-").stdout.splitlines()
    assert (len(rows), rows[1].split(",")[0]) == (2, picture)
    done = installation.run("toolkit", "bench", "--batch", "1", "--seconds", "0.2", "--json")
    assert json.loads(done.stdout)["rows"][0]["status"] == "pass"


def test_the_library_is_called_from_a_program(picture: str, installation: Installation) -> None:
    done = installation.run("python", "-c", LIBRARY, picture)
    assert done.stdout.split() == ["True"] * 6


def test_the_doctor_finds_a_cpu_that_works(installation: Installation) -> None:
    assert "The CPU works" in installation.run("toolkit", "doctor", "--runtime", "ort").stdout


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm brings ONNX Runtime Web")
def test_the_demo_serves_its_page(trained: Path, installation: Installation) -> None:
    command = [str(installation.scripts / "toolkit"), "demo", "--no-browser"]
    said = ""
    with subprocess.Popen(
        command, cwd=installation.folder, env=installation.environment, stderr=subprocess.PIPE, text=True
    ) as server:
        for line in server.stderr or ():
            said += line
            if "Ctrl-C" in line:
                break
        try:
            address = re.search(r"http://\S+", said)
            assert address, said
            with urllib.request.urlopen(address[0]) as answer:
                assert b"<canvas" in answer.read()
        finally:
            server.send_signal(signal.SIGINT)


def test_nothing_of_the_working_folder_is_run_for_its_name(
    trained: Path, picture: str, installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "toolkit").mkdir()
    for name in ("toolkit/__init__", "exporters", "onnx", "random", "numpy", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} of the working folder was run')\n")
    model, image = str(trained / "models" / "digits.onnx"), str(installation.folder / picture)
    for words in (
        ("selftest", model),
        ("predict", model, image),
        ("parity", model, "--runtime", "ort", "--sample", "8"),
    ):
        installation.run("toolkit", *words, cwd=tmp_path)


@pytest.mark.parametrize(
    ("words", "extra", "code"),
    [
        ("train --data mnist-mini --tensorboard", "tensorboard", 5),
        ("tune --data mnist-mini --space dropout=0.2,0.5", "tune", 5),
        ("predict PICTURE -o rows.parquet", "parquet", 5),
        ("predict PICTURE --executor ray", "ray", 5),
        ("bench --batch 1 --driver loadgen", "loadgen", 5),
        ("parity --runtime tract", "runtimes", 5),
        ("selftest --provider openvino", "openvino", 5),
        ("export MODEL --kit c", "kit-c", 5),
        ("serve MODEL", "serve", 5),
    ],
)
def test_a_command_without_its_extra_says_what_brings_it(
    words: str, extra: str, code: int, picture: str, installation: Installation
) -> None:
    given = words.replace("PICTURE", picture).replace("MODEL", "artifacts/models/digits.onnx").split()
    done = installation.run("toolkit", *given, code=code)
    assert f"onnx-parity-toolkit[{extra}]'" in done.stderr.splitlines()[-1]


def test_what_the_commands_left_is_told_by_the_page_of_artifacts(trained: Path, installation: Installation) -> None:
    """Of every test before; the studies' and the curves' too."""
    small = [f"--set={setting}" for setting in SMALL]
    installation.run("toolkit", "learning-curve", "--data", "mnist-mini", "--sizes", "100,200", "--epochs", "1", *small)
    assert unnamed_files(trained) == []
