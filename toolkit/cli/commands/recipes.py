"""`toolkit recipes`."""

from __future__ import annotations

__all__ = ["recipes_command"]

from typing import Annotated

import typer

from toolkit.cli.completion import one_of, recipes
from toolkit.cli.options import Json
from toolkit.cli.output import Output
from toolkit.plain import to_plain

Name = Annotated[
    str | None,
    typer.Argument(
        help="One recipe, with every field; or a .toml file.", show_default="all", autocompletion=one_of(recipes)
    ),
]


def recipes_command(name: Name = None, *, as_json: Json = False) -> None:
    """List the recipes, or every field of one: its value, what it may be, what it means."""
    from toolkit.render.runs import recipes_table, render_recipe
    from toolkit.training.recipe_catalog import RECIPES, SUMMARIES, resolve_recipe
    from toolkit.training.recipe_fields import list_fields

    chosen = [*RECIPES.values()] if name is None else [resolve_recipe(name)]
    rows = [{"name": recipe.name, "base": recipe.base, "fields": to_plain(list_fields(recipe))} for recipe in chosen]
    report = {"schema": "toolkit/recipes/1", "rows": rows}
    if name is None:
        Output(as_json=as_json).report(report, *recipes_table(chosen, summaries=SUMMARIES))
        return
    recipe = chosen[0]
    summary = SUMMARIES.get(recipe.name, f"begins from {recipe.base}" if recipe.base else "")
    Output(as_json=as_json).report(report, *render_recipe(recipe, list_fields(recipe), summary=summary))
