from __future__ import annotations

import csv
import io
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imaging_samples import encode
from machine import skip_where_cuda_works
from tiny_models import build_card, build_model, save_model

from toolkit.card import Card
from toolkit.durable import open_atomic
from toolkit.errors import DataError, ModelError, ProviderError, ResourceError, UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.prediction import execute as work_module
from toolkit.prediction.config import EngineChoice, PredictionConfig
from toolkit.prediction.pipeline.blocks import COLUMNS, Block, Row
from toolkit.prediction.pipeline.predictor import Predictor
from toolkit.prediction.run import run_prediction
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.registry import open_runtime

CARD = build_card()


class Bands:
    """A runner in NumPy with the arithmetic of the tiny model; it keeps what it was fed."""

    def __init__(self, *, num_bands: int = 3, spoil: Mapping[str, Any] | None = None) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self._num_bands = num_bands
        self._spoil = spoil or {}

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        images = feeds["images"]
        self.shapes.append(images.shape)
        bands = np.arange(images.shape[1]) * self._num_bands // images.shape[1]
        sums = [images[:, bands == number].sum(axis=(1, 2)) for number in range(self._num_bands)]
        logits = (np.stack(sums, axis=1) / 1024).astype(np.float32)
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        outputs = {
            "logits": logits,
            "probabilities": exponents / exponents.sum(axis=1, keepdims=True),
            "label": logits.argmax(axis=1),
        }
        return {**outputs, **{name: change(outputs[name]) for name, change in self._spoil.items()}}


def image_of(*, bright: int) -> np.ndarray:
    """An 8x8 image whose brightest band is `bright`."""
    image = np.full((8, 8), 10, np.uint8)
    image[[slice(0, 3), slice(3, 6), slice(6, 8)][bright]] = 200
    image[:, 0] = 0
    return image


def block_of(images: list[np.ndarray | None]) -> Block:
    usable = [number for number, image in enumerate(images) if image is not None]
    return Block(
        sources=["x"] * len(images),
        indices=np.arange(len(images)),
        images=np.array([images[number] for number in usable], np.uint8).reshape(len(usable), 8, 8),
        places=np.array(usable, np.int64),
        messages={number: "broken" for number, image in enumerate(images) if image is None},
    )


def predict(images: list[np.ndarray | None], *, batch: int = 4, runner: Any = None, card: Card = CARD) -> list[Row]:
    engine = Predictor(runner or Bands(), card, batch=batch, provider="cpu")
    return list(engine.answer(block_of(images)).rows())


def test_rows_name_the_class_its_probability_and_the_runtimes_margin() -> None:
    rows = predict([image_of(bright=0), image_of(bright=2), image_of(bright=1)])
    assert [row.label for row in rows] == ["top", "bottom", "middle"]
    expected = Bands().run({"images": np.stack([image_of(bright=0)])})
    first, second = np.sort(expected["logits"][0].astype(float))[::-1][:2]
    assert rows[0].margin == pytest.approx(first - second, rel=1e-12)
    assert rows[0].probability == expected["probabilities"][0].max()
    assert rows[0].probabilities == tuple(expected["probabilities"][0].tolist())
    assert {row.status for row in rows} == {"ok"}


def test_every_call_has_the_same_shape() -> None:
    runner = Bands()
    predict([image_of(bright=0)] * 10, batch=4, runner=runner)
    assert runner.shapes == [(4, 8, 8)] * 3


def test_bad_sample_is_one_error_row_in_its_place() -> None:
    rows = predict([image_of(bright=0), None, image_of(bright=2), None], batch=3)
    assert [(row.index, row.label, row.status) for row in rows] == [
        (0, "top", "ok"),
        (1, "", "error"),
        (2, "bottom", "ok"),
        (3, "", "error"),
    ]
    assert rows[1].message == "broken"
    assert rows[1].probability is None


def test_batch_of_bad_samples_only_runs_nothing() -> None:
    runner = Bands()
    assert [row.status for row in predict([None] * 5, batch=2, runner=runner)] == ["error"] * 5
    assert runner.shapes == []


def test_padding_of_the_last_batch_never_holds_an_older_image() -> None:
    seen: list[np.ndarray] = []

    class Keeper(Bands):
        def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            seen.append(feeds["images"].copy())
            return super().run(feeds)

    predict([image_of(bright=0)] * 5, batch=4, runner=Keeper())
    assert not seen[-1][1:].any()


def test_nan_answer_is_an_error_row_and_never_a_label() -> None:
    def spoil(logits: np.ndarray) -> np.ndarray:
        logits = logits.copy()
        logits[1, 0] = np.nan
        return logits

    rows = predict([image_of(bright=0)] * 3, runner=Bands(spoil={"logits": spoil}))
    assert [row.status for row in rows] == ["ok", "error", "ok"]
    assert "NaN" in rows[1].message


@pytest.mark.parametrize(
    ("output", "change"),
    [
        ("label", lambda labels: labels + 3),
        ("label", lambda labels: labels - 5),
        ("logits", lambda logits: logits[:, :2]),
        ("probabilities", lambda probabilities: probabilities[:-1]),
    ],
)
def test_answers_that_break_the_card_are_the_models_fault(output: str, change: Any) -> None:
    with pytest.raises(ModelError, match="card"):
        predict([image_of(bright=0)], runner=Bands(spoil={output: change}))


def test_one_class_has_no_margin() -> None:
    card = build_card(classes=("only",))
    (row,) = predict([image_of(bright=0)], runner=Bands(num_bands=1), card=card)
    assert (row.label, row.margin) == ("only", None)


@pytest.fixture(scope="module")
def tiny_session() -> Any:
    model = build_model(card=CARD).SerializeToString()
    source = ModelSource(model=model, sha256="0" * 64, path=Path("tiny.onnx"))
    with open_runtime(source, RuntimeSettings(threads=1)) as runtime:
        yield runtime


@settings(max_examples=30, deadline=None)
@given(
    pictures=st.lists(st.one_of(st.none(), st.integers(0, 2**32 - 1)), max_size=12),
    batches=st.tuples(st.integers(1, 13), st.integers(1, 13)),
)
def test_rows_do_not_depend_on_the_batch(
    tiny_session: Any, pictures: list[int | None], batches: tuple[int, int]
) -> None:
    images = [
        None if seed is None else np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
        for seed in pictures
    ]
    one, other = (predict(images, batch=batch, runner=tiny_session) for batch in batches)
    assert len(one) == len(images)
    assert [(row.index, row.label, row.status, row.margin) for row in one] == [
        (row.index, row.label, row.status, row.margin) for row in other
    ]
    assert np.allclose([row.probability or 0 for row in one], [row.probability or 0 for row in other], rtol=1e-6)


def test_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.csv"
    with open_atomic(path) as stream:
        stream.write(b"part")
        assert not path.exists()
    assert path.read_bytes() == b"part"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_failure_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"old")

    def write_half() -> None:
        with open_atomic(path) as stream:
            stream.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.csv"]
    assert path.read_bytes() == b"old"


def test_full_disk_is_a_resource_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="No space left"), open_atomic(tmp_path / "x.csv"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResourceError, match="cannot write"), open_atomic(tmp_path / "file" / "x.csv"):
        pass


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.png").write_bytes(encode(image_of(bright=number % 3)))
    return folder


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_prediction_of_a_folder_writes_one_row_per_image(tmp_path: Path, pictures: Path) -> None:
    model = save_model(tmp_path / "m.onnx")
    calls: list[int] = []
    config = PredictionConfig(model=model, inputs=(pictures,), output=tmp_path / "out.csv", batch=2, probabilities=True)
    report = run_prediction(config, progress=lambda done, _: calls.append(done))
    rows = read_rows(tmp_path / "out.csv")
    assert [row["label"] for row in rows] == ["top", "middle", "bottom", "top", "middle"]
    assert [Path(row["source"]).name for row in rows] == [f"{number}.png" for number in range(5)]
    assert list(rows[0]) == [*COLUMNS, "p_top", "p_middle", "p_bottom"]
    assert (report.num_ok, report.num_errors, report.provider_active, report.fallback) == (5, 0, "cpu", False)
    assert calls[-1] == 5
    report.raise_for_errors()
    record = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert record["schema"] == "toolkit/predictions/1"
    assert len(record["preview"]) == 5
    assert record["images_per_s"] > 0


def test_bad_file_is_one_row_and_the_rest_is_done(tmp_path: Path, pictures: Path) -> None:
    (pictures / "2.png").write_bytes(b"not an image")
    config = PredictionConfig(model=save_model(tmp_path / "m.onnx"), inputs=(pictures,), output=tmp_path / "out.csv")
    report = run_prediction(config)
    assert [row["status"] for row in read_rows(tmp_path / "out.csv")] == ["ok", "ok", "error", "ok", "ok"]
    with pytest.raises(DataError, match=r"1 of 5 rows has no prediction; the first: .*2\.png.*format not allowed"):
        report.raise_for_errors()


def test_hostile_names_keep_the_csv_readable(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    for name in (b'a\n"b,.png', b"c\xff.png"):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(encode(image_of(bright=0)))
    run_prediction(
        PredictionConfig(model=save_model(tmp_path / "m.onnx"), inputs=(folder,), output=tmp_path / "out.csv")
    )
    assert [Path(row["source"]).name for row in read_rows(tmp_path / "out.csv")] == ['a\n"b,.png', "c\\udcff.png"]


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_array_file_gives_as_many_rows_as_images(tmp_path: Path, rows: int) -> None:
    np.save(tmp_path / "x.npy", np.stack([image_of(bright=1)] * 3)[:rows])
    report = run_prediction(
        PredictionConfig(
            model=save_model(tmp_path / "m.onnx"), inputs=(tmp_path / "x.npy",), output=tmp_path / "out.csv"
        )
    )
    assert report.num_ok == rows
    report.raise_for_errors()
    assert [row["index"] for row in read_rows(tmp_path / "out.csv")] == [str(index) for index in range(rows)]


def test_output_that_exists_needs_force(tmp_path: Path, pictures: Path) -> None:
    model = save_model(tmp_path / "m.onnx")
    (tmp_path / "out.csv").write_text("old")
    config = {"model": model, "inputs": (pictures,), "output": tmp_path / "out.csv"}
    with pytest.raises(UsageError, match="--force"):
        run_prediction(PredictionConfig(**config))
    assert (tmp_path / "out.csv").read_text() == "old"
    assert run_prediction(PredictionConfig(**config, force=True)).num_ok == 5


def test_output_never_takes_the_place_of_an_input(tmp_path: Path, pictures: Path) -> None:
    model = save_model(tmp_path / "m.onnx")
    before = (pictures / "1.png").read_bytes()
    for output, inputs in (
        (pictures / "1.png", (pictures / "1.png",)),
        (pictures / "1.png", (pictures,)),
        (model, (pictures,)),
    ):
        with pytest.raises(UsageError, match="input"):
            run_prediction(PredictionConfig(model=model, inputs=inputs, output=output, force=True))
    assert (pictures / "1.png").read_bytes() == before
    assert model.stat().st_size > 0


def test_one_file_cannot_be_the_output_and_the_gallery_however_it_is_written(tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "folder").mkdir()
    output, gallery = tmp_path / "x.png", tmp_path / "folder" / ".." / "x.png"
    config = PredictionConfig(model=save_model(tmp_path / "m.onnx"), inputs=(pictures,), output=output, gallery=gallery)
    with pytest.raises(UsageError, match="both the output and the gallery"):
        run_prediction(config)


def test_strict_provider_is_refused_before_any_input_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("an input was opened")

    monkeypatch.setattr(work_module, "open_items", never)
    stream = io.BytesIO()
    config = PredictionConfig(
        model=save_model(tmp_path / "m.onnx"), inputs=(tmp_path,), engine=EngineChoice(provider="cuda")
    )
    skip_where_cuda_works()
    with pytest.raises(ProviderError, match="provider cuda is not"):
        run_prediction(config, stream=stream)
    assert stream.getvalue() == b""


def test_allowed_fallback_marks_every_row(tmp_path: Path, pictures: Path) -> None:
    skip_where_cuda_works()
    config = PredictionConfig(
        model=save_model(tmp_path / "m.onnx"),
        inputs=(pictures,),
        engine=EngineChoice(provider="cuda", allow_fallback=True),
        output=tmp_path / "out.csv",
    )
    report = run_prediction(config)
    assert report.fallback
    assert "cuda" in report.fallback_reason
    assert {(row["provider"], row["status"]) for row in read_rows(tmp_path / "out.csv")} == {("cpu", "fallback")}


def test_auto_goes_on_and_says_what_it_passed_over(tmp_path: Path, pictures: Path) -> None:
    skip_where_cuda_works()
    config = PredictionConfig(
        model=save_model(tmp_path / "m.onnx"),
        inputs=(pictures,),
        engine=EngineChoice(provider="auto"),
        output=tmp_path / "out.csv",
    )
    report = run_prediction(config)
    assert (report.provider_active, report.fallback, report.num_ok) == ("cpu", False, 5)
    assert report.notes[0].startswith("auto passed over cuda: ")


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": ()},
        {"batch": -1},
        {"batch": 65_537},
        {"executor": "spark"},
        {"processes": -1},
        {"resume": True},
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        PredictionConfig(**{"model": Path("m.onnx"), "inputs": (Path("x"),), **changes})
