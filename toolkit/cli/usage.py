"""What Typer says of words that make no command, in one line of our own words."""

from __future__ import annotations

__all__ = ["explain_usage"]

import re
import sys
from difflib import get_close_matches

from toolkit.errors import UsageError

# Typer's words, and ours.
WORDS = (
    (r"No such option: (\S+)(?: .*)?", r"there is no option \1"),
    (r"No such command '(.*?)'\..*", r"there is no command \1"),
    (r"(?:Option )?'?(--?[\w-]+)'? (?:option )?requires (?:an|\d+) arguments?\.", r"\1 needs a value"),
    (r"(?:Option )?'?(--?[\w-]+)'? (?:option )?does not take a value\.", r"\1 takes no value"),
    (r"Missing argument '(.+?)'\.", r"the argument \1 is missing"),
    (r"Missing option '(.+?)'\.", r"\1 is missing"),
    (r"Invalid value for '(.+?)': (.*) is not a valid int(?:eger)?(?: range)?\.", r"\1 is \2; expected a whole number"),
    (r"Invalid value for '(.+?)': (.*) is not a valid (?:float|number)(?: range)?\.", r"\1 is \2; expected a number"),
    (r"Invalid value for '(.+?)': (.*) is not in the range (.*)\.", r"\1 is \2; expected \3"),
    (r"Invalid value for '(.+?)': (.*?)\.?", r"\1: \2"),
    (r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", r"more was given than the command takes: \1"),
)
SUGGESTION = re.compile(r"Did you mean .*?\?|Possible options: .*?\)")


def explain_usage(error: Exception) -> UsageError | None:
    """Return an error of Typer's as one of ours, with what may have been meant and where help is.

    Returns:
        None where it is another kind of error, or is a help page as Typer raises it where nothing was typed.
    """
    # Typer has a private copy of Click's exceptions: they are told by what they offer.
    tell = getattr(error, "format_message", None)
    if tell is None or type(error).__name__ == "NoArgsIsHelpError":
        return None
    told = " ".join(tell().split())
    words = next((re.sub(found, ours, told) for found, ours in WORDS if re.fullmatch(found, told)), told)
    meant = SUGGESTION.search(told)
    # Of several the nearest to what was typed.
    near = get_close_matches(words.rpartition(" ")[2], re.findall(r"[\w-]+", meant[0])[2:], n=1) if meant else []
    did_you_mean = f"; did you mean {near[0]}?" if near else ""
    context = getattr(error, "ctx", None)
    verb = next((word for word in sys.argv[1:2] if not word.startswith("-")), "")
    command = f"toolkit {verb}".strip() if context is None else context.command_path
    return UsageError(f"{words}{did_you_mean}; for help: {command} --help")
