"""What an error says, taken apart: the reason and the command that mends it."""

from __future__ import annotations

__all__ = ["explain_error", "explain_text", "installed_version"]

import re
from importlib import metadata
from typing import Any

from toolkit.errors import ToolkitError

# Every message of ours that knows a remedy ends in one of these and the command.
MEND = re.compile(r"; (?:get it(?: again)?|mend it|install it) with: (?P<mend>.+)$")


def explain_error(error: ToolkitError) -> dict[str, Any]:
    """Return `reason` and `mend`, which is empty where the message knows none."""
    return explain_text(str(error))


def explain_text(text: str) -> dict[str, Any]:
    """Return `reason` and `mend` of a message's words; as `explain_error`."""
    found = MEND.search(text)
    return {"reason": text[: found.start()], "mend": found["mend"]} if found else {"reason": text, "mend": ""}


def installed_version(names: tuple[str, ...]) -> str | None:
    """Return the version of the first of these distributions that is installed, None where none is."""
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None
