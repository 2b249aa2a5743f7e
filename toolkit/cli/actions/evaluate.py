"""What `toolkit evaluate` does."""

from __future__ import annotations

__all__ = ["Evaluation"]

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.artifacts import ArtifactStore
from toolkit.cli.actions.evaluation_files import summarise_mistakes, write_evaluation
from toolkit.cli.context import load_recorded_data, resolve_run
from toolkit.cli.output import Output, note
from toolkit.data.pictures import LabelledPictures, load_pictures
from toolkit.errors import UsageError
from toolkit.evaluation.candidate import Candidate, ModelCandidate, open_candidate
from toolkit.evaluation.evaluate import SuitedImages, evaluate, suit_images
from toolkit.evaluation.paired import compare_paired
from toolkit.render.training import confusion_table, describe_comparison
from toolkit.runs.origin import find_origin
from toolkit.runs.run import read_run

# What PyTorch judges a run on, and the default for files.
RUNS_PROVIDER = "cpu"


class Evaluation:
    """One `toolkit evaluate`.

    Args:
        target: a run, a run's name or an `.onnx` file; None is the latest run.
        data: data set named by the user; None is the recorded one.
        provider: for `.onnx` files.
        against: another run or file, or None.
        output: where the words go.
    """

    def __init__(
        self, target: Path | None, data: str | None, *, provider: str, against: Path | None, output: Output
    ) -> None:
        self._target, self._data_name, self._provider, self._against = target, data, provider, against
        self._output, self._store = output, ArtifactStore.default()

    def judge_test_images(self) -> None:
        """Judge on the test images, write the report and the pictures, and show them."""
        with ExitStack() as stack:
            candidate, rival, pictures = self._open(stack)
            suited = self._suit(candidate, pictures)
            result = evaluate(candidate, suited.split, dataset=pictures.name)
            other = None
            if rival is not None:
                # With the judge's names, should the pictures have none: the rival may have another order.
                named = replace(pictures, labels=suited.split.labels, classes=candidate.classes, has_names=True)
                other = evaluate(rival, self._suit(rival, named, quiet=True).split, dataset=pictures.name)
        extra, lines = {**candidate.identity, "notes": list(suited.notes)}, []
        if other is not None and rival is not None:
            paired = compare_paired(result.is_right, other.is_right)
            extra["against"] = {**rival.identity, **other.report.figures(), **paired.to_json()}
            lines.append(describe_comparison(other.report, paired, name=rival.title))
        path = self._report_path(candidate, pictures, compared=other is not None)
        report = write_evaluation(result, suited.split.images, candidate.classes, path=path, extra=extra)
        self._output.report(
            report,
            f"{'test accuracy' if pictures.sha256 else 'accuracy'} {result.report.describe()}",
            *lines,
            confusion_table(result.report, candidate.classes),
            summarise_mistakes(report),
            f"report {path}",
        )

    def _open(self, stack: ExitStack) -> tuple[Candidate, Candidate | None, LabelledPictures]:
        """Open the model and its rival, and load the images that both are judged on."""
        candidate = stack.enter_context(open_candidate(self._resolve(self._target), provider=self._provider))
        rival = None
        if self._against is not None:
            rival = stack.enter_context(open_candidate(self._resolve(self._against), provider=self._provider))
        if self._provider != RUNS_PROVIDER and not any(isinstance(item, ModelCandidate) for item in (candidate, rival)):
            raise UsageError(
                f"--provider {self._provider} is for .onnx files; {candidate.title} is judged by PyTorch on the CPU: "
                "leave it out, or judge the file that toolkit export makes of it"
            )
        pictures = self._load(candidate)
        if rival is not None and pictures.sha256 == candidate.data["sha256"] != rival.data.get("sha256"):
            note(
                f"warning: {rival.title} was trained on other data than {pictures.name}; it may have seen these images"
            )
        return candidate, rival, pictures

    def _load(self, candidate: Candidate) -> LabelledPictures:
        recorded, size = self._recorded(candidate), (candidate.input.height, candidate.input.width)
        if self._data_name is not None:
            with self._output.progress(f"loading {self._data_name}", unit="bytes") as bar:
                return load_pictures(self._data_name, trained_on=recorded, size=size, progress=bar, on_note=note)
        dataset = load_recorded_data(None, recorded, output=self._output, size=size)
        dataset.require_same(candidate.data, owner=candidate.title)
        return LabelledPictures.of_test(dataset)

    def _suit(self, candidate: Candidate, pictures: LabelledPictures, *, quiet: bool = False) -> SuitedImages:
        with self._output.progress(f"reading {pictures.name}", unit="images") as bar:
            suited = suit_images(candidate, pictures, progress=bar)
        for sentence in suited.notes if not quiet else ():
            note(sentence)
        return suited

    def _recorded(self, candidate: Candidate) -> dict[str, Any]:
        """Return what is known of the data: a card must not tell where a user's own lie, the run it came from does."""
        if not isinstance(candidate, ModelCandidate):
            return candidate.data
        origin = find_origin(
            candidate.checkpoint_sha256, store=self._store, data_sha256=candidate.data.get("sha256", "")
        )
        return candidate.data if origin is None else read_run(origin).data

    def _resolve(self, target: Path | None) -> Path:
        if target is not None and target.suffix.lower() == ".onnx":
            return target
        return resolve_run(target, store=self._store)

    def _report_path(self, candidate: Candidate, pictures: LabelledPictures, *, compared: bool) -> Path:
        """Return `evaluation.json` of the run for its own data, else a new file in `reports/`."""
        own = pictures.sha256 == candidate.data["sha256"] and not compared
        if candidate.kind == "run" and own and candidate.identity["checkpoint"] == "last.safetensors":
            return Path(candidate.identity["run"]) / "evaluation.json"
        return self._store.new_file("reports", f"evaluation-{candidate.name}", suffix=".json")
