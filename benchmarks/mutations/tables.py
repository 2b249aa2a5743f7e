"""The results on the screen, as rows of Markdown."""

from __future__ import annotations

__all__ = ["print_tables"]

import statistics
from typing import Any

JUDGES = {
    "parity": "`toolkit parity`",
    "selftest": "`toolkit selftest`",
    "polygraphy": "Polygraphy, `run`",
    "polygraphy_lint": "Polygraphy, `check lint`",
    "optimum": "optimum, `validate_model_outputs`",
}


def print_tables(results: dict[str, Any]) -> None:
    """Print who caught how many, who missed which, and the curve."""
    faults = [row for row in results["rows"] if row["kind"] != "control"]
    controls = [row for row in results["rows"] if row["kind"] == "control"]
    judges = [name for name in JUDGES if name in faults[0]]
    print(f"\n| who | caught of {len(faults)} faults | false alarms on {len(controls)} that are none |\n|---|---|---|")
    for name in judges:
        caught, alarms = (sum(row[name]["caught"] for row in rows) for rows in (faults, controls))
        print(f"| {JUDGES[name]} | {caught} ({caught / len(faults):.1%}) | {alarms} |")
    for name in judges:
        missed = [row["fault"].replace("_", " ") for row in faults if not row[name]["caught"]]
        print(f"\nmissed by {JUDGES[name]}: {', '.join(missed) or 'none'}")
    refused = [row for row in faults if "by_values" in row]
    print(f"\nrefused for an operator or attribute that the bound does not cover: {len(refused)} of those that parity")
    print(f"caught; by their answers alone {sum(row['by_values'] for row in refused)} of them differ")
    if "curve" in results:
        _print_curve(results["curve"])


def _print_curve(rows: list[dict[str, Any]]) -> None:
    print("\n| weights of | smallest relative change seen by parity | by selftest |\n|---|---|---|")
    for layer in dict.fromkeys(row["layer"] for row in rows):
        own = [row for row in rows if row["layer"] == layer]
        print(f"| {layer} | {_describe(own, 'parity')} | {_describe(own, 'selftest')} |")


def _describe(rows: list[dict[str, Any]], judge: str) -> str:
    found = [row[judge] for row in rows if row[judge] is not None]
    if not found:
        return f"none of {len(rows)}"
    unseen = f"; {len(rows) - len(found)} of {len(rows)} never" if len(found) < len(rows) else ""
    return f"{statistics.median(found):.2g} ({min(found):.2g} to {max(found):.2g}{unseen})"
