"""Weights that lie beside a model: the one option that trusts them, for every command that takes a stranger's file."""

from __future__ import annotations

__all__ = ["AllowExternalData", "offer_external_data"]

import functools
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

from toolkit.errors import ExternalDataError

AllowExternalData = Annotated[
    bool,
    typer.Option("--allow-external-data", help="Trust the model: its weights may lie in files in its own folder."),
]
Words = ParamSpec("Words")


def offer_external_data(command: Callable[Words, None]) -> Callable[Words, None]:
    """Let a command that has the option name it where a file needs it."""

    @functools.wraps(command)
    def offering(*args: Words.args, **kwargs: Words.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ExternalDataError as error:
            raise ExternalDataError(f"{error}; or read them from its own folder: --allow-external-data") from error

    return offering
