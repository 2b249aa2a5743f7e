"""The import budget: what a command's own process may not load, proven in real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from loaded_modules import modules_after
from PIL import Image


@pytest.fixture
def artifacts(trained: Path, tmp_path: Path) -> dict[str, str]:
    """The session's trained folder, read only by these commands but for reports of their own."""
    copy = tmp_path / "artifacts"
    copy.mkdir()
    for name in ("latest.json", "runs", "models"):
        (copy / name).symlink_to(trained / name)
    return {"TOOLKIT_ARTIFACTS": str(copy)}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["train", "--help"], ["predict", "--help"], ["bench", "--help"], ["tune", "--help"]],
)
def test_help_loads_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    assert modules_after(arguments, cwd=tmp_path) == set()


def test_predict_never_loads_torch_or_matplotlib(artifacts: dict[str, str], tmp_path: Path) -> None:
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "digit.png")
    for _ in range(2):  # the first time it is probed, the second time remembered
        loaded = modules_after(["predict", "digit.png"], cwd=tmp_path, environment=artifacts)
        assert {"numpy", "onnxruntime", "PIL"} <= loaded
        assert not loaded & {"toolkit.data", "toolkit.imaging.codecs.tiff"}
        assert not loaded & {"torch", "matplotlib", "onnxscript", "safetensors", "requests"}


@pytest.mark.parametrize("command", ["selftest", "inspect", "doctor --runtime ort"])
def test_commands_that_only_infer_never_load_torch(command: str, artifacts: dict[str, str], tmp_path: Path) -> None:
    loaded = modules_after(command.split(), cwd=tmp_path, environment=artifacts)
    assert not loaded & {"torch", "matplotlib", "onnxscript", "safetensors", "requests"}


def test_bench_never_loads_torch(artifacts: dict[str, str], tmp_path: Path) -> None:
    loaded = modules_after(["bench", "--batch", "1", "--seconds", "0.1"], cwd=tmp_path, environment=artifacts)
    assert not loaded & {"torch", "matplotlib", "onnxscript", "safetensors", "requests"}


def test_parity_leaves_the_engines_to_its_workers(artifacts: dict[str, str], tmp_path: Path) -> None:
    arguments = ["parity", "--runtime", "ort", "--threads", "1", "--optimisation", "all", "--sample", "64"]
    loaded = modules_after(arguments, cwd=tmp_path, environment=artifacts)
    assert not loaded & {"torch", "onnx", "onnxruntime", "matplotlib", "safetensors"}


def test_data_never_loads_torch(tmp_path: Path) -> None:
    loaded = modules_after(["data", "info", "mnist-mini"], cwd=tmp_path)
    assert not loaded & {"torch", "onnx", "onnxruntime", "matplotlib"}


@pytest.mark.parametrize("command", ["runs", "recipes", "recipes best"])
def test_lists_of_runs_and_recipes_load_no_engine(command: str, artifacts: dict[str, str], tmp_path: Path) -> None:
    loaded = modules_after(command.split(), cwd=tmp_path, environment=artifacts)
    assert not loaded & {"torch", "onnx", "onnxruntime", "numpy", "matplotlib"}


@pytest.mark.parametrize("module", ["toolkit.cli.actions.train", "toolkit.cli.commands.export"])
def test_what_is_refused_before_the_work_does_not_wait_for_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_training_and_export_leave_onnx_runtime_to_a_worker(trained: Path, tmp_path: Path) -> None:
    assert {"torch", "onnx"} <= set(json.loads((trained / "modules-export.json").read_text()))
    for command in ("train", "export"):
        assert "onnxruntime" not in json.loads((trained / f"modules-{command}.json").read_text())
    copy = tmp_path / "artifacts"
    copy.mkdir()
    (copy / "latest.json").write_text((trained / "latest.json").read_text())
    (copy / "runs").symlink_to(trained / "runs")
    assert "onnxruntime" not in modules_after(["evaluate"], cwd=tmp_path, environment={"TOOLKIT_ARTIFACTS": str(copy)})


BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnxscript", "safetensors", "matplotlib"):
            raise ImportError(name + " is not installed")
sys.meta_path.insert(0, Block())
"""


@pytest.mark.slow
def test_what_only_infers_works_where_torch_is_not_installed(artifacts: dict[str, str], tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(BLOCK)
    python_path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH", ""))))
    environment = {**artifacts, "PYTHONPATH": python_path}
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "digit.png")
    for arguments in (
        ["selftest"],
        ["inspect"],
        ["predict", "digit.png"],
        ["parity", "--runtime", "ort", "--sample", "64"],
    ):
        if arguments[0] == "parity":
            (tmp_path / "artifacts" / "runs").unlink()  # the run is not there where torch is not
        modules_after(arguments, cwd=tmp_path, environment=environment)


@pytest.mark.parametrize(
    ("package", "arguments", "words"),
    [("torch", ["train", "--data", "mnist-mini"], "torch"), ("onnxruntime", ["selftest"], "onnxruntime")],
)
def test_a_missing_package_names_what_to_install(
    package: str, arguments: list[str], words: str, artifacts: dict[str, str], tmp_path: Path
) -> None:
    """FAULTS 36."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(BLOCK.replace('"torch", "onnxscript"', f'"{package}", "onnxscript"'))
    python_path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH", ""))))
    environment = {**os.environ, **artifacts, "PYTHONPATH": python_path}
    command = [sys.executable, "-m", "toolkit", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 5, done.stderr
    assert words in done.stderr
    assert "pip install" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_root_page_knows_verbs_by_their_lines_alone() -> None:
    program = "import sys\nfrom toolkit.cli.app import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
    program += "print(sorted(name for name in sys.modules if name.split('.')[0] in ('toolkit', 'exporters')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout.splitlines()[-1].replace("'", '"'))) < 15
    assert "..." not in done.stdout.replace("[ARGS]...", "")  # no line is cut
