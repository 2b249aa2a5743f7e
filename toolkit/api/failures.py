"""A failure in the caller's words: what the command line calls `--batch` is `batch=` to a program."""

from __future__ import annotations

__all__ = ["in_callers_words", "name_arguments", "offer_external_data"]

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from toolkit.errors import ExternalDataError, ToolkitError

Given = ParamSpec("Given")
Result = TypeVar("Result")
# A command that can be pasted, which stays as it is; or an option, with the blank before a value behind it.
COMMAND = r"(?:(?<=: )|^)(?:toolkit|pip|python|torchrun) [^;()]*|\bdocker run [^;()]*"
OPTION = re.compile(rf"{COMMAND}|--([a-z][a-z0-9-]*)(?: (?=['\"+\d]|-\d))?")


def name_arguments(words: str) -> str:
    """Return a message that names keyword arguments in the place of options."""
    return OPTION.sub(lambda found: f"{found[1].replace('-', '_')}=" if found[1] else found[0], words)


@contextmanager
def offer_external_data() -> Iterator[None]:
    """Name the option that lets a file bring its weights, where one needs it; around work that has the option."""
    try:
        yield
    except ExternalDataError as error:
        raise ExternalDataError(f"{error}; or read them from its own folder: --allow-external-data") from error


def in_callers_words(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Let a function of the library tell its failures as its caller, a program or a command, can use them."""
    takes_external_data = "allow_external_data" in inspect.signature(function).parameters
    asked = offer_external_data()(function) if takes_external_data else function

    @functools.wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        try:
            return asked(*args, **kwargs)
        except ToolkitError as error:
            listener = kwargs.get("listener")
            reword = name_arguments if listener is None else listener.reword  # type: ignore[attr-defined]  # a Listener
            error.args = (reword(str(error)), *error.args[1:])
            raise

    return call
