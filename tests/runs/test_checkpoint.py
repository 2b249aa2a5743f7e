"""Checkpoints: what was written comes back; anything else is refused before it is used (FAULTS 17-20)."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from toolkit.durable import sha256_bytes
from toolkit.errors import ModelError
from toolkit.network.cnn import CNN
from toolkit.network.config import NetworkConfig
from toolkit.plain import to_plain
from toolkit.runs.checkpoint import (
    SEAL,
    TrainingTensors,
    _read_description,
    _seal,
    load_tensors,
    read_checkpoint,
    write_checkpoint,
)
from toolkit.runs.run import read_run

SMALL = NetworkConfig(height=16, width=16, classes=3, conv1_channels=2, conv2_channels=2, hidden_units=4)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "last.safetensors"
    write_checkpoint(path, CNN(SMALL), epoch=3)
    return path


def rewrite(path: Path, data: bytes) -> None:
    """Replace the weights and bring the recorded hash along: only the content is wrong then."""
    path.write_bytes(data)
    describe_otherwise(path, {"sha256": sha256_bytes(data)})


def describe_otherwise(path: Path, change: dict[str, object]) -> None:
    """Change the description and its hash."""
    beside = path.with_suffix(".json")
    value = {**json.loads(beside.read_text()), **change}
    beside.write_text(json.dumps(_seal({key: item for key, item in value.items() if key != SEAL})))


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = CNN(SMALL, mean=torch.rand(16, 16), std=torch.tensor(2.0))
    path = tmp_path / "last.safetensors"
    digest = write_checkpoint(path, network, epoch=7)
    back = read_checkpoint(path)
    assert (back.epoch, back.sha256) == (7, digest)
    assert all(torch.equal(back.network.state_dict()[key], value) for key, value in network.state_dict().items())
    assert not back.network.training


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 0.999999), bit=st.integers(0, 7))
def test_one_flipped_bit_is_refused(checkpoint: Path, position: float, bit: int) -> None:
    good = checkpoint.read_bytes()
    data = bytearray(good)
    data[int(position * len(data))] ^= 1 << bit
    checkpoint.write_bytes(data)
    with pytest.raises(ModelError, match="SHA-256"):
        read_checkpoint(checkpoint)
    checkpoint.write_bytes(good)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.9999))
def test_a_truncated_checkpoint_is_refused_even_with_its_new_hash(checkpoint: Path, share: float) -> None:
    good, beside = checkpoint.read_bytes(), checkpoint.with_suffix(".json").read_bytes()
    rewrite(checkpoint, good[: int(share * len(good))])
    with pytest.raises(ModelError):
        read_checkpoint(checkpoint)
    checkpoint.write_bytes(good)
    checkpoint.with_suffix(".json").write_bytes(beside)


def header(entries: object, body: bytes = b"") -> bytes:
    text = (entries if isinstance(entries, str) else json.dumps(entries)).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (struct.pack("<Q", 2**63) + b"{}", "header too large"),
        (b"\0\0", "header too small"),
        (
            header(
                '{"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}, "a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
                b"1234",
            ),
            "stands twice",
        ),
        (header({"a": entry([2], 0, 8), "b": entry([1], 4, 8)}, bytes(8)), "invalid offset for tensor `b`"),
        (header({"a": entry([1], 0, 4), "b": entry([1], 8, 12)}, bytes(12)), "invalid offset for tensor `b`"),
        (header({"a": entry([1], 0, 4)}, bytes(8)), "file not fully covered"),
        (header({"a": entry([1], 0, 4, "Q8")}, bytes(4)), "unknown variant `Q8`"),
        (header({"a": entry([8], 0, 4, "F4")}, bytes(4)), "F4"),
        (header({"a": entry([2**40, 2**40], 0, 4)}, bytes(4)), "overflow"),
        (header({"a": entry([2], 0, 4)}, bytes(4)), "invalid"),
        (header({"a": entry([2**40], 0, 2**42)}, bytes(4)), "not fully covered"),
        (header({"a": entry([-1], 0, 4)}, bytes(4)), "expected usize"),
        (header({"a": entry([1], 0, 4), "b": 3}, bytes(4)), "invalid JSON"),
        (header("[" * 5000), "invalid JSON"),
    ],
)
def test_hostile_headers_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        load_tensors(data, {"a": (torch.float32, (1,))}, name="x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", ["missing", "extra", "shape", "dtype", "nan", "other network"])
def test_weights_of_another_kind_name_the_first_tensor(checkpoint: Path, fault: str) -> None:
    tensors = {f"network.{name}": value for name, value in CNN(SMALL).state_dict().items()}
    if fault == "missing":
        del tensors["network.stages.1.convs.0.bias"]
    elif fault == "extra":
        tensors["network.stages.2.convs.0.bias"] = torch.zeros(2)
    elif fault == "shape":
        tensors["network.stages.1.convs.0.bias"] = torch.zeros(3)
    elif fault == "dtype":
        tensors["network.stages.1.convs.0.bias"] = torch.zeros(2, dtype=torch.float64)
    elif fault == "nan":
        tensors["network.stages.1.convs.0.bias"] = torch.tensor([1.0, float("nan")])
    else:
        other = CNN(NetworkConfig(height=16, width=16, classes=4))
        tensors = {f"network.{name}": value for name, value in other.state_dict().items()}
    rewrite(checkpoint, save({name: value.contiguous() for name, value in tensors.items()}))
    with pytest.raises(ModelError, match=r"tensor 'network.(stages|mean)") as caught:
        read_checkpoint(checkpoint)
    if fault in {"missing", "shape", "dtype", "nan"}:
        assert "network.stages.1.convs.0.bias" in str(caught.value)


def test_a_pickle_is_refused_unexecuted(tmp_path: Path) -> None:
    marker = tmp_path / "executed"

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (marker,))

    for name in ("model.pt", "last.safetensors"):
        path = tmp_path / name
        path.write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(ModelError):
            read_checkpoint(path)
    assert not marker.exists()


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "other"}', '{"schema": "toolkit/checkpoint/1"}'])
def test_a_damaged_description_is_refused(checkpoint: Path, text: str) -> None:
    checkpoint.with_suffix(".json").write_text(text)
    with pytest.raises(ModelError):
        read_checkpoint(checkpoint)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": float("inf")},
        {"network": {**to_plain(SMALL), "hidden_units": 10**9}},
        {"network": {**to_plain(SMALL), "kernel_size": 4}},
        {"network": {"depth": 3}},
    ],
)
def test_a_description_that_lies_is_a_model_error_before_anything_is_allocated(
    checkpoint: Path, change: dict[str, object]
) -> None:
    describe_otherwise(checkpoint, change)
    with pytest.raises(ModelError) as caught:
        read_checkpoint(checkpoint)
    assert "SHA-256" not in str(caught.value)


def test_a_description_with_one_bit_flipped_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    training = TrainingTensors(description={"position": {"epoch": 2, "step": 13, "loss_sum": 0.5}, "seed": 1})
    write_checkpoint(path, CNN(SMALL), epoch=2, training=training)
    beside = path.with_suffix(".json")
    good = beside.read_bytes()
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        beside.write_bytes(bad)
        with pytest.raises(ModelError):
            _read_description(path)
    beside.write_bytes(good)
    assert read_checkpoint(path).training.description["seed"] == 1


def test_a_description_of_before_it_had_a_hash_is_read(checkpoint: Path) -> None:
    beside = checkpoint.with_suffix(".json")
    value = json.loads(beside.read_text())
    del value[SEAL]
    beside.write_text(json.dumps(value))
    assert read_checkpoint(checkpoint).epoch == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda value: value.update(data={}),
        lambda value: value.update(input={}),
        lambda value: value.update(classes=["a"]),
        lambda value: value.pop("training"),
        lambda value: value.update(schema="other"),
        lambda value: value.update(recipe=3),
        lambda value: value.update(extra=1),
        lambda value: value["data"].update(sha256=None),
        lambda value: value["data"].update(source=-1),
        lambda value: value["input"].update(height="28"),
        lambda value: value["training"].update(seed=True),
        lambda value: value["training"].update(cycles=[2, "x"]),
        lambda value: value["training"].update(cycles=[10**30]),
        lambda value: value["training"].update(threads="2"),
        lambda value: value["training"].pop("threads"),
    ],
)
def test_a_damaged_run_description_is_a_model_error(damage: Any, trained_run: Path, tmp_path: Path) -> None:
    value = json.loads((trained_run / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(value))
    assert len(read_run(tmp_path).classes) == 10
    damage(value)
    (tmp_path / "config.json").write_text(json.dumps(value))
    with pytest.raises(ModelError, match="config"):
        read_run(tmp_path)
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(ModelError):
        read_run(tmp_path)
