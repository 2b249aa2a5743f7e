"""Clean, corrupted and foreign images judged by one or two models; UCI's digits."""

from __future__ import annotations

import builtins
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import corrupted
import numpy as np
import pytest
from corruptions import judging
from corruptions.families import FAMILIES, corrupt_images
from corruptions.judging import judge_corruptions
from corruptions.showing import describe_corruptions, draw_corruptions
from corruptions.uci_digits import explain_unfit, load_uci_digits
from PIL import Image

from toolkit.card import InputSpec
from toolkit.data.dataset import Split
from toolkit.data.load import load_mini
from toolkit.errors import DataError, ModelError, ResourceError
from toolkit.evaluation.candidate import Candidate, CandidateAnswers

GREY = InputSpec(height=28, width=28, channels=1, polarity="light-on-dark", fit="mnist")


class Sides(Candidate):
    """Tells bright left halves from bright right ones, and is right unless told otherwise."""

    kind = "run"

    def __init__(self, *, classes: tuple[str, ...] = ("left", "right"), wrong_share: float = 0.0) -> None:
        self.name, self.identity, self.data = "sides", {"run": "sides"}, {"name": "halves", "sha256": ""}
        self.classes, self.input, self.wrong_share, self.seen = classes, GREY, wrong_share, 0

    def _answer(self, images: np.ndarray) -> CandidateAnswers:
        labels = (images[:, :, 14:].mean(axis=(1, 2)) > images[:, :, :14].mean(axis=(1, 2))).astype(np.int64)
        labels[: round(self.wrong_share * len(labels))] ^= 1
        self.seen += len(images)
        return CandidateAnswers(np.full((len(images), len(self.classes)), 0.5, np.float32), labels)


def halves(count: int = 60) -> Split:
    labels = np.arange(count, dtype=np.int64) % 2
    images = np.zeros((count, 28, 28), np.uint8)
    images[labels == 0, 6:22, 4:12] = images[labels == 1, 6:22, 16:24] = 200
    return Split(images=images, labels=labels)


def test_every_family_is_judged_and_foreign_digits_say_why_not() -> None:
    candidate = Sides()
    report = judge_corruptions(candidate, halves(), dataset="halves")
    assert [row.family for row in report.rows] == ["clean", *FAMILIES, "uci-digits"]
    assert candidate.seen == 12 * 60
    value = report.to_json()
    assert value["schema"] == "toolkit/corruptions/2"
    assert value["rows"][0]["accuracy"] == 1.0
    assert value["rows"][1]["severity"] == dict(FAMILIES["noise"].severity)
    assert value["rows"][1]["p_value"] is None
    skipped = value["rows"][-1]
    assert (skipped["status"], skipped["accuracy"]) == ("skip", None)
    assert "the digits 0 to 9" in skipped["reason"]
    by_family = [row["accuracy"] for row in value["rows"][1:-1] if row["family"] != "blur"]
    assert value["summary"]["mean_accuracy"] == pytest.approx(sum(by_family) / 10)
    assert any("uci-digits skipped" in line for line in describe_corruptions(report, names=("a", None)))


def test_a_worse_rival_is_seen_in_every_family_and_mirrored() -> None:
    data, good, bad = halves(), Sides(), Sides(wrong_share=0.5)
    there = judge_corruptions(good, data, dataset="halves", rival=bad)
    back = judge_corruptions(bad, data, dataset="halves", rival=good)
    assert there.rows[0].verdict == "better"
    assert there.summarise()["better"] == back.summarise()["worse"] >= 8
    assert there.summarise()["mean_accuracy"] == back.summarise()["mean_accuracy_against"]
    for one, other in zip(there.to_json()["rows"], back.to_json()["rows"], strict=True):
        assert one["p_value"] == other["p_value"]
    even = judge_corruptions(good, data, dataset="halves", rival=Sides()).summarise()
    assert (even["better"], even["worse"], even["undecided"]) == (0, 0, 11)


def test_one_family_of_eleven_at_three_percent_is_what_chance_gives() -> None:
    class Sure(Sides):
        def _answer(self, images: np.ndarray) -> CandidateAnswers:
            return CandidateAnswers(np.full((len(images), 2), 0.5, np.float32), halves(len(images)).labels)

    class Slips(Sure):
        """Wrong on six images of the first family alone."""

        calls = 0

        def _answer(self, images: np.ndarray) -> CandidateAnswers:
            answers = super()._answer(images)
            self.calls += 1
            answers.labels[: 6 * (self.calls == 2)] ^= 1
            return answers

    report = judge_corruptions(Sure(), halves(), dataset="halves", rival=Slips())
    row = report.to_json()["rows"][1]
    assert (row["p_value"], row["p_holm"], row["verdict"]) == (2 / 64, 11 * 2 / 64, "undecided")
    assert report.summarise()["better"] == 0
    assert "corrected for 11 of them by Holm" in describe_corruptions(report, names=("a", "b"))[1]
    assert report.rows[0].p_holm is None  # the clean images are a question of their own


def test_a_model_is_judged_on_the_very_images_that_the_seed_gives() -> None:
    class Remembering(Sides):
        def _answer(self, images: np.ndarray) -> CandidateAnswers:
            seen.append(images)
            return super()._answer(images)

    seen: list[np.ndarray] = []
    data = halves()
    judge_corruptions(Remembering(), data, dataset="halves", seed=5)
    expected = [data.images, *(corrupt_images(data.images, name, seed=5) for name in FAMILIES)]
    assert len(seen) == len(expected)
    assert all((got == want).all() for got, want in zip(seen, expected, strict=True))


def test_data_that_does_not_fit_is_refused_before_any_work() -> None:
    candidate = Sides(classes=("left", "middle"))
    with pytest.raises(DataError, match="does not know: right"):
        judge_corruptions(Sides(), halves(), dataset="halves", rival=candidate)
    assert candidate.seen == 0
    candidate.input = InputSpec(height=20, width=28, channels=1)
    with pytest.raises(DataError, match=r"takes images of \[20, 28\]"):
        judge_corruptions(Sides(), halves(), dataset="halves", rival=candidate)


def test_a_rival_with_its_classes_in_another_order_is_as_good() -> None:
    class Turned(Sides):
        def _answer(self, images: np.ndarray) -> CandidateAnswers:
            answers = super()._answer(images)
            return CandidateAnswers(answers.probabilities, 1 - answers.labels)

    report = judge_corruptions(Sides(), halves(), dataset="halves", rival=Turned(classes=("right", "left")))
    assert report.rows[0].against is not None
    assert report.rows[0].against.accuracy == 1.0


@pytest.mark.parametrize(("probability", "label"), [(float("nan"), 0), (0.5, 2), (0.5, -1)])
def test_an_answer_that_is_none_is_refused(probability: float, label: int) -> None:
    class Broken(Sides):
        def _answer(self, images: np.ndarray) -> CandidateAnswers:
            answers = super()._answer(images)
            answers.probabilities[3] = probability
            answers.labels[3] = label
            return answers

    with pytest.raises(ModelError, match="image 3"):
        Broken().answer(halves().images)


@pytest.mark.slow
def test_uci_digits_are_placed_as_mnist_places_them() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: dev)")
    split = load_uci_digits(GREY)
    assert split.images.shape == (1797, 28, 28)
    assert np.bincount(split.labels).min() > 170
    ink = split.images > 50
    heights = ink.any(axis=2).sum(axis=1)
    assert heights.max() <= 20
    assert np.median(heights) >= 19
    mass = split.images.astype(float)
    centres = (mass.sum(axis=2) @ np.arange(28)) / mass.sum(axis=(1, 2))
    assert np.abs(centres - 14).max() <= 1
    inked = InputSpec(height=28, width=28, channels=1, polarity="dark-on-light", fit="mnist")
    assert (load_uci_digits(inked).images == 255 - split.images).all()


def test_only_models_of_grey_digits_meet_uci_digits() -> None:
    assert explain_unfit(tuple("0123456789"), GREY) is None
    assert "0 to 9" in str(explain_unfit(("cat", "dog"), GREY))
    assert "3 channels" in str(explain_unfit(tuple("0123456789"), InputSpec(height=28, width=28, channels=3)))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """FAULTS 36."""
    real = builtins.__import__

    def without_sklearn(name: str, *arguments: Any, **options: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "sklearn":
            raise ImportError("No module named 'sklearn'", name="sklearn")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_sklearn)
    with pytest.raises(ResourceError, match="pip install scikit-learn"):
        load_uci_digits(GREY)
    digits = tuple("0123456789")
    row = judge_corruptions(Sides(classes=digits), halves(), dataset="halves").rows[-1]
    assert (row.family, row.report) == ("uci-digits", None)
    assert "scikit-learn" in str(row.reason)


def test_a_file_and_its_run_are_judged_by_the_benchmark(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One opening of each, a report and a picture, nothing differs, nothing of the run is touched."""
    opened: list[str] = []
    real = Candidate.__enter__
    monkeypatch.setattr(Candidate, "__enter__", lambda self: (opened.append(self.kind), real(self))[1])
    monkeypatch.setattr(judging, "FAMILIES", {name: FAMILIES[name] for name in ("noise", "edges")})
    # A hundred digits instead of all: to place UCI's takes as long as the rest, and is tried above.
    monkeypatch.setattr(judging, "load_uci_digits", lambda _: load_mini().test.take(np.arange(100)))
    run, model = next((trained / "runs").iterdir()), next((trained / "models").glob("*.onnx"))
    before = (run / "evaluation.json").read_bytes()
    output = tmp_path / "corrupted.json"
    monkeypatch.setattr(sys, "argv", ["corrupted", str(model), "--against", str(run), "--output", str(output)])
    corrupted.main()
    report = json.loads(output.read_text())
    assert opened == ["model", "run"]
    assert report["against"]["run"] == str(run)
    assert {row["verdict"] for row in report["rows"] if row["status"] == "measured"} == {"undecided"}
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "worse in 0" in capsys.readouterr().out
    assert (run / "evaluation.json").read_bytes() == before


@pytest.mark.parametrize("shape", [(28, 28), (16, 20, 3)])
def test_corruptions_are_drawn_a_row_each(shape: tuple[int, ...]) -> None:
    rows = {name: np.full((10, *shape), level, np.uint8) for name, level in (("noise", 60), ("blur", 120))}
    with Image.open(io.BytesIO(draw_corruptions(rows, title="sheet"))) as drawn:
        picture = np.asarray(drawn.convert("RGB")).astype(int)
    middle = picture[:, 150, 0]
    assert picture.shape[1] > 850
    assert (middle == 60).sum() > 50
    assert (middle == 120).sum() > 50
    assert np.flatnonzero(middle == 60).max() < np.flatnonzero(middle == 120).min()


def test_corruptions_need_numpy_alone() -> None:
    code = (
        "import sys, numpy; from corruptions.families import FAMILIES, corrupt_images;"
        "[corrupt_images(numpy.zeros((1, 28, 28), 'uint8'), name) for name in FAMILIES];"
        "assert not {'scipy', 'sklearn', 'torch', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(corrupted.__file__).parent)
