"""`toolkit evaluate`: a candidate opened, judged and shown; the report and pictures that every evaluation leaves."""

from __future__ import annotations

__all__ = ["describe_mistakes", "evaluate_and_report", "write_evaluation"]

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import load_recorded_data, resolve_run
from toolkit.cli.output import Output, draw_picture, note, tell_origin
from toolkit.counts import count_of
from toolkit.data.pictures import LabelledPictures, load_pictures
from toolkit.durable import write_json
from toolkit.errors import UsageError
from toolkit.evaluation.candidate import Candidate, ModelCandidate, open_candidate
from toolkit.evaluation.evaluate import EvaluationResult, evaluate_pictures, find_mistakes, first_answers
from toolkit.holding import hold
from toolkit.plain import to_plain
from toolkit.render.training import confusion_table, describe_comparison
from toolkit.runs.origin import find_origin
from toolkit.runs.run import read_run

# What PyTorch judges a run on, and the default for files.
RUNS_PROVIDER = "cpu"
# How long another evaluation of the same run may take to write its files.
WRITING_S = 60.0


def evaluate_and_report(
    target: Path | None, data: str | None, *, provider: str, against: Path | None, output: Output
) -> None:
    """Judge a run or a model on test images, write the report and the pictures, and show them.

    Args:
        target: a run, a run's name or an `.onnx` file; None is the latest run.
        data: data set named by the user; None is the recorded one.
        provider: for `.onnx` files.
        against: another run or file, or None.
        output: where the words go.
    """
    store = ArtifactStore.default()
    with ExitStack() as stack:
        candidate, *rivals = (
            stack.enter_context(open_candidate(_resolve(item, store), provider=provider))
            for item in ([target] if against is None else [target, against])
        )
        if provider != RUNS_PROVIDER and not any(isinstance(item, ModelCandidate) for item in (candidate, *rivals)):
            raise UsageError(
                f"--provider {provider} is for .onnx files; {candidate.title} is judged by PyTorch on the CPU: "
                "leave it out, or judge the file that toolkit export makes of it"
            )
        rival = next(iter(rivals), None)
        pictures = _load(candidate, data, store=store, output=output)
        if rival is not None and pictures.sha256 == candidate.data["sha256"] != rival.data.get("sha256"):
            note(
                f"warning: {rival.title} was trained on other data than {pictures.name}; it may have seen these images"
            )
        with output.progress(f"judging {Path(pictures.name).name}", unit="images") as bar:
            judged = evaluate_pictures(candidate, pictures, rival=rival, progress=bar)
    for sentence in judged.images.notes:
        note(sentence)
    extra, lines = {**candidate.identity, "notes": list(judged.images.notes)}, []
    if judged.rival is not None and judged.paired is not None and rival is not None:
        extra["against"] = {**rival.identity, **judged.rival.report.figures(), **judged.paired.to_json()}
        lines.append(describe_comparison(judged.rival.report, judged.paired, name=rival.title))
    path = _report_path(candidate, pictures, compared=rival is not None, store=store)
    images, result = judged.images.split.images, judged.result
    report = write_evaluation(result, images, classes=candidate.classes, path=path, extra=extra)
    output.report(
        report,
        f"{'test accuracy' if pictures.sha256 else 'accuracy'} {result.report.describe()}",
        *lines,
        confusion_table(result.report, candidate.classes),
        *describe_mistakes(report),
        f"report {path}",
    )


def write_evaluation(
    result: EvaluationResult,
    images_NHW: NDArray[np.uint8],
    *,
    classes: Sequence[str],
    path: Path,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the report, then the pictures beside it, and return the report; what cannot be drawn is not named in it.

    The pictures are called `confusion.png`, `first.png` and, where there are mistakes, `mistakes.png`; beside a report
    that is not `evaluation.json` of a run they begin with the report's stem.

    Args:
        result: the evaluation.
        images_NHW: uint8, the images it was made on.
        classes: class names.
        path: where the report goes.
        extra: further keys of the report.
    """
    from toolkit.plots.evaluation import draw_confusion, draw_first, draw_mistakes

    report, mistakes, first = result.report, find_mistakes(result, classes), first_answers(result, classes)
    title = f"{report.dataset}: {report.correct:,} of {report.count:,} right"
    pictures: dict[str, Callable[[], bytes]] = {
        "confusion": lambda: draw_confusion(report.confusion, classes, title=title),
        "first": lambda: draw_first(images_NHW, first),
    }
    if mistakes:
        pictures["mistakes"] = lambda: draw_mistakes(images_NHW, mistakes, count=report.count)
    own = {**report.to_json(), **(extra or {}), "pictures": {}, "first": to_plain(first)}
    value = tell_origin({**own, "mistakes": to_plain(mistakes)})
    with hold(path, wait_s=WRITING_S):  # the pictures and the report of one evaluation belong together
        write_json(path, value)
        # Once more with those that could be drawn: the figures do not wait for the pictures.
        value["pictures"] = _draw(pictures, beside=path)
        write_json(path, value)
        if not mistakes:
            # A gallery of an earlier evaluation would contradict this one.
            _picture_path(path, "mistakes").unlink(missing_ok=True)
    return value


def describe_mistakes(report: Mapping[str, Any]) -> list[str]:
    """Return how many mistakes there were, and where each picture is, a line each."""
    count = len(report["mistakes"])
    words = f"{count_of(count, 'mistake')}, the worst first" if count else "no mistakes, so no gallery of them"
    return [words, *(f"picture {path}" for path in report["pictures"].values() or ["none"])]


def _resolve(target: Path | None, store: ArtifactStore) -> Path:
    if target is not None and target.suffix.lower() == ".onnx":
        return target
    return resolve_run(target, store=store)


def _load(candidate: Candidate, data: str | None, *, store: ArtifactStore, output: Output) -> LabelledPictures:
    recorded, size = _recorded(candidate, store), (candidate.input.height, candidate.input.width)
    if data is not None:
        with output.progress(f"loading {Path(data).name}", unit="bytes") as bar:
            return load_pictures(data, trained_on=recorded, size=size, progress=bar, on_note=note)
    dataset = load_recorded_data(None, recorded, output=output, size=size)
    dataset.require_same(candidate.data, owner=candidate.title)
    return LabelledPictures.of_test(dataset)


def _recorded(candidate: Candidate, store: ArtifactStore) -> dict[str, Any]:
    """Return what is known of the data: a card must not tell where a user's own lie, the run it came from does."""
    if not isinstance(candidate, ModelCandidate):
        return candidate.data
    origin = find_origin(candidate.checkpoint_sha256, store=store, data_sha256=candidate.data.get("sha256", ""))
    return candidate.data if origin is None else read_run(origin).data


def _report_path(candidate: Candidate, pictures: LabelledPictures, *, compared: bool, store: ArtifactStore) -> Path:
    """Return `evaluation.json` of the run for its own data, else a new file in `reports/`."""
    own = pictures.sha256 == candidate.data["sha256"] and not compared
    if candidate.kind == "run" and own and candidate.identity["checkpoint"] == "last.safetensors":
        return Path(candidate.identity["run"]) / "evaluation.json"
    return store.new_file("reports", f"evaluation-{candidate.name}", suffix=".json")


def _draw(pictures: Mapping[str, Callable[[], bytes]], *, beside: Path) -> dict[str, str]:
    """Write the pictures and return where those lie that could be drawn."""
    targets = {name: _picture_path(beside, name) for name in pictures}
    return {name: str(targets[name]) for name, draw in pictures.items() if draw_picture(targets[name], draw)}


def _picture_path(report: Path, name: str) -> Path:
    prefix = "" if report.stem == "evaluation" else f"{report.stem}-"
    return report.with_name(f"{prefix}{name}.png")
