"""Reports as text for people: tables and sentences."""

from __future__ import annotations

__all__ = ["confusion_table", "contract_table", "describe_comparison", "layer_table", "recipe_lines"]

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from toolkit.render.tables import make_table
from toolkit.training.recipe_catalog import RECIPES, diff_recipes

if TYPE_CHECKING:
    from toolkit.evaluation.accuracy import AccuracyReport, PairedReport
    from toolkit.network.config import LayerShape
    from toolkit.runtimes.contract import Clause
    from toolkit.training.recipe import Recipe

# Classes in a confusion matrix of text.
MOST_COLUMNS = 20


def layer_table(layers: Sequence[LayerShape]) -> Table:
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


def contract_table(clauses: Iterable[Clause]) -> Table:
    """Return the clauses of the model file's contract with their verdicts."""
    marks = {True: Text("yes", "green"), False: Text("no", "red")}
    rows = ((marks[clause.met], clause.name, clause.seen) for clause in clauses)
    return make_table(("", "clause", "seen"), rows, folded={"seen"})


def confusion_table(report: AccuracyReport, classes: Sequence[str]) -> Table:
    """Return the confusion matrix, true classes down, predicted ones across; of many classes the top confusions."""
    if len(classes) > MOST_COLUMNS:
        header = ("true", "predicted", "images, the most frequent confusions first")
        top = (
            (classes[label], classes[predicted], f"{images:,} of {sum(report.confusion[label]):,}")
            for label, predicted, images in report.top_confusions(MOST_COLUMNS)
        )
        return make_table(header, top, right=header[2:], folded=header[:2])
    pairs = zip(classes, report.confusion, strict=True)
    rows = ((name, *(str(count) if count else "." for count in row)) for name, row in pairs)
    return make_table(("true \\ predicted", *classes), rows, right=classes)


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
