"""A benchmark's report: a table, and under it what has to be known about its rows."""

from __future__ import annotations

__all__ = ["render_bench", "tried_table"]

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from toolkit.counts import count_of
from toolkit.render.skipped import describe_skipped
from toolkit.render.tables import make_table, split_shared
from toolkit.runtimes.providers import describe_device, mark_software

if TYPE_CHECKING:
    from toolkit.bench.report import BenchReport, BenchRow, TriedSetting

# What tells one row from another; what all rows say alike is said once.
SETTINGS = ("runtime", "provider", "precision", "threads", "batch")
WORDS = {"runtime", "provider", "precision", "limited by", "steady"}
# A share of the processors that others had while a row was measured, from which on the machine is called busy.
BUSY_SHARE = 0.10
QUERIES = {
    "single-stream": "latency of one call",
    "multi-stream": "latency until all calls of a query have answered",
    "server": "latency from the scheduled arrival",
    "offline": "time of one call while others run",
    "capacity": "latency from the scheduled arrival",
}
# Of each column that does not explain itself.
LEGEND = {
    "p99 ms": "p99 ms: 99 of 100 calls took no longer",
    "machine used": "machine used: share of its own fastest matrix product",
    "limited by": "limited by: launch (what a call costs whatever its size), copy (to the device and back) or compute",
    "steady": "steady: the last windows agree within 10 %",
}
# Of a search over many settings the rest is in the report.
MOST_TRIED = 12
TRIED_FIGURES = ("batch", "threads", "p50 ms", "items/s")

RATE_FIGURES = ("requests/s", "p50 ms", "p99 ms of each run", "no answer", "client late ms", "client's core")
VERDICTS = {"holds": "holds", "misses": "too slow", "client": "client too slow", "open": "not finished"}
RATES_LEGEND = (
    "a rate holds if it did in every run; no answer: refused or failed, which counts as late; client late: 99 % of the "
    "requests waited no longer for the client itself; client's core: its share of one"
)


def render_bench(report: BenchReport) -> list[RenderableType]:
    """Return a table of the measured rows, then one line for everything that has to be known about them."""
    measured = [row for row in report.rows if row.latency_ms]
    parts: list[RenderableType] = [*_table(report, measured)] if measured else []
    # Text, not markup: a reason may hold square brackets, such as onnxruntime-gpu[cuda].
    lines = [*_legend(measured), *_remarks(report), *_machine(report), *report.advice]
    parts += [*map(Text, lines), *_rates_tables(report), *tried_table(report), *_chosen(report)]
    if report.is_interrupted:
        parts.append(Text("INTERRUPTED  what stands above is finished, the rest was not measured"))
    return parts


def tried_table(report: BenchReport) -> list[RenderableType]:
    """Return every setting that was tried shortly, the best first; nothing where nothing was searched."""
    shown = report.tried[:MOST_TRIED]
    if not shown:
        return []
    header = ("runtime", "provider", "precision", *TRIED_FIGURES, "then")
    left_out = len(report.tried) - len(shown)
    more = f" ({count_of(left_out, 'slower one')} in the report)" if left_out else ""
    line = f"tried shortly, so coarsely, the best first{more}; measured: what is near the best, properly"
    return ["", line, make_table(header, map(_tried_cells, shown), right=TRIED_FIGURES)]


def _table(report: BenchReport, measured: Sequence[BenchRow]) -> Iterator[RenderableType]:
    first = measured[0]
    plan = first.settings.get("plan") or {}
    rate, limit = plan.get("rate"), plan.get("max_p99_ms")
    arrival = f", {rate:g} calls a second" if rate else f", 99 % within {limit:g} ms" if limit else ""
    yield Text(str(report.model["path"]), overflow="ignore", no_wrap=True)
    yield Text(f"{first.scenario}, {QUERIES[first.scenario]}{arrival}, {first.boundary} to {first.boundary}")
    rows, shared = split_shared([_cells(row) for row in measured], settings=SETTINGS[1:])
    if shared:
        yield Text(f"every row: {', '.join(_say(name, str(cell)) for name, cell in shared.items())}")
    yield make_table(rows[0], (row.values() for row in rows), right={*rows[0]} - WORDS)


def _cells(row: BenchRow) -> dict[str, Text | str]:
    latency = row.latency_ms or {}
    where = mark_software(str(row.provider_active), row.device)
    provider = f"{where} (fallback)" if row.fallback else where
    steady = {True: "yes", False: f"no, {row.spread or 0:.0%}", None: "unknown"}[row.stable]
    # "launch-bound: 70% of a call ..." is told in full in the JSON; here its first word and figure.
    kind, _, rest = row.verdict.partition("-bound: ")
    return {
        "runtime": row.runtime,
        "provider": f"{provider}, bound" if row.io_binding else provider,
        "precision": row.precision,
        "threads": "own" if row.threads == 0 else str(row.threads),
        "batch": str(row.batch),
        "calls": f"{row.samples:,}",
        **{f"{name} ms": _number(latency.get(name)) for name in ("p50", "p90", "p99", "p99.9")},
        "items/s": f"{row.throughput_items_per_s:,.0f}",
        "machine used": "" if row.matmul_share is None else f"{row.matmul_share:.0%}",
        "limited by": f"{kind} {rest.split(' ')[0]}" if kind in {"launch", "copy"} else kind,
        "first call ms": _number((row.cold or {}).get("first_run_ms")),
        "steady": steady,
    }


def _say(name: str, cell: str) -> str:
    if name == "threads":
        return "the engine's own threads" if cell == "own" else count_of(int(cell), "thread")
    return f"batch {cell}" if name == "batch" else cell


def _legend(measured: Sequence[BenchRow]) -> list[str]:
    if not measured:
        return []
    cells = [_cells(row) for row in measured]
    shown = [words for name, words in LEGEND.items() if any(row[name] for row in cells)]
    lines = ["; ".join(shown)]
    if any(value is None for row in measured for value in (row.latency_ms or {}).values()):
        lines.append("-: too few calls for that figure; nothing was left out of the others")
    uncounted = dict.fromkeys(row.uncounted for row in measured if row.uncounted)
    return [*lines, *(f"machine used is empty: {reason}" for reason in uncounted)]


def _remarks(report: BenchReport) -> list[str]:
    """Return each remark once, with the rows that it is about."""
    told: dict[str, list[str]] = {}
    for row in report.rows:
        for words in _remarks_of(row):
            told.setdefault(words, []).append(_name(row))
    skipped = describe_skipped(
        (row.runtime if row.provider_requested == "cpu" else f"{row.runtime} on {row.provider_requested}", row.reason)
        for row in report.rows
        if row.status == "skip"
    )
    remarks = [f"{'; '.join(dict.fromkeys(rows))}: {words}" for words, rows in told.items()]
    return [*remarks, *_busy(report.rows), *skipped]


def _busy(rows: Sequence[BenchRow]) -> list[str]:
    """Say once which rows others disturbed, and how much: on a busy machine every row has another share."""
    passed = [row for row in rows if row.status == "pass"]
    shares = {_name(row): share for row in passed if (share := _others_share(row)) > BUSY_SHARE}
    if not shares:
        return []
    who = "every row" if len(shares) == len(passed) > 1 else "; ".join(shares)
    extent = " to ".join(dict.fromkeys(f"{share:.0%}" for share in (min(shares.values()), max(shares.values()))))
    return [f"{who}: BUSY: others had {extent} of the processors meanwhile"]


def _others_share(row: BenchRow) -> float:
    machine = row.machine or {}
    return float((machine.get("others_share") or 0) + (machine.get("steal_share") or 0))


def _name(row: BenchRow) -> str:
    """Return what tells a row from the others."""
    name = f"{row.runtime} on {row.provider_requested}, {row.precision}"
    if row.batch is None:
        return name
    threads = f", {count_of(row.threads, 'thread')}" if row.threads else ""
    return f"{name}, batch {row.batch}{threads}{', bound' if row.io_binding else ''}"


def _remarks_of(row: BenchRow) -> list[str]:
    if row.status == "skip":
        return []
    if row.status != "pass":
        return [f"{row.status.upper()}: {row.reason}"]
    lines = [f"note: {words}" for words in row.notes] + _tell_client(row)
    if row.fallback:
        lines.append(f"FALLBACK: it ran on {row.provider_active}, {row.reason or 'the provider is not active'}")
    lines += [f"BUSY: {words}" for words in _disturbances(row)]
    if row.phases_ms:
        parts = ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in row.phases_ms.items())
        lines.append(f"{parts} ms")
    return lines


def _disturbances(row: BenchRow) -> list[str]:
    machine = row.machine or {}
    found = []
    if machine.get("throttled_s"):
        found.append(f"its container's quota held it back for {machine['throttled_s']:.2f} s")
    if events := machine.get("thermal_events"):
        times = count_of(int(events), "time")
        found.append(f"the processor throttled {times} because it was hot")
    return found


def _machine(report: BenchReport) -> list[str]:
    """Say what the machine can do and where the nodes ran, once for each provider."""
    lines = []
    for floor in report.floors:
        if floor.matmul_gflops is None:
            lines.append(f"{floor.provider}: its own matrix product could not be measured: {floor.reason}")
            continue
        threads = count_of(floor.threads, "thread") if floor.threads else "its own threads"
        copies = f", copies {floor.copy_gb_per_s:,.1f} GB/s" if floor.copy_gb_per_s else ""
        lines.append(
            f"this machine's {floor.provider} with {threads}: float32 matrix product {floor.matmul_gflops:,.0f} GFLOP/s"
            f" ({floor.side} x {floor.side}){copies}"
        )
    placements = {
        (row.provider_active, tuple((row.settings.get("placement") or {}).items())): row for row in report.rows
    }
    for (provider, counts), row in placements.items():
        if not counts or provider is None:
            continue
        total = sum(count for _, count in counts)
        elsewhere = (row.settings.get("engine") or {}).get("elsewhere", [])
        text = f"{row.runtime}: {dict(counts).get(provider, 0)} of {count_of(total, 'node')} on {provider}"
        lines.append(text + (f"; elsewhere: {', '.join(elsewhere)}" if elsewhere else ""))
    lines += dict.fromkeys(f"{row.provider_active}: {describe_device(row.device)}" for row in report.rows if row.device)
    return [*lines, *_resources(report)]


def _resources(report: BenchReport) -> list[str]:
    """Say what the rows held in memory and, where the machine tells, what they spent."""
    lines = []
    for name, title in (("host_peak_bytes", "a worker's memory"), ("gpu_used_bytes", "the GPU's memory in use")):
        peaks = [peak for row in report.rows if (peak := (row.memory or {}).get(name)) is not None]
        if peaks:
            lines.append(f"{title}: up to {max(peaks) / 1e6:,.0f} MB")
    for name, title in (("package", "the processor"), ("gpu", "the GPU")):
        spent = [
            f"{joules * 1e6:,.0f} at batch {row.batch}"
            for row in report.rows
            if (joules := (row.energy_j_per_item or {}).get(name)) is not None
        ]
        if spent:
            lines.append(f"microjoules an item of {title}: {', '.join(spent)}")
    return lines


def _chosen(report: BenchReport) -> list[RenderableType]:
    if report.chosen is None:
        return []
    row = report.rows[report.chosen["row"]]
    what = f"{row.runtime} on {row.provider_active}, {row.precision}, batch {row.batch}"
    threads = count_of(row.threads, "thread") if row.threads else "its own number of threads"
    figures = f"p50 {_number((row.latency_ms or {}).get('p50'))} ms, {row.throughput_items_per_s:,.0f} items/s"
    # As it is, so that it can be pasted.
    settings = Text(report.chosen["settings"], no_wrap=True, overflow="ignore")
    return [Text(f"best {report.chosen['objective']}: {what}, {threads}: {figures}"), settings]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 1 else f"{value:,.2f}"


def _tried_cells(tried: TriedSetting) -> tuple[str, ...]:
    p50, rate = tried.p50_ms, tried.throughput_items_per_s
    return (
        tried.runtime,
        tried.provider,
        tried.precision,
        str(tried.batch),
        str(tried.threads or "own"),
        "-" if p50 is None else f"{p50:.3g}",
        "-" if rate is None else f"{rate:,.0f}",
        "measured" if tried.is_finalist else "",
    )


def _rates_tables(report: BenchReport) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for row in report.rows:
        if rates := sorted(row.rates or [], key=lambda rate: float(rate["rate"])):
            parts += ["", f"{row.runtime}, batch {row.batch}: every rate that was tried"]
            parts.append(make_table((*RATE_FIGURES, ""), map(_rate_cells, rates), right=RATE_FIGURES))
    return [*parts, RATES_LEGEND] if parts else []


def _rate_cells(rate: dict[str, Any]) -> tuple[str, ...]:
    runs = rate["runs"]
    offered, missed = sum(run["offered"] for run in runs), sum(run["refused"] + run["failed"] for run in runs)
    return (
        f"{rate['rate']:,g}",
        _number(runs[0]["p50_ms"]),
        " ".join(_number(run["p99_ms"]) for run in runs),
        f"{missed:,} of {offered:,}" if missed else "0",
        _number(max((run["client_lag_p99_ms"] or 0.0) for run in runs)),
        f"{max((run['client_share'] or 0.0) for run in runs):.0%}",
        VERDICTS[rate["verdict"]],
    )


def _tell_client(row: BenchRow) -> list[str]:
    if (client := row.client) is None or (answers := row.answers) is None:
        return []
    told = f"{answers['offered']:,} requests, {answers['refused'] + answers['failed']:,} without an answer"
    share = f"; the client used {share:.0%} of a core" if (share := client["cpu_share"]) is not None else ""
    late = f"; 99 % of its requests waited for it {lag:.3g} ms at the most" if (lag := client["lag_p99_ms"]) else ""
    return [told + share + late]
