"""Fixtures shared by the suite: an isolated artifacts folder, one trained run, one exported model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from loaded_modules import spied

# Before torch and numpy are loaded: two test processes with two spinning threads each would keep each other from the
# cores, and a thousand short processes have no matrix that would be worth a second thread.
os.environ.setdefault("GOMP_SPINCOUNT", "2500")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Where Python is told to keep no compiled modules, each of the suite's processes would compile all of ours again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# As in a shell where the environment is active: elsewhere messages name its commands by their paths.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
# A shared machine may stall for seconds: time is no verdict. In CI the examples are the same every time.
settings.register_profile("suite", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("suite")

# A suite that is started in the background ignores Ctrl-C, and so would every command that a test stops by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
# As long as a whole suite on a machine that does other work, too: what takes longer hangs.
PATIENCE_S = 1800.0


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own results, caches or settings."""
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "artifacts"))
    monkeypatch.setenv("TOOLKIT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    if "TOOLKIT_RUNTIMES" not in os.environ:  # engines that are to be tested are named by whoever starts the suite
        monkeypatch.setenv("TOOLKIT_RUNTIMES", str(tmp_path / "runtimes"))
    for name in ("TOOLKIT_AUTHOR", "TOOLKIT_LICENCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("toolkit.environment._Process.is_own", False)  # whatever command an earlier test began


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """An artifacts folder with one run on mnist-mini and the model exported from it, made by the real commands once."""
    shared = tmp_path_factory.getbasetemp().parent if worker_id != "master" else tmp_path_factory.getbasetemp()
    return _make_once(shared / "trained")


@pytest.fixture(scope="session")
def trained_run(trained: Path) -> Path:
    """The run folder of `trained`."""
    return next((trained / "runs").iterdir())


@pytest.fixture(scope="session")
def model_path(trained: Path) -> Path:
    """The model file of `trained`."""
    return next((trained / "models").glob("*.onnx"))


@pytest.fixture(scope="session")
def rgb_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a user's own coloured images, made by the real commands."""
    from coloured_shapes import write_shapes

    folder = tmp_path_factory.mktemp("rgb")
    images = write_shapes(folder / "images", count=120, height=32, width=40)
    environment = {**os.environ, "TOOLKIT_ARTIFACTS": str(folder / "artifacts")}
    for arguments in (
        ["train", "--data", str(images), "--epochs", "2", "--set", "hidden_units=32"],
        ["export", "--data", str(images), "--name", "shapes"],
    ):
        command = [sys.executable, "-m", "toolkit", *arguments]
        subprocess.run(command, check=True, env=environment, cwd=ROOT, capture_output=True)
    return folder / "artifacts" / "models" / "shapes.onnx"


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's cache for the tests of a module."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def probed_once(module_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that passed the probe in one test of the module is not probed again in the next."""
    monkeypatch.setenv("TOOLKIT_CACHE", str(module_cache))


@pytest.fixture
def own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is a command's, which hears signals; else it is a program's that uses the library."""
    monkeypatch.setattr("toolkit.environment._Process.is_own", True)


@pytest.fixture(scope="module")
def same_threads() -> Iterator[None]:
    """One thread is fastest for such small networks; torch's setting is the whole process's."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def little_noise(monkeypatch: pytest.MonkeyPatch) -> int:
    """Parity checks of few noise images, and how many: their float64 reference takes most of a small check's time."""
    monkeypatch.setattr("toolkit.parity.references.images.NOISE_COUNT", 16)
    return 16


def _make_once(folder: Path) -> Path:
    """Make the folder in one of the parallel test processes; the others wait for it."""
    from toolkit.holding import hold

    with hold(folder, wait_s=PATIENCE_S):
        if not (folder / "latest.json").exists():
            environment = {**os.environ, "TOOLKIT_ARTIFACTS": str(folder)}
            small = [f"--set={name}" for name in ("hidden_units=32", "conv1_channels=8", "conv2_channels=16")]
            for command in (["train", "--data", "mnist-mini", "--epochs", "8", *small], ["export"]):
                subprocess.run(
                    spied(command, folder / f"modules-{command[0]}.json"),
                    check=True,
                    env=environment,
                    cwd=ROOT,
                    capture_output=True,
                )
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The last lines say how many tests were skipped and for what."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"skipped {count}: {reason.removeprefix('Skipped: ')}")
