"""How recipes fare on corrupted test images and on UCI's digits, each seed against `tutorial` with the same seed.

Run by hand, after `benchmarks/accuracy.py` has trained them:

    python benchmarks/robustness.py --recipe tutorial --recipe best --seeds 0,1,2,3,4

Every run is judged as `benchmarks/corrupted.py RUN --against TUTORIAL_RUN` does: the very same images for both, and an
exact McNemar test for each family, corrected for their number. Of a recipe's runs with a seed, the newest under
artifacts/runs that was trained on all data counts. Every judged run is written to the results file at once; one that
stands there already is not judged again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

from corrupted import judge_corrupted
from corruptions.families import FAMILIES, FOREIGN

from toolkit.artifacts import ArtifactStore
from toolkit.durable import read_json, write_json
from toolkit.environment import describe_environment

SCHEMA = "toolkit/benchmark-robustness/3"  # verdicts of 1 were not corrected; 2 had ten families
BASE = "tutorial"
# A family is won by a seed where the test is decided for it.
WON = "better"


def main() -> None:
    """Judge every run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", action="append", required=True)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--output", type=Path, default=Path("artifacts/reports/robustness.json"))
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    results = read_json(arguments.output) if arguments.output.exists() else {"schema": SCHEMA, "rows": []}
    if results["schema"] != SCHEMA:
        raise SystemExit(f"{arguments.output} is of schema {results['schema']}; give another --output")
    rows = results["rows"]
    for recipe, seed in product(arguments.recipe, seeds):
        if not any((row["recipe"], row["seed"]) == (recipe, seed) for row in rows):
            rows.append({"recipe": recipe, "seed": seed, "families": _judge(recipe, seed)})
            write_json(arguments.output, {**results, "environment": describe_environment()})
    for recipe in arguments.recipe:
        _print_summary(recipe, [row["families"] for row in rows if row["recipe"] == recipe])


def _judge(recipe: str, seed: int) -> dict[str, dict[str, Any]]:
    against = None if recipe == BASE else _find_run(BASE, seed)
    judged = judge_corrupted(_find_run(recipe, seed), against=against)
    return {row["family"]: row for row in judged.report.to_json()["rows"]}


def _find_run(recipe: str, seed: int) -> Path:
    found = [
        path.parent
        for path in sorted((ArtifactStore.default().root / "runs").glob(f"mnist-{recipe}-s{seed}-*/evaluation.json"))
        if json.loads((path.parent / "config.json").read_bytes())["training"]["all_data"]
    ]
    if not found:
        raise SystemExit(f"no run of {recipe} with seed {seed} on all data; train it with benchmarks/accuracy.py")
    return found[-1]


def _print_summary(recipe: str, seeds: list[dict[str, dict[str, Any]]]) -> None:
    means = [statistics.mean(rows[name]["accuracy"] for name in FOREIGN) for rows in seeds]
    print(f"{recipe}, {len(seeds)} seeds: mean over {len(FOREIGN)} families that nothing trains on {_percent(means)}")
    for name in seeds[0]:
        verdicts = Counter(rows[name].get("verdict") for rows in seeds)
        words = "" if recipe == BASE else f"; against {BASE}: {dict(verdicts)}"
        print(f"  {name:12} {_percent([rows[name]['accuracy'] for rows in seeds])}{words}")
    if recipe != BASE:
        wins = [sum(rows[name]["verdict"] == WON for name in FAMILIES) for rows in seeds]
        print(f"  families won, seed by seed: {', '.join(map(str, wins))} of {len(FAMILIES)}")


def _percent(shares: list[float]) -> str:
    spread = f" +- {100 * statistics.stdev(shares):.2f}" if len(shares) > 1 else ""
    return f"{100 * statistics.mean(shares):6.2f}{spread}"


if __name__ == "__main__":
    main()
