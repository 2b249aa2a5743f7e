"""A benchmark's report, and a comparison of two results: a table and the lines under it."""

from __future__ import annotations

__all__ = ["render_bench", "render_comparison"]

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from toolkit.render.tables import make_table

if TYPE_CHECKING:
    from toolkit.bench.compare import Comparison, RowChange
    from toolkit.bench.report import BenchReport, BenchRow

WORDS = ("runtime", "provider", "precision")
NUMBERS = (
    "batch",
    "threads",
    "samples",
    "p50 ms",
    "p90",
    "p99",
    "p99.9",
    "items/s",
    "of peak",
    "bound by",
    "first ms",
    "stable",
)
# A share of the processors that others had while a row was measured, from which on the machine is called busy.
BUSY_SHARE = 0.10
QUERIES = {
    "single-stream": "latency of one call",
    "multi-stream": "latency until all calls of a query have answered",
    "server": "latency from the scheduled arrival",
    "offline": "time of one call while others run",
}
LEGEND = {
    "launch": "launch  so much of a call does not grow with the batch",
    "copy": "copy  so much of a call are copies to the device and back",
    "compute": "compute  a call grows with its batch; of peak: the share of this machine's own float32 matrix product",
}
SIZES = ("batch", "threads")
RATIOS = ("p50", "p99", "throughput")
STYLES = {"regression": "red", "open": "yellow", "unstable": "yellow", "fine": "green"}


def render_bench(report: BenchReport) -> list[RenderableType]:
    """Return a table of the measured rows, then one line for everything that has to be known about them."""
    measured = [row for row in report.rows if row.latency_ms]
    # Text, not markup: a reason may hold square brackets, such as onnxruntime-gpu[cuda].
    notes = [Text(line) for row in report.rows for line in _notes(row)]
    absent = any(value is None for row in measured for value in (row.latency_ms or {}).values())
    legend = [Text("-  too few samples for that percentile; nothing was left out of the others")] if absent else []
    legend += [Text(text) for word, text in LEGEND.items() if any(row.verdict.startswith(word) for row in measured)]
    legend += [
        Text(f"of peak is empty: {reason}") for reason in dict.fromkeys(row.uncounted for row in measured) if reason
    ]
    advice = [Text(line) for line in report.advice]
    advice += _chosen(report)
    ended = (
        [Text("INTERRUPTED  the rows above are finished, the others were not measured")]
        if report.is_interrupted
        else []
    )
    table = [_table(report, measured)] if measured else []
    return [*table, *legend, *notes, *_machine(report), *advice, *ended]


def render_comparison(comparison: Comparison) -> list[RenderableType]:
    """Return the table of rows and what else is to be said, one line each."""
    header = (*WORDS, *SIZES, *RATIOS, "verdict")
    title = "new / old, with the range that both 95 % intervals allow"
    right, whole = (*SIZES, *RATIOS), (*WORDS, *RATIOS)
    cells = map(_change_cells, comparison.changes)
    table = make_table(header, cells, right=right, folded={"verdict"}, whole=whole, framed=True, title=title)
    lines = [*comparison.differences]
    if comparison.undecided:
        count = len(comparison.undecided)
        lines.append(
            f"{count} of {len(comparison.changes)} rows decide nothing; measure again on an idle machine, or longer"
        )
    if comparison.added:
        lines.append(f"{len(comparison.added)} rows passed in the new result only")
    return [table, *(Text(line) for line in lines)]


def _chosen(report: BenchReport) -> list[Text]:
    if report.chosen is None:
        return []
    row = report.rows[report.chosen["row"]]
    what = f"{row.runtime} on {row.provider_active}, {row.precision}, batch {row.batch}"
    threads = f"{row.threads} threads" if row.threads else "its own number of threads"
    figures = f"p50 {_number((row.latency_ms or {}).get('p50'))} ms, {row.throughput_items_per_s:,.0f} items/s"
    return [Text(f"best {report.chosen['objective']}: {what}, {threads}: {figures}"), Text(report.chosen["settings"])]


def _table(report: BenchReport, measured: list[BenchRow]) -> Table:
    first = measured[0]
    rate = (first.settings.get("plan") or {}).get("rate")
    what = f"{first.scenario}, {QUERIES[first.scenario]}" + (f", {rate:g} calls a second" if rate else "")
    title = f"{report.model['path']}: {what}, {first.boundary} to {first.boundary}"
    rows = (map(Text, _cells(row)) for row in measured)
    return make_table((*WORDS, *NUMBERS), rows, right=NUMBERS, framed=True, title=title)


def _cells(row: BenchRow) -> list[str]:
    latency = row.latency_ms or {}
    provider = f"{row.provider_active} (fallback)" if row.fallback else str(row.provider_active)
    provider += ", bound" if row.io_binding else ""
    times = [_number(latency.get(name)) for name in ("p50", "p90", "p99", "p99.9")]
    first = _number((row.cold or {}).get("first_run_ms"))
    stable = {True: "yes", False: f"no, {row.spread or 0:.0%}", None: "?"}[row.stable]
    counts = [str(row.batch), "own" if row.threads == 0 else str(row.threads), f"{row.samples:,}"]
    # "launch-bound: 70% of a call ..." is told in full in the JSON; here its first word and figure.
    kind, _, rest = row.verdict.partition("-bound: ")
    bound = f"{kind} {rest.split(' ')[0]}" if kind in {"launch", "copy"} else kind
    peak = "" if row.matmul_share is None else f"{row.matmul_share:.0%}"
    rate = f"{row.throughput_items_per_s:,.0f}"
    return [row.runtime, provider, row.precision, *counts, *times, rate, peak, bound, first, stable]


def _notes(row: BenchRow) -> list[str]:
    where = f"{row.runtime} on {row.provider_requested}"
    if row.batch is not None:
        where += f", batch {row.batch}"
    if row.status != "pass":
        return [f"{row.status.upper()}  {where}: {row.reason}"]
    lines = []
    if row.fallback:
        lines.append(f"FALLBACK  {where} ran on {row.provider_active}: {row.reason or 'the provider is not active'}")
    if row.stable is False:
        lines.append(f"UNSTABLE  {where}: its last three windows differ by {row.spread:.0%}")
    lines += [f"note  {where}: {words}" for words in row.notes]
    lines += [f"BUSY  {where}: {text}" for text in _disturbances(row)]
    if row.phases_ms:
        parts = ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in row.phases_ms.items())
        lines.append(f"{where}: {parts} ms")
    return lines


def _disturbances(row: BenchRow) -> list[str]:
    machine = row.machine or {}
    others = (machine.get("others_share") or 0) + (machine.get("steal_share") or 0)
    found = []
    if others > BUSY_SHARE:
        found.append(f"others had {others:.0%} of the processors meanwhile")
    if machine.get("throttled_s"):
        found.append(f"its container's quota held it back for {machine['throttled_s']:.2f} s")
    if machine.get("thermal_events"):
        found.append(f"the processor throttled {machine['thermal_events']:.0f} times because it was hot")
    return found


def _machine(report: BenchReport) -> list[Text]:
    """Say what the machine can do and where the nodes ran, once for each provider."""
    lines = []
    for floor in report.floors:
        if floor.matmul_gflops is None:
            lines.append(f"{floor.provider}: its own matrix product could not be measured: {floor.reason}")
            continue
        threads = f"{floor.threads} threads" if floor.threads else "its own threads"
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
        text = f"{dict(counts).get(provider, 0)} of {total} nodes on {provider}"
        lines.append(text + (f"; elsewhere: {', '.join(elsewhere)}" if elsewhere else ""))
    return [Text(line) for line in [*lines, *_resources(report)]]


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


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 1 else f"{value:,.2f}"


def _change_cells(change: RowChange) -> list[str | Text]:
    row = change.row
    named = (row["runtime"], row["provider_active"], row["precision"], row["batch"], row["threads"])
    ratios = (_ratio(change.ratios.get(metric)) for metric in RATIOS)
    return [*map(str, named), *ratios, _verdict(change)]


def _ratio(ratio: dict[str, float] | None) -> str:
    return "" if ratio is None else f"{ratio['point']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})"


def _verdict(change: RowChange) -> Text:
    if change.problem:
        return Text(change.problem, style="red")
    parts = [Text(f"{condition}: {verdict}", style=STYLES[verdict]) for condition, verdict in change.verdicts.items()]
    return Text("; ").join(parts)
