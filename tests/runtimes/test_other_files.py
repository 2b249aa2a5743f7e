"""What a newcomer's slip is answered with: another file than a model, another tool's names, a file that is not there."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from toolkit.api.feeds import read_feeds
from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import choose_model
from toolkit.errors import ModelError, UsageError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.vetting import parse_model
from toolkit.runtimes.providers import find_provider
from toolkit.runtimes.registry import find_runtime
from toolkit.runtimes.synthetic_inputs.facts import check_given

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def zipped() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, a=np.zeros(3))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (LFS, "git lfs pull"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        (zipped(), "a ZIP archive"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(40), "TensorFlow Lite"),
        (b"\x1c\x00\x00\x00ORTM" + bytes(40), "ONNX Runtime's own format"),
        (b"garbage", "its 7 bytes are no protobuf, or only a part of one"),
    ],
)
def test_what_is_no_model_is_said_to_be_what_it_is(data: bytes, words: str) -> None:
    with pytest.raises(ModelError, match=f"^m.onnx is not an ONNX model: .*{words}") as caught:
        parse_model(data, name="m.onnx")
    assert "\n" not in str(caught.value)


def test_a_part_of_a_model_may_be_fetched_again() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    data = helper.make_model(helper.make_graph([node], "g", values[:1], values[1:])).SerializeToString()
    with pytest.raises(ModelError, match="fetch or export the file again"):
        parse_model(data[:-9], name="m.onnx")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("onnxruntime", r"unknown runtime 'onnxruntime' \(did you mean 'ort'\?\)"),
        ("trt", "--runtime ort --provider tensorrt"),
        ("cuda", "--runtime ort --provider cuda"),
        ("CUDAExecutionProvider", "--runtime ort --provider cuda"),
        ("openvin", r"\(did you mean 'openvino'\?\)"),
    ],
)
def test_other_tools_names_of_engines_are_known(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        find_runtime(name)
    assert "onnx-widened" not in str(caught.value)


@pytest.mark.parametrize(("name", "meant"), [("gpu", "cuda"), ("CUDAExecutionProvider", "cuda"), ("trt", "tensorrt")])
def test_other_tools_names_of_providers_are_known(name: str, meant: str) -> None:
    with pytest.raises(UsageError, match=rf"unknown provider '{name}' \(did you mean '{meant}'\?\)"):
        find_provider(name)


def test_a_file_that_is_not_there_is_a_slip_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no model .*none\.onnx"):
        choose_model(tmp_path / "none.onnx", store=ArtifactStore.default())
    with pytest.raises(UsageError, match=r"no file .*none\.npz; --inputs takes an \.npz"):
        read_feeds(tmp_path / "none.npz", None)


def test_an_array_of_another_type_is_told_with_its_cast() -> None:
    specs = (TensorSpec(name="ids", dtype="int64", shape=("batch", 8)),)
    with pytest.raises(UsageError, match=r"is int32 \[3, 8\]; expected int64 \['batch', 8\]; .*\.astype\('int64'\)$"):
        check_given(specs, {"ids": np.zeros((3, 8), np.int32)})
    with pytest.raises(UsageError, match=r"expected int64 \['batch', 8\]$"):
        check_given(specs, {"ids": np.zeros((3, 9), np.int64)})
