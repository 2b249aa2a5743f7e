"""Does the gate see? Faults put into an exported graph, and what `parity`, `selftest` and other tools say to them.

Run by hand, on a model and its run, with a run of another seed:

    python benchmarks/mutation.py MODEL --run RUN --donor RUN [--peers PYTHON] [--curve 5]

Every fault is first proven to be one (unoptimised ONNX Runtime answers differently); the file's card stays as it was.
Then the real commands judge each file: `toolkit parity --runtime ort --run RUN` and `toolkit selftest`. PYTHON is an
interpreter with `polygraphy`, `onnx-graphsurgeon`, `optimum-onnx`, `onnxruntime` and `torch`; their default checks
judge the same files. `--curve N` looks for the smallest change of N weights a layer that is seen. A judged file is
written to the results at once and is not judged again.

    python benchmarks/mutation.py --strangers

judges a second list instead: faults in files without a card, and the same files written in other ways, which pass.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from mutations.controls import CONTROLS
from mutations.curve import draw_curve
from mutations.equivalence import prove_difference
from mutations.graph import Fault, make_mutant
from mutations.in_process import open_parity
from mutations.inputs import INPUT_FAULTS
from mutations.judges import ask_parity, ask_selftest, is_caught
from mutations.layers import LAYER_FAULTS
from mutations.outputs import OUTPUT_FAULTS
from mutations.peers import ask_peers, describe_peers
from mutations.strangers import judge_strangers, print_strangers
from mutations.tables import print_tables
from mutations.weights import WEIGHT_FAULTS

from toolkit.durable import read_json, sha256_bytes, write_json
from toolkit.environment import describe_environment

SCHEMA = "toolkit/benchmark-mutation/1"
FAULTS = {"input": INPUT_FAULTS, "weights": WEIGHT_FAULTS, "layers": LAYER_FAULTS, "outputs": OUTPUT_FAULTS}
UNKNOWN_OPERATOR = "the rounding formula"
PROOF_IMAGES = 256
PROOF_SEED = 1


def main() -> None:
    """Judge what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--strangers", action="store_true", help="the list of strangers' files; needs no model")
    parser.add_argument("--run", type=Path, help="the run that the model came from")
    parser.add_argument("--donor", type=Path, help="a run of the same network with another seed")
    parser.add_argument("--sample", type=int, help="so many evenly spaced test images; all by default")
    parser.add_argument("--jobs", type=int, default=2, help="files judged at a time")
    parser.add_argument("--peers", type=Path, help="interpreter with the other tools")
    parser.add_argument("--curve", type=int, default=0, help="weights a layer for the curve")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    name = "mutation-strangers" if arguments.strangers else "mutation"
    arguments.output = arguments.output or Path(f"artifacts/reports/{name}.json")
    if arguments.strangers:
        print_strangers(judge_strangers(arguments.output))
        return
    if None in (arguments.model, arguments.run, arguments.donor):
        parser.error("a model, --run and --donor are needed, or --strangers")
    folder = arguments.output.resolve().with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    results = _open_results(arguments)
    mutants, differences = _write_mutants(arguments, folder)
    _judge(mutants, differences, results, arguments)
    _look_at_values(mutants, results, arguments)
    if arguments.peers:
        results["peers"] = describe_peers(arguments.peers)
        _update(results, ask_peers(arguments.peers, mutants, model=arguments.model, run=arguments.run, folder=folder))
    if arguments.curve:
        results["curve"] = draw_curve(arguments.model, arguments.run, weights=arguments.curve)
    write_json(arguments.output, {**results, "environment": describe_environment()})
    print_tables(results)


def _open_results(arguments: argparse.Namespace) -> dict[str, Any]:
    described = {"sha256": sha256_bytes(arguments.model.read_bytes()), "run": arguments.run.name}
    asked = {"model": described, "donor": arguments.donor.name, "sample": arguments.sample}
    if arguments.output.exists():
        found = read_json(arguments.output)
        if {key: found[key] for key in asked} == asked:
            return dict(found)
    return {"schema": SCHEMA, "command": " ".join(sys.argv), **asked, "rows": []}


def _write_mutants(arguments: argparse.Namespace, folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Write every file and prove that each fault is one; a control must load, and no more is asked of it."""
    from toolkit.data import load_dataset

    original, donor = arguments.model.read_bytes(), _export(arguments.donor, folder / "donor.onnx")
    test = load_dataset("mnist").test.images[:PROOF_IMAGES]
    noise = np.random.default_rng(PROOF_SEED).integers(0, 256, test.shape, np.uint8)
    images = np.concatenate([test, noise])
    written, differences = {}, {}
    for kind, fault in _everything():
        mutant = make_mutant(original, fault, donor=donor)
        if kind != "control":
            differences[fault.__name__] = prove_difference(original, mutant, images, name=fault.__name__)
        written[fault.__name__] = folder / f"{fault.__name__}.onnx"
        written[fault.__name__].write_bytes(mutant)
    return written, differences


def _export(run: Path, target: Path) -> bytes:
    command = [sys.executable, "-m", "toolkit", "export", str(run), "--output", str(target), "--force"]
    subprocess.run(command, check=True, capture_output=True)
    return target.read_bytes()


def _everything() -> list[tuple[str, Fault]]:
    faults = [(kind, fault) for kind, group in FAULTS.items() for fault in group]
    return [*(("control", control) for control in CONTROLS), *faults]


def _judge(
    mutants: dict[str, Path], differences: dict[str, str], results: dict[str, Any], arguments: argparse.Namespace
) -> None:
    done = {row["fault"] for row in results["rows"]}

    def judge(item: tuple[str, Fault]) -> dict[str, Any]:
        kind, fault = item
        path = mutants[fault.__name__]
        row = {"fault": fault.__name__, "kind": kind, "what": (fault.__doc__ or "").strip()}
        row["difference"] = differences.get(fault.__name__)
        judges: dict[str, Callable[[], Any]] = {
            "parity": lambda: ask_parity(path, arguments.run.resolve(), sample=arguments.sample),
            "selftest": lambda: ask_selftest(path),
        }
        for name, ask in judges.items():
            verdict = ask()
            row[name] = {"caught": is_caught(verdict), **verdict._asdict()}
        return row

    missing = [item for item in _everything() if item[1].__name__ not in done]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for number, row in enumerate(pool.map(judge, missing), start=1):
            results["rows"].append(row)
            write_json(arguments.output, results)
            print(
                f"{number} of {len(missing)}: {row['fault']}: {row['parity']['code']}, {row['selftest']['code']}",
                flush=True,
            )


def _look_at_values(mutants: dict[str, Path], results: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Where parity refused a file because its bound does not cover an operator: would the answers have told?"""
    unseen = [row for row in results["rows"] if UNKNOWN_OPERATOR in row["parity"]["reason"] and "by_values" not in row]
    if not unseen:
        return
    sees = open_parity(arguments.model, arguments.run, optimisations=("all", "none"))
    for row in unseen:
        row["by_values"] = sees(mutants[row["fault"]].read_bytes())
        print(f"by its values: {row['fault']}: {row['by_values']}", flush=True)


def _update(results: dict[str, Any], verdicts: dict[str, dict[str, Any]]) -> None:
    for row in results["rows"]:
        row.update(verdicts[row["fault"]])


if __name__ == "__main__":
    main()
