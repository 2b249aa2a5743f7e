"""`toolkit evaluate`: a candidate opened, judged and shown; the report and pictures that every evaluation leaves."""

from __future__ import annotations

__all__ = ["describe_mistakes", "evaluate_and_report", "write_evaluation"]

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from toolkit.api.evaluate import evaluate
from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import choose_run
from toolkit.cli.hearing import CommandListener
from toolkit.cli.output import Output, draw_picture
from toolkit.counts import count_of
from toolkit.durable import write_json
from toolkit.evaluation.report import EvaluationReport
from toolkit.holding import hold
from toolkit.render.training import confusion_table, describe_comparison

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
    subject = target or choose_run(store)
    report = evaluate(subject, data, provider=provider, against=against, listener=CommandListener(output))
    lines = []
    if (rival := report.against) is not None:
        lines.append(describe_comparison(rival.figures, rival.paired, name=rival.title))
    path = _report_path(report, store=store)
    written = write_evaluation(report, path=path)
    output.report(
        written,
        f"{'test accuracy' if report.is_test else 'accuracy'} {report.figures.describe()}",
        *lines,
        confusion_table(report.figures, report.classes),
        *describe_mistakes(written),
        f"report {path}",
    )


def write_evaluation(report: EvaluationReport, *, path: Path) -> dict[str, Any]:
    """Write a report, then the pictures beside it, and return what was written; what cannot be drawn is not named.

    The pictures are called `confusion.png`, `first.png` and, where there are mistakes, `mistakes.png`; beside a report
    that is not `evaluation.json` of a run they begin with the report's stem.

    Args:
        report: the evaluation.
        path: where it goes.
    """
    from toolkit.plots.evaluation import draw_confusion, draw_first, draw_mistakes

    figures, classes, mistakes = report.figures, report.classes, report.mistakes
    title = f"{figures.dataset}: {figures.correct:,} of {figures.count:,} right"
    pictures: dict[str, Callable[[], bytes]] = {
        "confusion": lambda: draw_confusion(figures.confusion, classes, title=title),
        "first": lambda: draw_first(report.images, report.first),
    }
    if mistakes:
        pictures["mistakes"] = lambda: draw_mistakes(report.images, mistakes, count=figures.count)
    with hold(path, wait_s=WRITING_S):  # the pictures and the report of one evaluation belong together
        value = report.to_json()
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


def _report_path(report: EvaluationReport, *, store: ArtifactStore) -> Path:
    """Return `evaluation.json` of the run for its own data, else a new file in `reports/`."""
    is_runs_own = report.kind == "run" and report.is_own and report.against is None
    if is_runs_own and report.identity["checkpoint"] == "last.safetensors":
        return Path(report.identity["run"]) / "evaluation.json"
    return store.new_file("reports", f"evaluation-{report.name}", suffix=".json")


def _draw(pictures: Mapping[str, Callable[[], bytes]], *, beside: Path) -> dict[str, str]:
    """Write the pictures and return where those lie that could be drawn."""
    targets = {name: _picture_path(beside, name) for name in pictures}
    return {name: str(targets[name]) for name, draw in pictures.items() if draw_picture(targets[name], draw)}


def _picture_path(report: Path, name: str) -> Path:
    prefix = "" if report.stem == "evaluation" else f"{report.stem}-"
    return report.with_name(f"{prefix}{name}.png")
