"""Many results as one page of Markdown."""

from __future__ import annotations

__all__ = ["KINDS", "Part", "render_page"]

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from toolkit.bench.report import BENCH_SCHEMA, model_name
from toolkit.proving.report import PROOF_SCHEMA
from toolkit.render.prove import find_figures


class Part(NamedTuple):
    """One result.

    Attributes:
        name: what the page calls it: its file.
        value: the JSON that a command wrote.
    """

    name: str
    value: dict[str, Any]


def render_page(parts: Sequence[Part], *, pictures: dict[str, str], problems: Sequence[str] = ()) -> str:
    """Return a page: one section for each kind of result, then the machines and the commands that repeat them.

    Args:
        parts: of the schemas in `KINDS`.
        pictures: file name of a picture by the model of the benchmarks that it shows.
        problems: files that could not be used, one sentence each.
    """
    lines = ["# Results", ""]
    benches = [part for part in parts if part.value["schema"] == BENCH_SCHEMA]
    lines += _benchmarks(benches, pictures) if benches else []
    for schema, (title, header, rows) in KINDS.items():
        mine = [part for part in parts if part.value["schema"] == schema]
        if mine and schema != BENCH_SCHEMA:
            lines += [f"## {title}", "", *_table(header, (row for part in mine for row in rows(part))), ""]
    lines += ["## Where and how", "", *_table(ORIGIN, (_origin(part) for part in parts)), ""]
    lines += ["Commands that repeat them:", "", "```", *(part.value.get("command", "") for part in parts), "```"]
    if problems:
        lines += ["", "## Left out", "", *(f"- {_cell(problem)}" for problem in problems)]
    return "\n".join(lines) + "\n"


def _benchmarks(parts: Sequence[Part], pictures: dict[str, str]) -> list[str]:
    lines = ["## Benchmarks", ""]
    for model in dict.fromkeys(model_name(part.value) for part in parts):
        mine = [part for part in parts if model_name(part.value) == model]
        header, rows, shared = _without_constants(BENCH_HEADER, [row for part in mine for row in _bench_rows(part)])
        lines += [f"### {_cell(model)}", "", *_table(header, rows), ""]
        lines += [f"In all rows: {_cell(', '.join(shared))}.", ""] if shared else []
        if model in pictures:
            lines += [f"![latency, throughput and distribution]({pictures[model]})", ""]
        advice = [line for part in mine for line in part.value.get("advice", [])]
        unmeasured = [
            f"{row['runtime']} on {row['provider_requested']}: {row['status']}, {row['reason']}"
            for part in mine
            for row in part.value["rows"]
            if row["status"] != "pass"
        ]
        uncounted = [
            f"of peak is empty: {row['uncounted']}"
            for part in mine
            for row in part.value["rows"]
            if row.get("uncounted")
        ]
        remarks = dict.fromkeys([*advice, *unmeasured, *uncounted])
        lines += [*(f"- {_cell(line)}" for line in remarks), *([""] if remarks else [])]
    return lines


BENCH_HEADER = (
    "file, runtime, provider, IO binding, precision, threads, scenario, batch, calls, p50 ms, p99 ms, items/s (95 %), "
    "of peak, bound by, first call ms, stable"
)
# What tells rows apart stays in the table though it be the same in all.
ALWAYS = {"runtime", "batch", "calls", "p50 ms", "p99 ms", "items/s (95 %)"}
ORIGIN = "file, model, processor, cores, load before, GPU, versions"


def _bench_rows(part: Part) -> Iterable[list[str]]:
    for row in part.value["rows"]:
        latency = row.get("latency_ms")
        if not latency:
            continue
        low, high = (row.get("ci95") or {}).get("throughput_items_per_s", (None, None))
        rate = f"{row['throughput_items_per_s']:,.0f}" + (f" ({low:,.0f} to {high:,.0f})" if low is not None else "")
        stable = {True: "yes", False: f"no, {row.get('spread') or 0:.0%}", None: "unknown"}[row.get("stable")]
        share = row.get("matmul_share")
        yield [
            part.name,
            f"{row['runtime']} {str(row.get('version') or '').partition('+')[0]}".strip(),
            f"{row['provider_active']}{' (fallback)' if row.get('fallback') else ''}",
            "on" if row.get("io_binding") else "off",
            row["precision"],
            str(row["threads"] or "own"),
            row["scenario"],
            str(row["batch"]),
            f"{row['samples']:,}",
            _number(latency.get("p50")),
            _number(latency.get("p99")),
            rate,
            "" if share is None else f"{share:.0%}",
            row.get("verdict", "").partition(":")[0],
            _number((row.get("cold") or {}).get("first_run_ms")),
            stable,
        ]


def _parity_rows(part: Part) -> Iterable[list[str]]:
    for row in part.value["rows"]:
        error, bound = row.get("max_abs_logit_error"), row.get("bound")
        share = "" if error is None or not bound else f"{error / bound:.2g}"
        # Rows that differ in one of these alone would look like copies.
        threads = row.get("threads")
        how = ["" if threads is None else str(threads or "own"), row.get("optimisation") or ""]
        yield [
            *(part.name, _subject(part), row["runtime"], str(row["provider"]), row["precision"], *how),
            str(row.get("images") or ""),
            *(share, str(row.get("flips", "")), row["status"], row.get("reason") or ""),
        ]


def _evaluation_rows(part: Part) -> Iterable[list[str]]:
    value = part.value
    low, high = value["accuracy_ci95"]
    interval = f"{100 * low:.2f} to {100 * high:.2f}"
    yield [
        part.name,
        _subject(part),
        value["dataset"],
        f"{value['correct']:,} of {value['count']:,}",
        f"{100 * value['accuracy']:.2f}",
        interval,
    ]


def _subject(part: Part) -> str:
    """Return the file name of the model, or the name of the run, that a result is about."""
    model = part.value.get("model") or {}
    return str(model.get("path") or part.value.get("run") or "").replace("\\", "/").rpartition("/")[2]


def _doctor_rows(part: Part) -> Iterable[list[str]]:
    for row in part.value["rows"]:
        yield [
            part.name,
            row["name"],
            row.get("version") or "",
            row["status"],
            row.get("reason", ""),
            row.get("mend", ""),
        ]


def _proof_rows(part: Part) -> Iterable[list[str]]:
    for step in part.value["steps"]:
        found = step["reason"] or find_figures(step["report"] or {})
        yield [step["name"], step["status"], f"{step['seconds']:.0f}", found, step["typed"]]


PARITY_HEADER = (
    "file, model, runtime, provider, precision, threads, optimisation, images, error / bound, flips, status, reason"
)
Rows = Callable[[Part], Iterable[list[str]]]
KINDS: dict[str, tuple[str, str, Rows]] = {
    BENCH_SCHEMA: ("Benchmarks", BENCH_HEADER, _bench_rows),
    "toolkit/parity/1": (
        "Parity",
        PARITY_HEADER,
        _parity_rows,
    ),
    "toolkit/evaluation/1": ("Accuracy", "file, model, data, right, %, 95 %", _evaluation_rows),
    PROOF_SCHEMA: ("Proof", "step, status, seconds, found, command", _proof_rows),
    "toolkit/doctor/1": ("Providers", "file, name, version, status, reason, mend", _doctor_rows),
}


def _origin(part: Part) -> list[str]:
    environment = part.value.get("environment") or {}
    cpu, model = environment.get("cpu") or {}, part.value.get("model") or {}
    gpus = ", ".join(str(gpu.get("name")) for gpu in environment.get("gpus") or []) or "none"
    packages = {name: version for name, version in (environment.get("packages") or {}).items() if version}
    versions = [f"Python {(environment.get('python') or {}).get('version')}"]
    versions += [f"{name} {packages[name]}" for name in ("torch", "onnxruntime", "onnxruntime-gpu") if name in packages]
    load = environment.get("load_average") or [None]
    digest = f" ({str(model.get('sha256'))[:12]})" if model.get("sha256") else ""
    return [
        part.name,
        f"{model.get('path', '')}{digest}",
        str(cpu.get("model")),
        str(cpu.get("logical_cores")),
        str(load[0]),
        gpus,
        ", ".join(versions),
    ]


def _without_constants(header: str, rows: list[list[str]]) -> tuple[str, list[list[str]], list[str]]:
    """Return a table without the columns that say the same in every row, and what they say."""
    names = header.split(", ")
    values = [{row[place] for row in rows} for place in range(len(names))]
    kept = [place for place, name in enumerate(names) if name in ALWAYS or len(values[place]) != 1]
    same = [(name, next(iter(values[place]))) for place, name in enumerate(names) if place not in kept]
    shared = [f"{name} {value}" for name, value in same if value]
    return ", ".join(names[place] for place in kept), [[row[place] for place in kept] for row in rows], shared


def _table(header: str, rows: Iterable[list[str]]) -> list[str]:
    names = header.split(", ")
    lines = [names, ["---"] * len(names), *rows]
    return ["| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines]


def _cell(text: str) -> str:
    """Return text that stays inside its cell and is shown as it is."""
    words = " ".join(str(text).split())
    return words.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 1 else f"{value:,.2f}"
