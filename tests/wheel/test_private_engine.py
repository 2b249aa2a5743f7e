"""The toolkit as a wheel in an environment of its own: what only an installation shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import onnx
import pytest

from toolkit.doctor.convolution import build_model

PINS = ("onnx==0.0",)
# The evaluator of `onnx` stands for a private engine: its entry gets pins, so its worker runs in the private interpreter.
PROGRAM = f"""
import os
from pathlib import Path
import numpy as np
import toolkit
from toolkit.doctor.convolution import INPUT
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.workers.client import WorkerRuntime
from toolkit.runtimes.registry import RUNTIMES
from toolkit.onnx_file.source import ModelSource

RUNTIMES["onnx"] = RUNTIMES["onnx"]._replace(pip={PINS!r})
os.environ["PYTHONPATH"] = os.environ["DECOYS"]
source = ModelSource(model=Path("model.onnx").read_bytes(), sha256="", path=Path("model.onnx"))
with WorkerRuntime(source, RuntimeSettings(runtime="onnx")) as worker:
    worker.run({{INPUT: np.zeros((1, 12, 12), np.uint8)}})
    print(toolkit.__file__, worker.info.version)
"""


def make_environment(folder: Path) -> tuple[Path, Path]:
    """Make an environment that sees this one's packages behind its own; return its Python and its packages' folder."""
    venv.create(folder, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    behind = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "zz_behind.pth").write_text("\n".join(behind) + "\n")
    return folder / "bin" / "python", packages


@pytest.mark.wheel
@pytest.mark.skipif(sys.platform == "win32", reason="the folders of an environment are named for POSIX here")
def test_a_private_engine_gets_its_own_pins_and_not_the_neighbours_of_an_installed_toolkit(
    wheel: Path, tmp_path: Path
) -> None:
    python, packages = make_environment(tmp_path / "installed")
    command = [sys.executable, "-P", "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    subprocess.run([*command, "--no-index", str(wheel)], check=True, capture_output=True)
    assert (packages / "toolkit" / "runtimes" / "engines" / "node_worker.mjs").is_file()
    # Beside the installed toolkit, and on PYTHONPATH, lie versions that would be taken first by their place.
    for folder, names in ((packages, ("onnx", "ml_dtypes", "google")), (tmp_path / "decoys", ("numpy", "onnx"))):
        for name in names:
            (folder / name).mkdir(parents=True)
            (folder / name / "__init__.py").write_text(f"raise ImportError('{folder.name}/{name} was taken')\n")
    engine = tmp_path / "private" / "onnx"
    make_environment(engine)
    engine.chmod(0o700)
    (engine / "installed.json").write_text(json.dumps({"packages": list(PINS)}))
    (tmp_path / "model.onnx").write_bytes(build_model())
    environment = {**os.environ, "TOOLKIT_RUNTIMES": str(tmp_path / "private"), "DECOYS": str(tmp_path / "decoys")}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(python), "-P", "-c", PROGRAM], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(packages / "toolkit" / "__init__.py"), onnx.__version__]
