"""What can be set and what is returned: fields of a recipe, exit codes, environment variables."""

from __future__ import annotations

__all__ = ["PARTS"]

import inspect
from collections.abc import Callable

from markdown_text import as_cell, table

from toolkit import errors
from toolkit.cli.help_page import VARIABLES
from toolkit.training.recipe_catalog import RECIPES, SUMMARIES
from toolkit.training.recipe_fields import list_fields

DEFAULT = "fast"
FITTED = " [Fitted](../decisions/0018-small-sets.md) to the number of images where nobody sets it."
BUG = "A bug of ours, and the class of all failures; --debug shows where it is."
FIELDS = {name: {field.key: field for field in list_fields(recipe)} for name, recipe in RECIPES.items()}


def _tell_recipes() -> str:
    return table(("recipe", "what it is"), [(f"`{name}`", as_cell(words)) for name, words in SUMMARIES.items()])


def _tell_fields() -> str:
    rows = [
        (f"`{key}`", as_cell(field.meaning) + FITTED * field.follows_size, as_cell(field.limits), f"`{field.value}`")
        for key, field in FIELDS[DEFAULT].items()
    ]
    return table(("field", "meaning", "what it may be", f"in `{DEFAULT}`"), rows)


def _tell_values() -> str:
    rows = [(f"`{key}`", *(f"`{fields[key].value}`" for fields in FIELDS.values())) for key in FIELDS[DEFAULT]]
    return table(("field", *(f"`{name}`" for name in FIELDS)), rows)


def _tell_codes() -> str:
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.ToolkitError)]
    rows = [("0", "", "Everything that was asked for is done.")]
    for kind in sorted(kinds, key=lambda kind: (kind is errors.StoppedError, kind.exit_code)):
        code = "130, 143" if kind is errors.StoppedError else str(kind.exit_code)
        words = BUG if kind is errors.ToolkitError else str(inspect.getdoc(kind)).partition("\n")[0]
        rows.append((code, f"`{kind.__name__}`", as_cell(words)))
    return table(("code", "error", "meaning"), rows)


def _tell_variables() -> str:
    return table(("variable", "what it does"), [(f"`{name}`", as_cell(words)) for name, words in VARIABLES.items()])


PARTS: dict[str, Callable[[], str]] = {
    "recipes": _tell_recipes,
    "recipe-fields": _tell_fields,
    "recipe-values": _tell_values,
    "exit-codes": _tell_codes,
    "variables": _tell_variables,
}
