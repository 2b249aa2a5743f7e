"""Files by family of operators; `FAMILIES` names the modules, each with a `make_cases`."""

from __future__ import annotations

__all__ = ["FAMILIES", "make_all_cases"]

import importlib
from collections import Counter

from conformance.cases import Case

FAMILIES = (
    "attention",
    "control_flow",
    "convolution",
    "dense",
    "elementwise",
    "indexing",
    "losses",
    "ml",
    "normalisation",
    "pooling",
    "quantised",
    "recurrent",
    "reductions",
    "regions",
    "resizing",
    "sampling",
    "sequences",
    "shaping",
    "signals",
    "softmax",
)


def make_all_cases() -> list[Case]:
    """Return every file of every family, the same ones each time.

    Raises:
        ValueError: two files of one name.
    """
    cases = []
    for family in FAMILIES:
        module = importlib.import_module(f"conformance.families.{family}")
        cases += [case.of_family(family) for case in module.make_cases()]
    (name, count), *_ = Counter(case.name for case in cases).most_common(1)
    if count > 1:
        raise ValueError(f"two files are called {name!r}")
    return cases
