"""An engine's error becomes one line that says what is wrong; where in its source code it was noticed is for the log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from toolkit.cli.app import app
from toolkit.cli.boundary import run_guarded
from toolkit.errors import ModelError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.engine_words import MOST_CHARACTERS, refusing, sum_up
from toolkit.runtimes.workers.client import WorkerRuntime

ORT = "[ONNXRuntimeError] : 1 : FAIL : "
MODEL = (
    "/onnxruntime_src/onnxruntime/core/graph/model.cc:256 onnxruntime::Model::Model(onnx::ModelProto&&, const "
    "onnxruntime::PathString&, const onnxruntime::IOnnxRuntimeOpSchemaRegistryList*, const "
    "onnxruntime::logging::Logger&, const onnxruntime::ModelOptions&) "
)
LAMBDA = "/a/b/sequential_executor.cc:12 onnxruntime::Run(const F&)::<lambda(int)>::operator()(int) const "
OPENVINO = """Exception from src/inference/src/cpp/core.cpp:105:
Check 'false' failed at src/frontends/common_translators/src/unconverted_ops_report.cpp:151:
FrontEnd API failed with OpConversionFailure:
Model wasn't fully converted."""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            f"{ORT}{MODEL}Unsupported model IR version: 99, max supported IR version: 13",
            "Unsupported model IR version: 99, max supported IR version: 13",
        ),
        (f"{ORT}{LAMBDA}it broke", "it broke"),
        (
            (
                "/onnxruntime_src/onnxruntime/core/providers/webgpu/webgpu_context.cc:65 onnxruntime::webgpu::WebGpuContext::"
                "Initialize(const onnxruntime::webgpu::WebGpuContextConfig&)::<lambda()>::<lambda(wgpu::RequestAdapterStatus, "
                "wgpu::StringView, wgpu::Adapter*)> status == wgpu::RequestAdapterStatus::Success was false. Failed to get a "
                "WebGPU adapter: No supported adapters"
            ),
            "Failed to get a WebGPU adapter: No supported adapters",
        ),
        (
            (
                '[ONNXRuntimeError] : 10 : INVALID_GRAPH : This is an invalid model. In Node, ("", Nonsense, "", -1) : '
                '("x": tensor(float),) -> ("y": tensor(float),) , Error No Op registered for Nonsense with domain_version of 18'
            ),
            "No Op registered for Nonsense with domain_version of 18",
        ),
        (
            (
                f"{ORT}Non-zero status code returned while running Reshape node. Name:'' Status Message: /onnxruntime_src/"
                "onnxruntime/core/providers/cpu/tensor/reshape_helper.h:91 onnxruntime::ReshapeHelper::ReshapeHelper(const "
                "onnxruntime::TensorShape&, onnxruntime::TensorShapeVector&, bool) input_shape_size == requested_shape_size "
                "was false. Input shape:{2,4}, requested shape:{7}"
            ),
            "Reshape: input_shape_size == requested_shape_size was false. Input shape:{2,4}, requested shape:{7}",
        ),
        (
            (
                f"{ORT}Non-zero status code returned while running MatMul node. Name:'a' Status Message: matmul_helper.h:59 "
                "Compute MatMul dimension mismatch"
            ),
            "MatMul 'a': Compute MatMul dimension mismatch",
        ),
        (
            (
                f"{OPENVINO}\nSummary:\n-- No conversion rule found for operations: x.Foo\n-- Conversion is failed for: RNN-18"
                "\nTo facilitate the conversion of unsupported operations, refer to: https://example.org"
            ),
            "No conversion rule found for operations: x.Foo",
        ),
        (
            (
                f"{OPENVINO} Failed operations detailed log:\n-- MatMul-18 with a message:\nWhile validating ONNX node 'y': "
                "Check 'a || b' failed at src/core/src/op/matmul.cpp:107:\nWhile validating node 'opset1::MatMul':\n"
                "Arguments do not have the same element type (f32, f16).\n\nSummary:\n-- Conversion is failed for: MatMul-18"
            ),
            "MatMul-18 with a message: Arguments do not have the same element type (f32, f16).",
        ),
        (
            (
                "Error invoking IREE compiler tool iree-compile\nError code: 1\nDiagnostics:\nm.mlir:4:10: error: failed to "
                "legalize operation 'torch.operator'\nInvoked with:\n iree-compile"
            ),
            "failed to legalize operation 'torch.operator'",
        ),
        ('Cannot lower: got 0. at loc("jit(f)"("/home/somebody/conv.py":138:8))', "Cannot lower: got 0."),
        (
            (
                'Failed analyse for node #2 "y" MatMulInference\n\nCaused by:\n    0: Infering facts\n    1: Impossible to '
                "unify F32 with F16.\n\nStack backtrace:\n   0: somewhere"
            ),
            'Failed analyse for node #2 "y" MatMulInference: Impossible to unify F32 with F16.',
        ),
        ("CUDA failure 35: driver is too old\nits stack", "CUDA failure 35: driver is too old"),
        (
            "CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=ada ; file=/src/a.cc ; line=355 ;",
            "CUDA failure 100: no CUDA-capable device is detected",
        ),
        ("tensor (a) and b.h are fine", "tensor (a) and b.h are fine"),
        ("Exception from src/inference/src/cpp/core.cpp:105:", "Exception from src/inference/src/cpp/core.cpp:105:"),
    ],
)
def test_what_an_engine_says_is_told_without_its_source_code(text: str, words: str) -> None:
    assert sum_up(RuntimeError(text)) == words


def test_an_error_without_words_is_told_by_its_type_and_a_long_one_ends() -> None:
    assert sum_up(KeyError()) == "KeyError"
    told = sum_up("word " * 1000)
    assert len(told) <= MOST_CHARACTERS + 4
    assert told.endswith("word ...")


def test_the_engines_own_words_are_in_the_log_and_shown_to_who_debugs(capsys: pytest.CaptureFixture[str]) -> None:
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Nonsense", ["x"], ["y"])], "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    source = ModelSource.in_memory(model.SerializeToString(), Path("m.onnx"))
    with pytest.raises(ModelError) as caught:
        WorkerRuntime(source, RuntimeSettings())
    refusal = "ONNX Runtime refuses the model: No Op registered for Nonsense with domain_version of 18"
    assert str(caught.value) == refusal
    assert "INVALID_GRAPH" in caught.value.log

    def fail() -> None:
        raise caught.value

    assert run_guarded(fail, debug=False) == 4
    assert "INVALID_GRAPH" not in capsys.readouterr().err
    assert run_guarded(fail, debug=True) == 4
    assert "INVALID_GRAPH" in capsys.readouterr().err


def test_a_files_names_are_no_commands_to_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names may hold anything: a sequence that clears the screen, a line that looks like a verdict."""
    clears = "\x1b[2J\nPASS\x9b31m"
    edges = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in (f"x{clears}", f"y{clears}")]
    node = helper.make_node("Relu", [f"x{clears}"], [f"y{clears}"], name=clears)
    graph = helper.make_graph([node], clears, edges[:1], edges[1:])
    model = helper.make_model(graph, producer_name=clears, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    app(args=["inspect", str(path)], standalone_mode=False)
    app(args=["selftest", str(path), "--value", f"x{clears}=0.5"], standalone_mode=False)
    told = "".join(capsys.readouterr())
    assert "\\x1b[2J\\x0aPASS\\x9b31m" in told
    assert "\x1b" not in told
    assert "\x9b" not in told
    assert sum(line.startswith("PASS") for line in told.splitlines()) == 1
    app(args=["inspect", str(path), "--json"], standalone_mode=False)
    assert f"x{clears}" in [item["name"] for item in json.loads(capsys.readouterr().out)["inputs"]]


@pytest.mark.parametrize(
    ("error", "tells_type", "words"),
    [
        (RuntimeError("no such operator\nstack"), False, "a refuses the model: no such operator"),
        (KeyError("axis"), True, "a refuses the model: KeyError: 'axis'"),
        (NotImplementedError(), False, "a refuses the model: NotImplementedError"),
    ],
)
def test_what_an_engine_raises_becomes_its_refusal(error: Exception, words: str, *, tells_type: bool) -> None:
    with pytest.raises(ModelError) as caught, refusing("a", tells_type=tells_type):
        raise error
    assert str(caught.value) == words
    assert caught.value.__cause__ is error


def test_another_error_than_the_engines_own_is_no_refusal() -> None:
    with pytest.raises(TypeError, match="ours"), refusing("a", RuntimeError, verb="cannot run"):
        raise TypeError("ours")
