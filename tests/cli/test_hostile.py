"""FAULTS 27-30: hostile and broken model files go through every command and end in one line.

36 and 37, an engine that is missing, crashes, hangs or leaves out an output, are tests of its runtime: `test_worker.py`,
`test_parity.py`, `test_bench.py`, `test_private_runtimes.py`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hostile_cases import CASES, COMMANDS, command_line, expected_codes, write_case
from hostile_graphs import EXTERNAL, node, wrap
from onnx import TensorProto, numpy_helper

from toolkit.errors import ModelError, UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.onnx_file.vetting import vet_model
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.workers.client import WorkerRuntime
from toolkit.runtimes.workers.time_limits import TIME_LIMIT_VARIABLE

# No request to an engine takes longer; a whole command on a machine that others share may take some of them.
TIME_LIMIT_S = 8
COMMAND_LIMIT_S = 60
# One command for each of a dozen files keeps the quick suite quick; `make test-hostile` takes everything.
QUICK = [
    ("file: empty", "inspect"),
    ("file: cut in the middle", "selftest"),
    ("file: a FIFO", "predict"),
    ("graph: external data above", "bench"),
    ("graph: 3,000 nested functions", "inspect"),
    ("graph: zero-stride convolution", "selftest"),
    ("graph: division by zero while opening", "predict"),
    ("graph: opset 999", "parity"),
    ("interface: another input type", "parity"),
    ("interface: no outputs", "selftest"),
    ("card: 100,000 brackets", "predict"),
    ("card: other classes", "selftest"),
]


def run_command(command: str, model: Path) -> subprocess.CompletedProcess[str]:
    folder = model.parent
    environment = {
        **os.environ,
        "TOOLKIT_ARTIFACTS": str(folder / "out"),
        "TOOLKIT_CACHE": str(folder / "cache"),
        TIME_LIMIT_VARIABLE: str(TIME_LIMIT_S),
    }
    return subprocess.run(
        command_line(command, model, folder),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=environment,
        cwd=folder,
        timeout=COMMAND_LIMIT_S,
    )


def check_end(name: str, command: str, model: Path) -> None:
    done = run_command(command, model)
    assert done.returncode in expected_codes(name, command), (command, done.returncode, done.stderr[-1000:])
    assert "Traceback" not in done.stderr, (command, done.stderr[-3000:])
    assert "bug in toolkit" not in done.stderr, (command, done.stderr[-3000:])
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == (done.returncode != 0), (command, done.stderr[-1000:])


@pytest.mark.parametrize(("name", "command"), QUICK)
def test_a_hostile_file_ends_in_one_line(name: str, command: str, model_path: Path, tmp_path: Path) -> None:
    write_case(name, model_path.read_bytes(), tmp_path / "hostile.onnx")
    check_end(name, command, tmp_path / "hostile.onnx")


@pytest.mark.hostile
@pytest.mark.timeout(COMMAND_LIMIT_S * len(COMMANDS))
@pytest.mark.parametrize("name", CASES)
def test_every_command_survives_every_hostile_file(name: str, model_path: Path, tmp_path: Path) -> None:
    write_case(name, model_path.read_bytes(), tmp_path / "hostile.onnx")
    for command in COMMANDS:
        check_end(name, command, tmp_path / "hostile.onnx")


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 60
    assert {name for name, _ in QUICK} <= set(CASES)


@pytest.mark.parametrize("name", EXTERNAL)
def test_external_data_is_found_wherever_it_hides(name: str) -> None:
    with pytest.raises(ModelError, match="external data is never opened"):
        vet_model(EXTERNAL[name]().SerializeToString(), name="m.onnx", allow_foreign=True)


def test_cap_of_a_tensor_is_of_bytes_whatever_its_type() -> None:
    """2^32 numbers of eight bytes are 32 GiB, and so are the zeros that an engine fills in around one sparse value."""
    full, sparse = wrap([node("Identity", ["w"], ["logits"])]), wrap([node("Identity", ["w"], ["logits"])])
    weights = full.graph.initializer.add(name="w", data_type=TensorProto.DOUBLE)
    weights.dims[:] = [1 << 32]
    few = sparse.graph.sparse_initializer.add(dims=[1 << 32])
    few.values.CopyFrom(numpy_helper.from_array(np.ones(1), "w"))
    few.indices.CopyFrom(numpy_helper.from_array(np.zeros(1, np.int64)))
    for model in (full, sparse):
        with pytest.raises(ModelError, match=r"'w' has shape \[4294967296\], 34,359,738,368 bytes"):
            vet_model(model.SerializeToString(), name="m.onnx", allow_foreign=False)
    weights.data_type, weights.dims[:] = TensorProto.UINT8, [4 << 30]
    vet_model(full.SerializeToString(), name="m.onnx", allow_foreign=False)  # as many, of one byte each


def test_what_runs_is_the_bytes_that_were_hashed(model_path: Path, tmp_path: Path) -> None:
    """FAULTS 30: a file swapped after it was read changes nothing."""
    from toolkit.evaluation.selftest import run_selftest
    from toolkit.runtimes.contract import require_contract

    path = tmp_path / "model.onnx"
    path.write_bytes(model_path.read_bytes())
    source = ModelSource.read(path)
    path.write_bytes(b"swapped")
    with WorkerRuntime(source, RuntimeSettings()) as runtime:
        card = require_contract(runtime.info, name="model.onnx")
        assert run_selftest(runtime, card).passed  # type: ignore[arg-type]  # a worker has the face of a runtime


@pytest.mark.parametrize("limit", ["soon", "0", "-1", "nan"])
def test_a_time_limit_that_is_none_is_refused(limit: str, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIME_LIMIT_VARIABLE, limit)
    with pytest.raises(UsageError, match=TIME_LIMIT_VARIABLE):
        WorkerRuntime(ModelSource.read(model_path), RuntimeSettings())


@pytest.mark.parametrize("kind", ["folder", "missing", "empty"])
def test_a_path_that_is_no_file_is_a_model_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    with pytest.raises(ModelError):
        ModelSource.read(path)
