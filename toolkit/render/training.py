"""Trainings, what they are judged by, searches and learning curves as text for people: tables and sentences."""

from __future__ import annotations

__all__ = [
    "confusion_table",
    "contract_table",
    "describe_comparison",
    "describe_trial",
    "layer_table",
    "recipe_lines",
    "render_learning_curve",
    "render_tune",
]

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from toolkit.counts import count_of
from toolkit.render.tables import RowTable, make_table
from toolkit.training.recipe_catalog import RECIPES, diff_recipes

if TYPE_CHECKING:
    from toolkit.evaluation.accuracy import AccuracyReport, PairedReport
    from toolkit.network.config import LayerShape
    from toolkit.runtimes.contract import Clause
    from toolkit.training.recipe import Recipe
    from toolkit.tuning.curve_report import CurveReport, CurveRow
    from toolkit.tuning.study import TrialRow
    from toolkit.tuning.tune import TuneReport

# Classes in a confusion matrix of text.
MOST_COLUMNS = 20
# Letters of a class over its column; longer ones have numbers.
MOST_HEADING = 5


def layer_table(layers: Sequence[LayerShape]) -> RowTable:
    """Return the network's layers with their output shapes and parameters."""
    rows = [
        (layer.layer, "x".join(map(str, layer.output)), f"{layer.parameters:,}" if layer.parameters else "")
        for layer in layers
    ]
    last = ("in all", "", f"{sum(layer.parameters for layer in layers):,}")
    return make_table(("layer", "output", "parameters"), [*rows, last], right={"parameters"})


def recipe_lines(recipe: Recipe) -> list[str]:
    """Return the recipe's name and, a line each, what was changed against the recipe it started from."""
    base = recipe.base or recipe.name
    if base not in RECIPES:
        return [f"recipe {recipe.name}"]
    changes = diff_recipes(RECIPES[base], recipe)
    of_base = f", from {base}" if recipe.base else ""
    lines = [f"  {key}: {before} -> {after}" for key, (before, after) in changes.items()]
    return [f"recipe {recipe.name}{of_base}{', changed:' if lines else ''}", *lines]


def contract_table(clauses: Iterable[Clause]) -> RowTable:
    """Return the clauses of the model file's contract with their verdicts."""
    marks = {True: Text("yes", "green"), False: Text("no", "red")}
    rows = ((marks[clause.met], f"{clause.name}: {clause.seen}") for clause in clauses)
    return make_table(("met", "clause: what was seen"), rows, folded={"clause: what was seen"})


def confusion_table(report: AccuracyReport, classes: Sequence[str]) -> RowTable:
    """Return the confusion matrix, true classes down, predicted ones across; of many classes the top confusions."""
    if len(classes) > MOST_COLUMNS:
        header = ("true", "predicted", "images, the most frequent confusions first")
        top = (
            (classes[label], classes[predicted], f"{images:,} of {sum(report.confusion[label]):,}")
            for label, predicted, images in report.top_confusions(MOST_COLUMNS)
        )
        return make_table(header, top, right=header[2:], folded=header[:2])
    is_short = all(len(name) <= MOST_HEADING for name in classes)
    across = classes if is_short else [str(number) for number, _ in enumerate(classes)]
    names = classes if is_short else [f"{number} {name}" for number, name in enumerate(classes)]
    pairs = zip(names, report.confusion, strict=True)
    rows = ((name, *(str(count) if count else "." for count in row)) for name, row in pairs)
    return make_table(("true \\ predicted", *across), rows, right=across)


def describe_comparison(other: AccuracyReport, paired: PairedReport, *, name: str) -> str:
    """Return the other model's accuracy, the paired difference and whether chance explains it."""
    verdict = {
        "better": "better than the other",
        "worse": "worse than the other",
        "undecided": "a difference that chance explains" if paired.difference else "no difference",
    }[paired.verdict]
    return (
        f"{name} has {other.describe()}; difference {100 * paired.difference:+.2f} points, right alone "
        f"{paired.only_first:,} against {paired.only_second:,}, exact McNemar p = {paired.p_value:.2g}: {verdict}"
    )


def describe_trial(row: TrialRow) -> str:
    """Return one line: the trial's values and what came out."""
    values = ", ".join(f"{key} {_short(value)}" for key, value in row.point.items())
    if row.state == "failed":
        return f"{values}: failed, {row.reason}"
    again = "" if row.repeats is None else ", the same point as an earlier trial"
    return f"{values}: {_percent(row.accuracy)} +- {100 * row.standard_error:.2f}, {row.seconds:.1f} s{again}"


def render_tune(report: TuneReport) -> list[RenderableType]:
    """Return the trials, best first, and what their figures are worth."""
    from toolkit.tuning.study import rank_trials  # who trains has nothing to search

    fields = [dimension.key for dimension in report.config.space]
    figures, ranked = ("rank", "trial", "accuracy", "+-", *fields, "seconds"), rank_trials(report.rows)
    # Counted from 1, as in the picture; numbers of the study may skip a trial that was killed.
    places = {row.number: place for place, row in enumerate(report.rows, start=1)}
    rows = (
        map(Text, _trial_cells(row, rank, fields=fields, places=places)) for rank, row in enumerate(ranked, start=1)
    )
    table = make_table((*figures, "state"), rows, right=figures)
    return [table, *(Text(line) for line in _tune_lines(report, places=places))]


def render_learning_curve(report: CurveReport) -> list[RenderableType]:
    """Return accuracy against training-set size, and what the intervals are."""
    rows = report.rows()
    # Between one seed's interval, of its images, and three seeds' lies what is none.
    has_range = not report.has_intervals and any(row.seeds > 1 for row in rows)
    kind = "range" if has_range else "95 %"
    header = ("images", "epochs", "steps", "seeds", f"training % ({kind})", f"validation % ({kind})", "s each")
    table = make_table(header, (_curve_cells(row, has_range=has_range) for row in rows), right=header)
    return [table, *(Text(line) for line in report.notes())]


def _trial_cells(row: TrialRow, rank: int, *, fields: list[str], places: Mapping[int, int]) -> list[str]:
    values = [_short(row.point[key]) if key in row.point else "" for key in fields]
    if row.state == "failed":
        # The rest of a reason says what to do next; the report has it.
        return ["-", str(places[row.number]), "-", "-", *values, "-", f"failed: {row.reason.partition(';')[0]}"]
    state = "done" if row.repeats is None else f"as trial {places[row.repeats]}"
    figures = [_percent(row.accuracy), f"{100 * row.standard_error:.2f}"]
    return [str(rank), str(places[row.number]), *figures, *values, f"{row.seconds:.1f}", state]


def _tune_lines(report: TuneReport, *, places: Mapping[int, int]) -> list[str]:
    config, best = report.config, report.best
    how = f"{config.folds}-fold cross-validation" if config.folds > 1 else "the last of them held out"
    judged = (
        f"judged on {count_of(report.images, 'training image')} ({how}, {_epochs_words(config.recipe)} unless varied)"
    )
    lines = [f"{judged}; the test images were not touched"]
    if best is None:
        return [*lines, "every trial failed"]
    near = [
        row
        for row in report.rows
        if row.state == "done" and row is not best and best.accuracy - row.accuracy <= best.standard_error
    ]
    lines.append(f"best: trial {places[best.number]}, {describe_trial(best)}")
    lines.append(
        f"other trials within one standard error of it: {len(near)}; "
        "the best of many is flattered by the choice: train it and judge it anew"
    )
    return lines


def _epochs_words(recipe: Recipe) -> str:
    return "epochs fitted to their number" if "epochs" in recipe.follows_size else count_of(recipe.epochs, "epoch")


def _curve_cells(row: CurveRow, *, has_range: bool) -> list[str]:
    ends = (row.train_range, row.validation_range) if has_range else (row.train_ci95, row.validation_ci95)
    shares = zip((row.train_accuracy, row.validation_accuracy), ends, strict=True)
    told = (f"{100 * share:.2f} ({100 * low:.2f}-{100 * high:.2f})" for share, (low, high) in shares)
    return [f"{row.size:,}", f"{row.epochs:,}", f"{row.steps:,}", str(row.seeds), *told, f"{row.seconds:.1f}"]


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _short(value: Mapping[str, Any] | float | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
