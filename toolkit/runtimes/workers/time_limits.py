"""How long other processes may take, by the kind of work: the one place that says so.

Nothing here is a speed that is expected; past it a process is taken for hung.
"""

from __future__ import annotations

__all__ = [
    "ANSWER_S",
    "EXPORT_S",
    "GENERATE_S",
    "JUDGE_S",
    "LOOK_S",
    "PROBE_DEVICE_S",
    "PROBE_S",
    "REFERENCE_S",
    "SELF_CHECK_S",
    "TABLES_S",
    "TIME_LIMIT_VARIABLE",
    "lower_to_limit",
]

import math
import os

from toolkit.errors import UsageError

# One request to a worker. To open a small model and look at it: a description, a convolution, one node of a graph.
LOOK_S = 60.0
# To answer a few calls; what holds where nothing else is said.
ANSWER_S = 120.0
# To answer a call of a parity matrix, by an engine that may compile the model first.
JUDGE_S = 300.0
# To answer one in float64, which takes some hundred times as long as float32.
REFERENCE_S = 600.0
# To open a file for the first time, so that a hang is found soon: long enough for an interpreter and its imports from a
# cold, busy disk; the first session of a process on a device loads gigabytes of libraries besides.
PROBE_S = 30.0
PROBE_DEVICE_S = 90.0
# To look operators up in the tables of the installed engines.
TABLES_S = 20.0

# A program, to its end: an export of a small run, code for a kit, a kit's own check in another language.
EXPORT_S = 300.0
GENERATE_S = 300.0
SELF_CHECK_S = 600.0

# Seconds that no request to an engine may pass, whatever the command allows.
TIME_LIMIT_VARIABLE = "TOOLKIT_TIME_LIMIT"


def lower_to_limit(seconds: float) -> float:
    """Return these seconds, or those of `TOOLKIT_TIME_LIMIT` where they are fewer.

    Raises:
        UsageError: the variable is no number over 0.
    """
    text = os.environ.get(TIME_LIMIT_VARIABLE, "inf")
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not limit > 0:
        raise UsageError(f"{TIME_LIMIT_VARIABLE} is {text!r}; expected a number of seconds over 0")
    return min(seconds, limit)
