"""Parity through a server: right answers pass, alone and under load; each planted fault is caught."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oip.double import Model, open_double
from oip.faults import FAULTS, LOADED_ONLY, rewrite_weights
from oip.onnx_model import load_onnx

from toolkit.card import Card
from toolkit.data.load import load_mini
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.check import record_reference
from toolkit.parity.config import ParityConfig
from toolkit.parity.matrix import judge_matrix
from toolkit.parity.recording import Recording
from toolkit.parity.report import ParityRow
from toolkit.parity.subject import require_providers
from toolkit.parity.variants import LOAD
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.registry import open_runtime

# More than a full batch, and a rest.
SAMPLE = 70


@pytest.fixture(scope="module")
def proof(model_path: Path, trained_run: Path) -> tuple[Recording, Card]:
    """The reference of the product's file, computed once, and its card."""
    source, config = ModelSource.read(model_path, run=trained_run), ParityConfig(sample=SAMPLE)
    card = require_providers(source, config).card
    assert card is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolkit.parity.references.images.NOISE_COUNT", 16)
        return record_reference(source, load_mini(), config=config, card=card), card


@pytest.fixture(scope="module")
def served(model_path: Path) -> Model:
    """The product's file as the double serves it."""
    return load_onnx(model_path)


@contextlib.contextmanager
def _here(source: ModelSource, settings: RuntimeSettings, **_: Any) -> Iterator[Any]:
    """Open a runtime in this process: a client of a server needs no worker to be kept from crashing."""
    with open_runtime(source, settings) as runtime:
        yield runtime


def judge(model: Model, path: Path, proof: tuple[Recording, Card], runtime: str = "oip-http") -> dict[int, ParityRow]:
    """Return the rows of a double that serves this, by how many requests it got at once."""
    recording, card = proof
    if runtime == "oip-grpc":
        pytest.importorskip(
            "tritonclient.grpc", reason="the extra `kits` is not installed, whose messages the double speaks"
        )
        from oip.over_grpc.double import open_grpc_double as opening
    else:
        opening = open_double
    with opening(replace(model, name=path.stem)) as double:
        config = ParityConfig(
            runtimes=(runtime,),
            at=double.url,
            threads=(0,),
            optimisations=("all",),
            small_batches=(1, 3),
            small_count=4,
        )
        source = ModelSource.read(path)
        report = judge_matrix(source, recording, config=config, precision=card.precision, opener=_here)
        return {row.runs_at_once: row for row in report.rows}


@pytest.mark.parametrize("runtime", ["oip-http", "oip-json", "oip-grpc"])
def test_right_answers_pass_alone_and_under_load(
    runtime: str, served: Model, model_path: Path, proof: tuple[Recording, Card]
) -> None:
    rows = judge(served, model_path, proof, runtime)
    assert list(rows) == [1, LOAD]
    for row in rows.values():
        assert (row.status, row.reason, row.provider) == ("pass", None, "remote")
        assert row.batch_sizes == (64, 1, 3)
        assert row.version == "double 1.0"


@pytest.mark.parametrize("runtime", ["oip-http", "oip-grpc"])
@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_caught(
    runtime: str, fault: str, served: Model, model_path: Path, proof: tuple[Recording, Card]
) -> None:
    rows = judge(replace(served, run=FAULTS[fault](served.run)), model_path, proof, runtime)  # type: ignore[arg-type]
    assert "fail" in {row.status for row in rows.values()}, rows
    assert (rows[1].status == "pass") == (fault in LOADED_ONLY), rows[1]


def _other_weights(array: Any) -> Any:
    return array * np.random.default_rng(0).normal(1, 0.01, array.shape)


def _eight_bits(array: Any) -> Any:
    step = np.abs(array).max() / 127
    return np.round(array / step) * step


@pytest.mark.parametrize("change", [_other_weights, _eight_bits], ids=["another checkpoint", "int8 for float32"])
def test_other_weights_are_caught(
    change: Callable[[Any], Any], model_path: Path, proof: tuple[Recording, Card], tmp_path: Path
) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(rewrite_weights(model_path.read_bytes(), change))
    rows = judge(load_onnx(other), model_path, proof)
    assert {row.status for row in rows.values()} == {"fail"}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("id", "the answer is of request"),
        ("model", "the answer is of request"),
        ("datatype", "comes as FP64"),
        ("unknown", "comes as"),
        ("missing", "the outputs are"),
        ("short", "cannot be read"),
        ("shape", "cannot be read"),
        ("long", "behind the last output"),
    ],
)
def test_answer_that_breaks_the_protocol_is_a_failed_row(
    fault: str, words: str, served: Model, model_path: Path, proof: tuple[Recording, Card]
) -> None:
    recording, card = proof

    def rewrite(document: dict[str, Any], tensors: list[bytes]) -> None:
        first = document["outputs"][0]
        changes: dict[str, Callable[[], Any]] = {
            "id": lambda: document.update(id="another"),
            "model": lambda: document.update(model_name="another"),
            "datatype": lambda: first.update(datatype="FP64"),
            "unknown": lambda: first.update(name="another"),
            "missing": lambda: (document["outputs"].pop(0), tensors.pop(0)),
            "short": lambda: first["parameters"].update(binary_data_size=3),
            "shape": lambda: first.update(shape=[7]),
            "long": lambda: tensors.append(b"\x00"),
        }
        changes[fault]()

    with open_double(replace(served, name=model_path.stem)) as double:
        double.rewrite = rewrite
        config = ParityConfig(runtimes=("oip-http",), at=double.url, small_batches=(1,), small_count=1)
        judging = partial(judge_matrix, config=config, precision=card.precision, opener=_here)
        for row in judging(ModelSource.read(model_path), recording).rows:
            assert row.status == "fail"
            assert words in str(row.reason)
