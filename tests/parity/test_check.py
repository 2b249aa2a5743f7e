"""A whole check, with an engine of fifteen lines in place of every worker."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from fake_engine import make_info
from tiny_models import build_card

from toolkit.artifacts import ArtifactStore
from toolkit.card import CARD_KEY, Card
from toolkit.closing import Closing
from toolkit.data.dataset import Dataset, Split
from toolkit.errors import DataError, UsageError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.check import ParityListener, ParityOptions, check_parity
from toolkit.parity.config import ParityConfig
from toolkit.parity.diagnosis.replay import read_sample, replay_sample
from toolkit.parity.report import ParityReport
from toolkit.parity.subject import Subject
from toolkit.runtimes.base import RuntimeSettings

CARD = build_card()
INFO = make_info(
    metadata={CARD_KEY: CARD.dumps()},
    outputs=(
        TensorSpec(name="logits", dtype="float32", shape=("batch", 3)),
        TensorSpec(name="probabilities", dtype="float32", shape=("batch", 3)),
        TensorSpec(name="label", dtype="int64", shape=("batch",)),
    ),
)
SOURCE = ModelSource.in_memory(b"no model: nobody parses it", Path("tiny.onnx"))
ORT = ParityConfig(runtimes=("ort",), small_batches=(3,), small_count=7)


class Bands(Closing):
    """Adds up three bands of an image: in float64 where that is asked for, else in float32."""

    info, model_summary, notes = INFO, {}, ()

    def __init__(self, _: ModelSource, settings: RuntimeSettings, **__: Any) -> None:
        self.settings = settings

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        wide = np.stack([band.mean(axis=(1, 2)) for band in np.array_split(feeds["images"] / 255, 3, axis=1)], axis=1)
        kind = np.float64 if self.settings.runtime.startswith("onnx") else np.float32
        logits = self.spoil(wide.astype(kind))
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        sigma = {"rounding_sigma": np.full(wide.shape, 1e-6)} if self.settings.runtime == "onnx-float64" else {}
        return {"logits": logits, "probabilities": shares, "label": logits.argmax(axis=1), **sigma}

    def spoil(self, logits: Any) -> Any:
        return logits


class Careless(Bands):
    def spoil(self, logits: Any) -> Any:
        is_optimised = self.settings.runtime == "ort" and self.settings.optimisation == "all"
        return logits * np.float32(1.01) if is_optimised else logits


class Images(ParityListener):
    """Hands out noise, and keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, words: str) -> None:
        self.told.append(words)

    def load_images(self, card: Card, recorded: Any) -> Dataset:
        self.told.append(f"images like {recorded['name']}")
        images = np.random.default_rng(0).integers(0, 256, (20, *card.input.shape), np.uint8)
        split = Split(images=images, labels=np.zeros(20, np.int64))
        return Dataset(name="noise", train=split, test=split, classes=card.classes, licence="CC0-1.0")


def check(
    folder: Path,
    engine: Any = Bands,
    config: ParityConfig = ORT,
    listener: ParityListener | None = None,
    **options: Any,
) -> ParityReport:
    return check_parity(
        SOURCE,
        config,
        options=ParityOptions(**options),
        store=ArtifactStore(root=folder),
        opener=engine,
        listener=listener or Images(),
    )


def test_every_setting_is_a_row_held_against_the_files_own_float64(tmp_path: Path) -> None:
    listener = Images()
    report = check(tmp_path, listener=listener)
    assert [row.reason for row in report.rows] == [None] * 4
    assert report.passed
    assert (report.reference, report.data["name"]) == ("onnx-float64", "noise")
    assert [(row.threads, row.optimisation) for row in report.rows] == [
        (0, "all"),
        (0, "none"),
        (1, "all"),
        (1, "none"),
    ]
    assert {row.batch_sizes for row in report.rows} == {(64, 3)}
    assert "cpu" in report.environment
    assert listener.told[0].startswith("the run that this model came from is not here")
    assert listener.told[1:] == ["images like none"]


def test_a_wrong_engine_fails_in_its_own_rows_and_its_sample_fails_again(tmp_path: Path) -> None:
    report = check(tmp_path, Careless, worst=tmp_path / "worst")
    assert [row.status for row in report.rows] == ["fail", "pass", "fail", "pass"]
    assert "graph optimisation: with --optimisation none the row passes" in report.rows[0].causes
    sample = read_sample(Path(report.rows[0].worst_files["replay"]))
    assert not replay_sample(sample, SOURCE, opener=Careless).passed
    assert replay_sample(sample, SOURCE, opener=Bands).passed


def test_a_recording_brings_its_images_and_answers_and_the_machine_that_made_them(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    made = check(tmp_path, record=proof)
    listener = Images()
    again = check(tmp_path, listener=listener, against=proof)
    assert listener.told == []
    assert (again.passed, again.bound, again.recorded_on) == (True, made.bound, made.environment)


def test_what_the_listener_refuses_ends_the_check_before_anything_is_judged(tmp_path: Path) -> None:
    class Refuses(ParityListener):
        def accept(self, subject: Subject) -> None:
            assert subject.card == CARD
            raise UsageError("not this one")

    with pytest.raises(UsageError, match="not this one"):
        check(tmp_path, listener=Refuses())


def test_a_silent_listener_loads_what_the_card_names_and_refuses_other_data(tmp_path: Path) -> None:
    data = {**CARD.data, "name": "mnist-mini"}
    info = make_info(metadata={CARD_KEY: build_card(data=data).dumps()}, outputs=INFO.outputs)
    other = type("Other", (Bands,), {"info": info})
    with pytest.raises(DataError, match="tiny was made with mnist-mini of SHA-256 0000"):
        check(tmp_path, other, listener=ParityListener())


def test_a_budget_of_no_time_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="--budget is 0"):
        ParityOptions(budget_s=0.0)


class Interrupted(Bands):
    """Somebody presses Ctrl-C while the third row is judged."""

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        if (self.settings.runtime, self.settings.threads, self.settings.optimisation) == ("ort", 1, "all"):
            raise KeyboardInterrupt
        return super().run(feeds)


def test_an_interrupt_keeps_the_rows_that_are_finished_and_is_no_pass(tmp_path: Path) -> None:
    config = ParityConfig(runtimes=("ort",), threads=(0, 1), optimisations=("basic", "all"), small_batches=(3,))
    whole = check(tmp_path, engine=Bands, config=config)
    keys = [(row.threads, row.optimisation) for row in whole.rows]
    before = keys.index((1, "all"))
    report = check(tmp_path, engine=Interrupted, config=config)
    assert [(row.threads, row.optimisation) for row in report.rows] == keys[:before]
    assert report.is_interrupted
    written = report.to_json()
    assert (written["interrupted"], written["passed"], "is_interrupted" in written) == (True, False, False)
    assert report.verdict == "undecided"
    with pytest.raises(KeyboardInterrupt):  # in the first row: there is nothing to keep
        check(
            tmp_path, engine=Interrupted, config=ParityConfig(runtimes=("ort",), threads=(1,), optimisations=("all",))
        )


def test_the_images_that_a_row_has_answered_are_told_up_to_all_of_them(tmp_path: Path) -> None:
    seen: dict[str, list[tuple[float, float | None]]] = {}

    class Watching(Images):
        def progress(self, label: str, *, unit: str = "") -> Any:
            def tell(done: float, total: float | None) -> None:
                seen.setdefault(f"{label} [{unit}]", []).append((done, total))

            return nullcontext(tell)

    report = check(
        tmp_path, config=ParityConfig(runtimes=("ort",), threads=(1,), small_batches=(3,)), listener=Watching()
    )
    told = seen["ort on cpu [images]"]
    (total,) = {total for _, total in told}
    per_row = sum(suite["images"] for suite in report.rows[0].suites.values())
    assert total is not None
    assert total >= per_row
    assert max(done for done, _ in told) < total
    assert len({done for done, _ in told}) > len(report.rows[0].suites)


class InTurn(Bands):
    """Notes what the first engine was asked before the second one is opened."""

    asked: ClassVar[list[int]] = []
    before: ClassVar[list[int]] = []
    second: ClassVar[threading.Event] = threading.Event()

    def __init__(self, source: ModelSource, settings: RuntimeSettings, **limits: Any) -> None:
        super().__init__(source, settings, **limits)
        if settings == RuntimeSettings(threads=1):
            self.before.extend(self.asked)
            self.second.set()

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        if self.settings == RuntimeSettings():
            self.asked.append(len(feeds["images"]))
            assert len(feeds["images"]) != 3 or self.second.wait(20), "the second engine waits for the first"
        return super().run(feeds)


def test_an_engine_is_opened_while_the_one_before_it_is_judged_but_not_while_that_is_timed(tmp_path: Path) -> None:
    report = check(tmp_path, InTurn, replace(ORT, threads=(0, 1), optimisations=("all",), small_count=3))
    assert [(row.threads, row.status) for row in report.rows] == [(0, "pass"), (1, "pass")]
    assert InTurn.before[:4] == [20, 20, 20, 20]
