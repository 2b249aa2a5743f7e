"""External data of a model that is trusted: read once, from inside its own folder only, and nothing else ever."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from bench_samples import run_bench
from tiny_models import SPLIT_WEIGHTS, save_split

from toolkit.bench.config import BenchConfig
from toolkit.errors import ExternalDataError, ModelError
from toolkit.onnx_file.external_data import read_model
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.timing.plan import MeasurePlan


def test_weights_are_put_inside_and_give_the_same_answers(tmp_path: Path) -> None:
    path = save_split(tmp_path)
    source = read_model(path, allow_external_data=True)
    (tmp_path / "weights.bin").unlink()
    session = onnxruntime.InferenceSession(source.model, providers=["CPUExecutionProvider"])
    images = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(session.run(None, {"x": images})[0], images @ SPLIT_WEIGHTS)
    assert not onnx.ModelProto.FromString(source.model).graph.initializer[0].external_data


def test_hash_changes_with_the_data_and_not_with_its_place(tmp_path: Path) -> None:
    first = read_model(save_split(tmp_path / "a"), allow_external_data=True)
    again = read_model(save_split(tmp_path / "b"), allow_external_data=True)
    path = save_split(tmp_path / "c")
    changed = bytearray((tmp_path / "c" / "weights.bin").read_bytes())
    changed[-1] ^= 1
    (tmp_path / "c" / "weights.bin").write_bytes(changed)
    assert first.sha256 == again.sha256 != read_model(path, allow_external_data=True).sha256


def test_file_without_external_data_is_read_as_it_is(tmp_path: Path) -> None:
    inside = tmp_path / "inside.onnx"
    inside.write_bytes(read_model(save_split(tmp_path), allow_external_data=True).model)
    assert read_model(inside, allow_external_data=True) == ModelSource.read(inside)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "", ".", "link", "sub/../../weights.bin"])
def test_data_outside_the_models_own_folder_is_never_opened(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "models"
    path = save_split(folder, location)
    (tmp_path / "weights.bin").write_bytes(bytes(56))
    (folder / "link").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(ModelError, match=r"outside the model's own folder; it is not opened"):
        read_model(path, allow_external_data=True)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"offset": "9"}, r"exceeds available data \(47 bytes from offset 9\)"),
        ({"offset": "-1"}, "offset must be non-negative, got -1"),
        ({"length": "1e3"}, "'1e3'"),
        ({"offset": "99999999999999999999"}, r"exceeds file size \(56\)"),
        ({"offset": "9" * 5000}, "'w' cannot be read"),
        ({"location": "none.bin"}, "is no file in .*; put it there"),
        ({"location": "pipe"}, "not regular file"),
        ({"location": "x" * 300}, "File name too long|outside"),
        ({"location": "inner"}, "symbolic link"),
        ({"location": "same"}, "hard links"),
        ({"location": "vast"}, "the most is"),
    ],
)
def test_place_that_is_not_there_is_refused(tmp_path: Path, place: dict[str, str], words: str) -> None:
    path = save_split(tmp_path, **place)
    (tmp_path / "inner").symlink_to("weights.bin")
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "vast").open("wb") as vast:
        vast.truncate(3 << 30)
    if "same" in place.values():
        os.link(tmp_path / "weights.bin", tmp_path / "same")
    with pytest.raises(ModelError, match=words) as caught:
        read_model(path, allow_external_data=True)
    assert "\n" not in str(caught.value)


def test_everything_else_still_refuses_it_and_bench_takes_what_was_read(tmp_path: Path) -> None:
    path = save_split(tmp_path)
    plan = MeasurePlan(warmup_calls=1, warmup_s=0, min_calls=20, min_s=0, max_s=100)
    config = BenchConfig(plan=plan, batches=(1,))
    with pytest.raises(ExternalDataError, match=r"external data is never opened unasked; .* makes one file of it"):
        run_bench(config, ModelSource.read(path))
    (row,) = run_bench(config, read_model(path, allow_external_data=True)).rows
    assert row.status == "pass"


def test_no_model_is_a_model_error(tmp_path: Path) -> None:
    path = tmp_path / "no.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError, match="is not an ONNX model"):
        read_model(path, allow_external_data=True)
