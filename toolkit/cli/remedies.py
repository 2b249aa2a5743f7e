"""Commands inside words, as they run in the user's shell, whether or not this environment is active there."""

from __future__ import annotations

__all__ = ["as_pasted"]

import re
import shlex
import shutil
import sys
from pathlib import Path

from toolkit.cli.help_page import EXAMPLES

VERBS = "|".join(dict.fromkeys(example.split()[0] for example in EXAMPLES))
COMMAND = re.compile(rf"(?<![\w./-])(toolkit(?= (?:{VERBS})\b| --\w)|pip(?= (?:un)?install ))")


def as_pasted(text: str) -> str:
    """Return text whose commands `toolkit VERB ...` and `pip install ...` can be pasted into the shell as they are.

    Where the shell would find another program of the name, or none, the program's path takes the place of its name.
    """
    return COMMAND.sub(lambda found: _find_program(found[1]), text)


def _find_program(name: str) -> str:
    own = Path(sys.executable).parent / name
    found = shutil.which(name)
    if not own.is_file() or (found is not None and Path(found).resolve() == own.resolve()):
        return name
    here = Path.cwd()
    is_below = own.is_relative_to(here) and own.parent != here
    return shlex.quote(str(own.relative_to(here) if is_below else own))
