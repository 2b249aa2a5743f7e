"""Runs, models and recipes as text that fits 80 columns: a name alone on its line, what is told of it below."""

from __future__ import annotations

__all__ = ["describe_deletion", "recipes_table", "render_recipe", "render_runs"]

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from toolkit.render.tables import make_table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from toolkit.training.listed_models import Accuracy, ListedModel
    from toolkit.training.listing import ListedRun, RunList
    from toolkit.training.recipe import Recipe
    from toolkit.training.recipe_fields import RecipeField

LINE_WIDTH, INDENT = 79, " " * 4
LAST = (
    "every field of one: toolkit recipes NAME",
    "with some changed:  toolkit train --recipe NAME --set KEY=VALUE",
)
UNITS = ("B", "kB", "MB", "GB")


def render_runs(listed: RunList) -> list[str]:
    """Return every run and every model, and in the end what can be done with them."""
    lines: list[str] = []
    for kind, rows, nothing in (
        ("runs", listed.runs, "make one with: toolkit train"),
        ("models", listed.models, "make one with: toolkit export"),
    ):
        where = listed.root / kind
        if not rows:
            lines.append(f"no {kind} in {where}; {nothing}")
            continue
        star = "; * is used where none is named" if any(row.is_latest for row in rows) else ""
        lines.append(f"{kind} in {where}, the newest first{star}:")
        lines += [line for row in rows for line in _row_lines(row)]
    if listed.runs:
        lines.append("go on with: toolkit evaluate RUN, toolkit export RUN, toolkit runs --delete RUN")
    return lines


def describe_deletion(run: ListedRun, *, successor: str | None) -> list[str]:
    """Return what goes with a run, what stays, and which run is the latest then."""
    what = f"{_accuracy_words(run.accuracy)}, " if run.accuracy else "" if run.state == "done" else f"{run.state}, "
    lines = [f"{run.path} ({what}{_size(run.size_bytes)}) will be deleted with its checkpoints"]
    if run.models:
        lines.append(f"made of it, and kept: {', '.join(run.models)} (without the run it cannot be exported anew)")
    if run.is_latest:
        lines.append(f"it is the latest run; then that is {successor}" if successor else "it is the latest run")
    return lines


def recipes_table(recipes: Iterable[Recipe], *, summaries: Mapping[str, str]) -> list[RenderableType]:
    """Return the product's recipes, a row each, and what each is."""
    header = ("recipe", "epochs", "batch", "optimizer", "learning rate", "parameters")
    rows: list[tuple[str, ...]] = []
    words: list[str] = []
    for recipe in recipes:
        figures = (f"{recipe.epochs}", f"{recipe.batch_size}", recipe.optimizer, f"{recipe.learning_rate:g}")
        rows.append((recipe.name, *figures, f"{recipe.network.num_parameters:,}"))
        words.append(f"{recipe.name}: {summaries[recipe.name]}")
    table = make_table(header, rows, right={*header} - {"recipe", "optimizer"})
    return [
        *words,
        "",
        table,
        "(parameters for images of MNIST's size; learning rate: the schedule's peak)",
        *LAST,
    ]


def render_recipe(recipe: Recipe, fields: Sequence[RecipeField], *, summary: str) -> list[str]:
    """Return every field of a recipe: its value, what it may be, and below what it means."""
    lines = [f"recipe {recipe.name}", *([_below(summary)] if summary else [])]
    key_width = max(len(item.key) for item in fields)
    value_width = max(len(_value(item)) for item in fields)
    for part, title in (("recipe", "how it trains:"), ("network", "its network ([network] in a recipe's file):")):
        lines.append(title)
        for item in (item for item in fields if item.part == part):
            lines.append(f"  {item.key:{key_width}}  {_value(item):{value_width}}  {item.limits}")
            lines.append(_below(item.meaning.replace("`", "")))
    if any(item.follows_size for item in fields):
        lines.append("* fitted to fewer images where nobody sets it")
    return [*lines, f"change some with: toolkit train --recipe {recipe.name} --set KEY=VALUE (repeatable)"]


def _row_lines(row: ListedRun | ListedModel) -> list[str]:
    figures = [_accuracy_words(row.accuracy) if row.accuracy else "not evaluated" if row.state == "done" else row.state]
    figures += [row.data, _local_time(row.time), _size(row.size_bytes)]
    told = [", ".join(filter(None, part)) for part in (figures, [row.reason] if row.reason else _origin_words(row))]
    return [f"{'*' if row.is_latest else ' '} {row.name}", *(_below(words) for words in told if words)]


def _origin_words(row: Any) -> list[str]:
    """Return how a run was trained, or what a model was made of."""
    recipe = f"recipe {row.recipe}" if row.recipe else ""
    if hasattr(row, "precision") and not row.data:
        return [row.precision, "a torch module of your own"]
    if hasattr(row, "precision"):
        origin = (
            "" if row.run and row.name.startswith(row.run) else f"from run {row.run}" if row.run else "its run is gone"
        )
        return [row.precision, recipe, origin]
    changes = [f"{key} {before} -> {after}" for key, (before, after) in row.changes.items()]
    # Its name would tell the same again.
    is_told = row.recipe == row.base or row.recipe.startswith(f"{row.base}+")
    whose = f"recipe {row.base}" if is_told else f"{recipe}, from {row.base}"
    return [f"{whose}: {changes[0]}", *changes[1:]] if changes else [recipe]


def _below(words: str) -> str:
    """Return words that stand below their name, in as many lines as they need; no path and no command is parted."""
    room, command = LINE_WIDTH - len(INDENT), ""
    if len(words) > room:
        words, colon, command = words.partition(": toolkit ")
        words, command = words + colon[:1], colon[2:] + command
    lines = textwrap.wrap(words, room, break_long_words=False, break_on_hyphens=False)
    return "\n".join(INDENT + line for line in filter(None, (*lines, command)))


def _accuracy_words(accuracy: Accuracy) -> str:
    low, high = accuracy.ci95
    return f"{100 * accuracy.value:.2f} % of {accuracy.count:,} ({100 * low:.2f} to {100 * high:.2f})"


def _local_time(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M") if text else ""


def _size(size_bytes: float) -> str:
    for unit in UNITS[:-1]:
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} {UNITS[-1]}"


def _value(item: RecipeField) -> str:
    words = f"{item.value:g}" if isinstance(item.value, float) else str(item.value)
    return f"{words}*" if item.follows_size else words
