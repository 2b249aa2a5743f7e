"""The worker: frames that survive anything, and a death that is always named."""

from __future__ import annotations

import io
import stat
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper

from toolkit.doctor.convolution import INPUT, build_model
from toolkit.durable import sha256_bytes
from toolkit.errors import ModelError, ResourceError, UsageError, WorkerError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.timing.plan import MeasurePlan
from toolkit.runtimes.workers import client
from toolkit.runtimes.workers.client import WorkerRuntime
from toolkit.runtimes.workers.frames import read_frame, write_frame

ENGINE = '''
"""A worker whose engine misbehaves in the way that the provider's name asks for."""
import ctypes, os, sys, time, types
os.write(1, b"alive\\n")
import numpy as np
from toolkit.runtimes import registry
from toolkit.runtimes.workers import worker
from toolkit.runtimes.base import Runtime, RuntimeInfo
from toolkit.onnx_file.element_types import TensorSpec

class Engine(Runtime):
    name = "strange"

    def _open(self, source):
        self.way = self.settings.provider
        if self.way == "hang-open":
            time.sleep(600)
        if self.way == "greedy":
            np.ones(6 << 30, np.uint8)
        specs = {"inputs": (TensorSpec(name="images", dtype="uint8", shape=("batch", 2)),),
                 "outputs": (TensorSpec(name="logits", dtype="uint8", shape=("batch", 2)),)}
        self.info = RuntimeInfo(runtime="strange", version="1", provider_active="cpu", **specs,
                                details={"cwd": os.listdir("."), "sha256": source.sha256, "onnx": "onnx" in sys.modules})

    def compute(self, feeds):
        if self.way == "crash":
            os.write(2, b"last words of the engine\\n")
            ctypes.string_at(0)
        if self.way == "divide":
            os.kill(os.getpid(), 8)
        if self.way == "hang":
            time.sleep(600)
        if self.way == "leave":
            os._exit(3)
        if self.way == "raise":
            raise ZeroDivisionError("inside")
        if self.way == "noise":
            print("printed"), sys.stdout.flush(), os.write(1, b"x" * 5000)
            ctypes.CDLL(None).puts(b"from C")
        return {} if self.way == "no-output" else {"logits": feeds["images"]}

module = types.ModuleType("strange_engine")
module.Engine = Engine
sys.modules["strange_engine"] = module
registry.RUNTIMES["ort"] = registry.RuntimeEntry("strange_engine", "Engine", "json", "nothing")
registry.RUNTIMES["tract"] = registry.RUNTIMES["ort"]
worker.main()
'''


@pytest.fixture(scope="module")
def strange_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that, asked for the worker, serves the strange engine instead."""
    folder = tmp_path_factory.mktemp("strange")
    (folder / "engine.py").write_text(ENGINE)
    wrapper = folder / "python"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder / "engine.py"}"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    return str(wrapper)


def _source() -> ModelSource:
    model = build_model()
    return ModelSource(model=model, sha256=sha256_bytes(model), path=Path("convolution.onnx"))


def _open(python: str, way: str, *, timeout_s: float = 120, memory_limit_bytes: int = 4 << 30) -> WorkerRuntime:
    settings = RuntimeSettings(provider=way)
    return WorkerRuntime(_source(), settings, timeout_s=timeout_s, python=python, memory_limit_bytes=memory_limit_bytes)


IMAGES = np.arange(6, dtype=np.uint8).reshape(3, 2)


# --- frames ------------------------------------------------------------------------------------------------------

DTYPES = st.one_of(
    hnp.boolean_dtypes(), hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes(sizes=(16, 32, 64))
)
ARRAYS = DTYPES.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)
HEADERS = st.dictionaries(
    st.text().filter(lambda key: key != "arrays"), st.one_of(st.integers(), st.text(), st.none()), max_size=4
)


def _frame(header: dict[str, object], arrays: dict[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    write_frame(stream, header, arrays=arrays)
    return stream.getvalue()


@given(HEADERS, st.dictionaries(st.text(), ARRAYS, max_size=3))
def test_frame_comes_back_as_it_was_sent(header: dict[str, object], arrays: dict[str, np.ndarray]) -> None:
    stream = io.BytesIO(_frame(header, arrays) * 2)
    for _ in range(2):
        answer = read_frame(stream)
        assert answer is not None
        assert answer[0] == header
        assert set(answer[1]) == set(arrays)
        for name, array in arrays.items():
            assert answer[1][name].dtype == array.dtype
            np.testing.assert_array_equal(answer[1][name], array)
    assert read_frame(stream) is None


@given(st.data())
def test_frame_cut_anywhere_is_never_taken_for_a_whole_one(data: st.DataObject) -> None:
    whole = _frame({"verb": "run"}, {"images": np.arange(7, dtype=np.int32)})
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises((EOFError, ValueError)):
        read_frame(io.BytesIO(whole[:cut]))


@given(st.binary(min_size=1, max_size=64).filter(lambda text: not text.startswith(b"TKF1")))
def test_bytes_that_are_no_frame_are_refused(noise: bytes) -> None:
    with pytest.raises(ValueError, match="did not write a frame"):
        read_frame(io.BytesIO(noise))


def test_array_that_is_not_contiguous_travels_by_value() -> None:
    array = np.arange(24, dtype=">i4").reshape(4, 6).T[::2]
    answer = read_frame(io.BytesIO(_frame({}, {"a": array})))
    assert answer is not None
    np.testing.assert_array_equal(answer[1]["a"], array)


def test_object_arrays_do_not_travel() -> None:
    frame = _frame({}, {"a": np.zeros(1, np.int64)}).replace(b'"<i8"', b'"|O8"')
    with pytest.raises(ValueError, match="cannot travel"):
        read_frame(io.BytesIO(frame))


def test_absurd_header_length_is_refused_before_it_is_read() -> None:
    with pytest.raises(ValueError, match="did not write a frame"):
        read_frame(io.BytesIO(b"TKF1\xff\xff\xff\xff"))


# --- life and death ----------------------------------------------------------------------------------------------


def test_engine_answers_through_the_worker(strange_python: str) -> None:
    with _open(strange_python, "well") as runtime:
        np.testing.assert_array_equal(runtime.run({"images": IMAGES})["logits"], IMAGES)
        assert runtime.info.details["sha256"] == _source().sha256
        assert set(runtime.cold_ms) == {"import_ms", "load_ms"}


def test_worker_works_in_an_empty_folder_that_goes_with_it(strange_python: str) -> None:
    with _open(strange_python, "well") as runtime:
        folder = Path(runtime._folder.name)
        assert folder.is_dir()
        assert runtime.info.details["cwd"] == []
    assert not folder.exists()


def test_engines_noise_on_stdout_does_not_spoil_the_frames(strange_python: str) -> None:
    with _open(strange_python, "noise") as runtime:
        for _ in range(3):
            np.testing.assert_array_equal(runtime.run({"images": IMAGES})["logits"], IMAGES)
        assert "printed" in runtime.log or "from C" in runtime.log or "xxx" in runtime.log


@pytest.mark.parametrize(("way", "name"), [("crash", "SIGSEGV"), ("divide", "SIGFPE")])
def test_crash_is_named_by_its_signal(strange_python: str, way: str, name: str) -> None:
    with _open(strange_python, way) as runtime, pytest.raises(WorkerError, match=f"crashed with {name} during 'run'"):
        runtime.run({"images": IMAGES})


def test_crash_keeps_the_engines_last_words(strange_python: str) -> None:
    with _open(strange_python, "crash") as runtime, pytest.raises(WorkerError) as caught:
        runtime.run({"images": IMAGES})
    assert "last words of the engine" in caught.value.log


def test_hang_is_ended_at_the_time_limit_and_named(strange_python: str) -> None:
    with _open(strange_python, "hang") as runtime:
        runtime._timeout_s = 0.5  # only now: to start takes as long as it takes
        with pytest.raises(WorkerError, match=r"hung for 0\.5 s and was ended during 'run'"):
            runtime.run({"images": IMAGES})
        process = runtime.helper.process
    assert process.poll() is not None


def test_hang_while_loading_leaves_no_process_and_no_folder(
    strange_python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(WorkerError, match="during 'load'"):
        _open(strange_python, "hang-open", timeout_s=2)
    assert list(folder.iterdir()) == []


def test_engine_that_leaves_is_named_by_its_exit_code(strange_python: str) -> None:
    with _open(strange_python, "leave") as runtime, pytest.raises(WorkerError, match="left with exit code 3"):
        runtime.run({"images": IMAGES})


def test_engines_exception_is_an_answer_and_the_worker_goes_on(strange_python: str) -> None:
    with _open(strange_python, "raise") as runtime:
        for _ in range(2):
            with pytest.raises(ModelError, match="the engine failed: ZeroDivisionError: inside"):
                runtime.run({"images": IMAGES})


def test_missing_output_is_refused(strange_python: str) -> None:
    with (
        _open(strange_python, "no-output") as runtime,
        pytest.raises(ModelError, match=r"outputs are \[\]; expected \['logits'\]"),
    ):
        runtime.run({"images": IMAGES})


@pytest.mark.parametrize(
    "feeds", [{}, {"pixels": IMAGES}, {"images": IMAGES.astype(np.float32)}, {"images": IMAGES[:, :1]}]
)
def test_wrong_input_is_refused_by_name(strange_python: str, feeds: dict[str, np.ndarray]) -> None:
    with _open(strange_python, "well") as runtime, pytest.raises(ModelError, match="images"):
        runtime.run(feeds)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not hold RLIMIT_AS")
def test_engine_over_the_memory_limit_is_refused_and_named(strange_python: str) -> None:
    with pytest.raises(ModelError, match="needs more memory than its limit"):
        _open(strange_python, "greedy", memory_limit_bytes=4 << 30)


def test_interpreter_that_is_not_there_is_a_worker_error() -> None:
    with pytest.raises(WorkerError, match="cannot start a worker with /no/such/python"):
        WorkerRuntime(_source(), RuntimeSettings(), python="/no/such/python")


def test_closing_twice_does_nothing(strange_python: str) -> None:
    runtime = _open(strange_python, "well")
    runtime.close()
    runtime.close()


# --- the real engine ---------------------------------------------------------------------------------------------


def test_a_closed_worker_ends_at_once_and_takes_nothing_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of an interpreter with its engines takes as long as a short call, and can crash."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import atexit, pathlib\natexit.register(pathlib.Path({str(tmp_path / 'told')!r}).touch)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    WorkerRuntime(_source(), RuntimeSettings()).close()
    assert not (tmp_path / "told").exists()


def test_real_timing_loop_counts_every_call_inside_the_worker() -> None:
    plan = MeasurePlan(warmup_calls=1, warmup_s=0, min_calls=40, min_s=0, max_s=100)
    with WorkerRuntime(_source(), RuntimeSettings(threads=1)) as runtime:
        result = runtime.measure({INPUT: np.zeros((2, 12, 12), np.uint8)}, plan)
    assert result.samples_ns.shape == (40,)
    assert result.samples_ns.dtype == np.int64
    assert (result.samples_ns > 0).all()
    assert result.first_run_ns > 0


def test_timing_loop_ends_at_its_longest_time_even_with_few_calls(strange_python: str) -> None:
    plan = MeasurePlan(warmup_calls=0, warmup_s=0, min_calls=10**9, min_s=0, max_s=0.2)
    with _open(strange_python, "well") as runtime:
        samples = runtime.measure({"images": IMAGES}, plan).samples_ns
    assert 1 <= samples.size < 10**9


@pytest.mark.parametrize("plan", [{"min_calls": 0}, {"warmup_s": -1}, {"min_s": 3, "max_s": 1}])
def test_plan_that_makes_no_sense_is_refused(plan: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="makes no sense"):
        MeasurePlan(**plan)  # type: ignore[arg-type]


def test_bytes_that_are_no_model_are_refused_before_any_engine_sees_them() -> None:
    source = ModelSource(model=b"not a model", sha256="", path=Path("no.onnx"))
    with pytest.raises(ModelError, match=r"no\.onnx is not an ONNX model"):
        WorkerRuntime(source, RuntimeSettings())


@pytest.fixture
def nothing_vetted(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, bool, str | None], dict[str, object]]:
    """No worker of this process has seen any model."""
    vetted: dict[tuple[str, bool, str | None], dict[str, object]] = {}
    monkeypatch.setattr(client, "_VETTED", vetted)
    return vetted


def test_the_second_worker_on_the_same_bytes_takes_the_first_ones_word(
    nothing_vetted: dict[tuple[str, bool, str | None], dict[str, object]],
) -> None:
    with WorkerRuntime(_source(), RuntimeSettings()) as first:
        (told,) = nothing_vetted.values()
        assert told == first.model_summary
        told["opset"] = "as it was told"
    with WorkerRuntime(_source(), RuntimeSettings()) as second:
        assert second.model_summary["opset"] == "as it was told"
        assert second.run({INPUT: np.zeros((1, 12, 12), np.uint8)})


@pytest.mark.usefixtures("nothing_vetted")
def test_onnx_is_loaded_before_the_clock_of_an_engine_whose_shapes_it_reads(strange_python: str) -> None:
    # The clock of a start is around the engine's import and opening: 60 ms of onnx would be told as the engine's own.
    loaded = []
    for runtime in ("ort", "ort", "tract"):  # the first vets
        with WorkerRuntime(_source(), RuntimeSettings(runtime=runtime), python=strange_python) as opened:
            loaded.append(opened.info.details["onnx"])
    assert loaded == [True, False, True]


def test_a_file_that_was_let_in_as_a_strangers_is_refused_as_ours(
    nothing_vetted: dict[tuple[str, bool, str | None], dict[str, object]],
) -> None:
    node = helper.make_node("FusedMatMul", ["x", "x"], ["y"], domain="com.microsoft")
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in "xy"]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph([node], "foreign", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    source = ModelSource.in_memory(model, Path("foreign.onnx"))
    WorkerRuntime(source, RuntimeSettings()).close()
    for _ in range(2):
        with pytest.raises(ModelError, match=r"com\.microsoft"):
            WorkerRuntime(source, RuntimeSettings(), allow_foreign=False)
    assert len(nothing_vetted) == 1


def test_an_interpreter_with_another_onnx_vets_for_itself(
    tmp_path: Path, nothing_vetted: dict[tuple[str, bool, str | None], dict[str, object]]
) -> None:
    # An engine's own environment may hold an older onnx: what this one knows says nothing of it.
    (tmp_path / "sitecustomize.py").write_text("import onnx.defs\nonnx.defs.onnx_opset_version = lambda: 1\n")
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    WorkerRuntime(_source(), RuntimeSettings()).close()
    with pytest.raises(ModelError, match=r"this onnx knows 1 to 1$"):
        WorkerRuntime(_source(), RuntimeSettings(), python=str(wrapper))
    assert len(nothing_vetted) == 1


def test_unknown_runtime_is_a_usage_error_across_the_process_boundary() -> None:
    with pytest.raises(UsageError, match="unknown runtime 'orrt'"):
        WorkerRuntime(_source(), RuntimeSettings(runtime="orrt"))


def test_engine_that_is_not_installed_names_what_brings_it(tmp_path: Path) -> None:
    # An interpreter that finds an empty `onnxruntime` which fails to import stands for one without it.
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('not here')")
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    with pytest.raises(ResourceError, match="not here"):
        WorkerRuntime(_source(), RuntimeSettings(), python=str(wrapper))
