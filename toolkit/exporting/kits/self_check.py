"""A kit's self-check: its golden vectors replayed in its own runtime, where this machine has what that takes."""

from __future__ import annotations

__all__ = ["SelfCheck", "run_selfcheck"]

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.durable import write_json
from toolkit.errors import ResourceError
from toolkit.exporting.kits.browser import check_in_browser
from toolkit.exporting.kits.triton import check_config
from toolkit.plain import to_plain
from toolkit.programs import find_program, import_extra, run_program
from toolkit.runtimes.installed import find_private_folder
from toolkit.runtimes.workers.time_limits import SELF_CHECK_S

RESULT = "selfcheck.json"
ONNXRUNTIME_ROOT = "ONNXRUNTIME_ROOT"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCheck:
    """What a self-check said; also written into the kit as `selfcheck.json`.

    Attributes:
        status: `pass`, `fail` or `not-run`.
        runtime: what ran the model.
        version: its version; None where it did not run.
        vectors: golden vectors replayed.
        max_abs_logit_error: largest difference from the card's logits.
        ms_per_image: time of one picture, one at a time.
        reason: why it failed or did not run.
        sizes: of C: bytes of `code`, `weights` and `stack`.
    """

    status: str
    runtime: str
    version: str | None = None
    vectors: int = 0
    max_abs_logit_error: float | None = None
    ms_per_image: float | None = None
    reason: str = ""
    sizes: dict[str, int] | None = None


def run_selfcheck(kit: str, folder: Path, *, provider: str = "cpu") -> SelfCheck:
    """Check a kit; whatever happens is told, and written into the kit.

    Args:
        kit: its name.
        folder: where it lies; what has to be built is built in a copy.
        provider: where the kit's runtime is to run: `cpu` or `cuda`; a kit that has no CUDA is not checked on it.
    """
    check, runtime = CUDA_CHECKS[kit] if provider == "cuda" else CHECKS[kit]
    try:
        result = SelfCheck(**{"runtime": runtime, **check(folder)})
    except (ImportError, ResourceError) as error:
        result = SelfCheck(status="not-run", runtime=runtime, reason=" ".join(str(error).split()))
    except (subprocess.SubprocessError, OSError, ValueError, _FailedError) as error:  # it cannot start, hangs, babbles
        result = SelfCheck(status="fail", runtime=runtime, reason=" ".join(str(error).split())[-500:])
    write_json(folder / RESULT, to_plain(result))
    return result


class _FailedError(Exception):
    """A command of the kit failed."""


def _check_python(folder: Path, provider: str = "cpu") -> dict[str, Any]:
    (package,) = (path.parent.name for path in folder.glob("*/__main__.py"))
    path = os.pathsep.join(filter(None, (str(folder.resolve()), os.environ.get("PYTHONPATH"))))
    command = [
        sys.executable,
        "-P",
        "-B",
        "-m",
        package,
        "--selfcheck",
        "--provider",
        provider,
    ]  # -B: what was compiled here is no part of it
    _run(command, folder, environment={**os.environ, "PYTHONPATH": path})
    return _read(folder)


def _check_node(folder: Path, provider: str = "cpu") -> dict[str, Any]:
    node = find_program("node", "apt-get install nodejs npm")
    modules = find_private_folder("ort-node") / "node_modules"
    with _copied(folder) as copy:
        (copy / "node_modules").symlink_to(modules.resolve())
        _run([node, "selfcheck.js", provider], copy)
        return _read(copy)


def _check_c(folder: Path) -> dict[str, Any]:
    make, _ = find_program("make", "apt-get install make"), find_program("cc", "apt-get install gcc libc6-dev")
    with _copied(folder) as copy:
        _run([make, "selfcheck", "CFLAGS=-O2 -fstack-usage"], copy)
        return {**_read(copy), "sizes": _measure_c(copy)}


def _check_cpp(folder: Path) -> dict[str, Any]:
    cmake = find_program("cmake", "apt-get install cmake g++")
    find_program("c++", "apt-get install g++")
    openvino = import_extra("openvino", extra="runtimes", user="it")
    configuration = Path(openvino.__file__).parent / "cmake"
    with _copied(folder) as copy:
        _run([cmake, "-B", "build", f"-DOpenVINO_DIR={configuration}"], copy)
        _run([cmake, "--build", "build"], copy)
        _run([str(copy / "build" / "selfcheck")], copy)
        return _read(copy)


def _check_cpp_on_cuda(folder: Path) -> dict[str, Any]:
    """Check it behind ONNX Runtime, whose release is nowhere to be installed from: who has one says where."""
    cmake, root = find_program("cmake", "apt-get install cmake g++"), os.environ.get(ONNXRUNTIME_ROOT, "")
    if not root:
        raise ResourceError(
            f"CUDA in C++ is ONNX Runtime's: unpack a release of it and say where it lies with {ONNXRUNTIME_ROOT}"
        )
    with _copied(folder) as copy:
        _run([cmake, "-B", "build", "-DBACKEND=onnxruntime", f"-DONNXRUNTIME_ROOT={Path(root).absolute()}"], copy)
        _run([cmake, "--build", "build"], copy)
        _run([str(copy / "build" / "selfcheck"), "cuda"], copy)
        return _read(copy)


def _refuse_cuda(_: Path) -> dict[str, Any]:
    return {"status": "not-run", "reason": "it has no CUDA"}


def _check_triton(folder: Path) -> dict[str, Any]:
    problems = check_config(folder)
    if problems:
        return {"status": "fail", "reason": "; ".join(problems)}
    reason = "config.pbtxt is read by Triton's own schema and agrees with the file; there is no Triton server here"
    return {"status": "not-run", "reason": reason}


Check = Callable[[Path], dict[str, Any]]
CHECKS: dict[str, tuple[Check, str]] = {
    "python": (_check_python, "onnxruntime"),
    "node": (_check_node, "onnxruntime-node"),
    "web": (check_in_browser, "onnxruntime-web (WebAssembly)"),
    "c": (_check_c, "plain-c"),
    "cpp": (_check_cpp, "openvino-cpp"),
    "triton": (_check_triton, "triton"),
}
CUDA_CHECKS: dict[str, tuple[Check, str]] = {
    **{kit: (_refuse_cuda, runtime) for kit, (_, runtime) in CHECKS.items()},
    "python": (functools.partial(_check_python, provider="cuda"), "onnxruntime"),
    "node": (functools.partial(_check_node, provider="cuda"), "onnxruntime-node"),
    "cpp": (_check_cpp_on_cuda, "onnxruntime-cpp"),
}


@contextmanager
def _copied(folder: Path) -> Iterator[Path]:
    """Give a copy of a kit that goes away, so that nothing that was built stays in the kit."""
    with tempfile.TemporaryDirectory(prefix="toolkit-kit-") as temporary:
        copy = Path(temporary) / folder.name
        shutil.copytree(folder, copy)
        yield copy


def _run(command: list[str], folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
    words = run_program(command, folder=folder, environment=environment, timeout_s=SELF_CHECK_S)
    # A check that says no has written why; anything else is told by its last words.
    if words and not (folder / RESULT).exists():
        raise _FailedError(f"{command[0]} failed: {' '.join(words)[-400:]}")


def _read(folder: Path) -> dict[str, Any]:
    value = json.loads((folder / RESULT).read_text())
    return {name: value[name] for name in SelfCheck.__dataclass_fields__ if name in value}


def _measure_c(folder: Path) -> dict[str, int] | None:
    """Return bytes of code, of weights, and the deepest stack of one call, from the compiler's own records."""
    tool = shutil.which("size")
    if tool is None:
        return None
    names = ["network.o", "network_data.o"]
    lines = subprocess.run([tool, *names], cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines()
    code, weights = (sum(int(field) for field in line.split()[:3]) for line in lines[1:3])
    usage = [int(line.split("\t")[1]) for path in folder.glob("*.su") for line in path.read_text().splitlines()]
    return {"code": code, "weights": weights, "stack": max(usage, default=0)}
