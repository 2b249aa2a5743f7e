"""`--runtime auto`: the fastest engine that answers right, remembered; real answers, a stopwatch that is told."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from tiny_models import build_card, build_model, save_model

import toolkit
from toolkit.card import Golden
from toolkit.errors import ModelError, UsageError, WorkerError
from toolkit.onnx_file.source import ModelSource
from toolkit.prediction import engine_trials, fastest
from toolkit.prediction.config import EngineChoice
from toolkit.prediction.fastest import FastestEngine, find_fastest
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.registry import open_runtime
from toolkit.runtimes.timing.plan import Window
from toolkit.runtimes.workers import probe

TOLERANCE = 1e-4
IMAGES = np.random.default_rng(0).integers(0, 256, (16, 8, 8), np.uint8)
BANDS = np.arange(8) * 3 // 8
LOGITS = np.stack([IMAGES[:, band == BANDS].sum(axis=(1, 2), dtype=np.float64) / 1024 for band in range(3)], axis=1)
GOLDEN = Golden(
    origin="synthetic",
    images=IMAGES.tobytes(),
    shape=IMAGES.shape,
    logits=tuple(map(tuple, LOGITS.tolist())),
    tolerance=TOLERANCE,
)


class Timed:
    """ONNX Runtime's own answers, off by so much, and the rate that it is told."""

    def __init__(self, source: ModelSource, *, rate: float, error: float) -> None:
        self._runtime, self._rate, self._error = open_runtime(source, RuntimeSettings()), rate, error
        self.info = self._runtime.info

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runtime.close()

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        answers = self._runtime.run(feeds)
        return answers | {"logits": answers["logits"] + np.float32(self._error)}

    def measure(self, feeds: Mapping[str, Any], plan: Any) -> Window:
        samples = np.full(plan.min_calls, round(len(feeds["images"]) * 1e9 / self._rate), np.int64)
        return Window(0, samples, samples, {})


class Engines:
    """An opener of engines by name and precision (`int8` by the file's name); keeps what was opened."""

    def __init__(self, told: Mapping[tuple[str, str], tuple[float, float] | Exception]) -> None:
        self.told, self.opened = told, 0

    def __call__(self, source: ModelSource, settings: RuntimeSettings, **_: Any) -> Any:
        self.opened += 1
        precision = "int8" if ".int8." in source.path.name else settings.precision
        found = self.told[settings.runtime, precision]
        if isinstance(found, Exception):
            raise found
        return Timed(source, rate=found[0], error=found[1])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_model(tmp_path / "m.onnx", golden=GOLDEN, polarity="any")


@pytest.fixture(autouse=True)
def _two_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_trials, "ENGINES", ("ort", "openvino"))
    monkeypatch.setattr(engine_trials, "is_installed", lambda _: True)


def _find(model: Path, engines: Engines, choice: EngineChoice | None = None, **options: Any) -> FastestEngine:
    source = ModelSource.read(model)
    return find_fastest(source, choice or EngineChoice(), opener=engines, **{"batch": 64, **options})


def _two(ort: float | Exception, openvino: float | Exception, *, error: float = 0.0) -> Engines:
    given = {("ort", "fp32"): ort, ("openvino", "fp32"): openvino}
    return Engines({name: it if isinstance(it, Exception) else (it, error) for name, it in given.items()})


def test_the_fastest_is_taken_and_a_tie_goes_to_the_first(model: Path) -> None:
    found = _find(model, _two(1000.0, 2000.0))
    assert (found.runtime, found.precision, found.model) == ("openvino", "fp32", model)
    assert [item.runtime for item in found.tried] == ["openvino", "ort"]
    taken = "runtime auto runs m.onnx on openvino; images/s of the engine alone, measured now: "
    assert found.describe() == [f"{taken}openvino in fp32 2,000, ort in fp32 1,000"]
    assert _find(model, _two(1000.0, 1030.0), batch=32).runtime == "ort"


def test_what_answers_wrongly_or_crashes_is_left_out_and_told(model: Path) -> None:
    wrong = Engines({("ort", "fp32"): (1000.0, 0.0), ("openvino", "fp32"): (9000.0, 2 * TOLERANCE)})
    found = _find(model, wrong)
    assert found.runtime == "ort"
    assert "left out openvino in fp32 (golden vectors: `logits` differ by 0.0002 at image" in found.describe()[1]
    crashed = _two(1000.0, WorkerError("the engine was ended by SIGSEGV"))
    assert _find(model, crashed, batch=32).describe()[1] == (
        "runtime auto left out openvino in fp32 (the engine was ended by SIGSEGV)"
    )


def test_where_none_can_be_taken_the_first_ones_reason_is_raised(model: Path) -> None:
    with pytest.raises(ModelError, match="golden vectors: `logits` differ"):
        _find(model, _two(1000.0, 2000.0, error=1.0))


def test_it_is_remembered_for_the_same_file_engines_batch_threads_and_packages(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = _two(1000.0, 2000.0)
    first, again = _find(model, engines), _find(model, engines)
    assert (engines.opened, first.is_remembered, again.is_remembered) == (2, False, True)
    assert again.tried == first.tried
    assert "as remembered: openvino" in again.describe()[0]
    _find(model, engines, batch=65)
    _find(model, engines, EngineChoice(threads=1))
    monkeypatch.setattr(probe, "_installed_packages", lambda: ["openvino-2099.1.dist-info"])
    _find(model, engines)
    monkeypatch.setattr(fastest, "describe_cpu", lambda: {"model": "another"})
    _find(model, engines)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    _find(model, engines)
    save_model(model, golden=GOLDEN, author="another")
    _find(model, engines)
    assert engines.opened == 14
    assert _find(model, engines).is_remembered


def _torn(_: dict[str, Any]) -> str:
    return '{"identity": {'


def _changed(**values: Any) -> Callable[[dict[str, Any]], str]:
    def change(record: dict[str, Any]) -> str:
        record["tried"][1] |= values
        return json.dumps(record)

    return change


def _of_others(record: dict[str, Any]) -> str:
    return json.dumps(record | {"identity": record["identity"] | {"batch": 1}})


@pytest.mark.parametrize(
    "spoil",
    [
        _torn,
        _of_others,
        _changed(images_per_s="fast"),
        _changed(images_per_s=math.nan),
        _changed(images_per_s=-1.0),
        _changed(runtime="tvm"),
        _changed(colour="red"),
        lambda record: json.dumps(record | {"tried": record["tried"][:1]}),
        lambda record: json.dumps(record | {"tried": 7}),
        lambda _: "[]",
    ],
)
def test_a_memory_that_is_torn_or_of_something_else_is_measured_anew(
    model: Path, spoil: Callable[[dict[str, Any]], str]
) -> None:
    engines = _two(1000.0, 2000.0)
    _find(model, engines)
    (record,) = (fastest.cache_folder() / "fastest").iterdir()
    record.write_text(spoil(json.loads(record.read_text())))
    found = _find(model, engines)
    assert (engines.opened, found.is_remembered, found.runtime) == (4, False, "openvino")
    assert _find(model, engines).is_remembered


def test_bfloat16_is_tried_where_it_is_allowed_and_held_to_its_own_bound(model: Path) -> None:
    told = {("ort", "fp32"): (1000.0, 0.0), ("openvino", "fp32"): (900.0, 0.0)}
    rounded = Engines({**told, ("openvino", "bf16"): (3000.0, 100 * TOLERANCE)})
    assert _find(model, rounded).runtime == "ort"
    found = _find(model, rounded, allow_bf16=True)
    assert (found.runtime, found.precision) == ("openvino", "bf16")
    wrong = Engines({**told, ("openvino", "bf16"): (3000.0, 2**17 * TOLERANCE)})
    assert _find(model, wrong, allow_bf16=True, batch=32).runtime == "ort"


def _save_quantised(model: Path, **changes: Any) -> None:
    card = build_card(**{"precision": "int8", "golden": GOLDEN, **changes})
    model.with_name("m.int8.onnx").write_bytes(build_model(card=card).SerializeToString())


def test_the_quantised_file_is_run_where_it_is_allowed_and_was_derived_from_the_model(model: Path) -> None:
    told = {("ort", "fp32"): (1000.0, 0.0), ("openvino", "fp32"): (900.0, 0.0), ("ort", "int8"): (3000.0, 0.0)}
    engines = Engines({**told, ("openvino", "int8"): WorkerError("the engine was ended by SIGSEGV")})
    with pytest.raises(UsageError, match=r"no m\.int8\.onnx beside the model; make it with: toolkit export"):
        _find(model, engines, allow_int8=True)
    _save_quantised(model, derived_from_sha256=ModelSource.read(model).sha256)
    found = _find(model, engines, allow_int8=True)
    assert (found.runtime, found.precision, found.model.name) == ("ort", "fp32", "m.int8.onnx")
    _save_quantised(model, derived_from_sha256="0" * 64)
    found = _find(model, engines, allow_int8=True)
    assert found.model == model
    assert "ort in int8 (m.int8.onnx was not derived from this m.onnx)" in found.describe()[1]


def test_what_leaves_no_choice_is_refused(model: Path, tmp_path: Path) -> None:
    engines = _two(1000.0, 2000.0)
    with pytest.raises(UsageError, match="for --provider cuda name the engine"):
        _find(model, engines, EngineChoice(provider="cuda"))
    with pytest.raises(UsageError, match="instead of --precision bf16"):
        _find(model, engines, EngineChoice(precision="bf16"))
    with pytest.raises(UsageError, match=r"needs golden vectors, and plain\.onnx carries none"):
        _find(save_model(tmp_path / "plain.onnx"), engines)
    picture = np.zeros((8, 8), np.uint8)
    with pytest.raises(UsageError, match="are what runtime= auto may choose"):
        toolkit.predict(model, picture, allow_bf16=True)
    with pytest.raises(UsageError, match="name the engine for"):
        toolkit.predict(model, [tmp_path], output=tmp_path / "o.csv", runtime="auto", executor="ray")


def test_a_prediction_by_the_real_engine_tells_what_was_tried(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_trials, "ENGINES", ("ort", "plain-c"))
    monkeypatch.setattr(engine_trials, "is_installed", lambda name: name == "ort")
    np.save(tmp_path / "images.npy", IMAGES)
    output = tmp_path / "rows.csv"
    report = toolkit.predict(model, tmp_path / "images.npy", output=output, runtime="auto")
    told = report.to_json()
    assert (report.runtime, told["runtime"], len(told["engines"])) == ("ort", "ort", 1)
    assert told["engines"][0]["images_per_s"] > 0
    assert report.notes[0].startswith(
        "runtime auto runs m.onnx on ort; images/s of the engine alone, measured now: ort"
    )
    with pytest.raises(UsageError, match="exists"):
        toolkit.predict(model, tmp_path / "images.npy", output=output, runtime="auto")
    answers = toolkit.predict(model, IMAGES, runtime="auto")
    assert answers.class_indices.tolist() == LOGITS.argmax(axis=1).tolist()
