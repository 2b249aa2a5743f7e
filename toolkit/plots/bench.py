"""Benchmarks to PNG bytes: latency and throughput against the batch, and the cumulative distribution of latency."""

from __future__ import annotations

__all__ = ["draw_bench"]

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from toolkit.bench.report import model_name
from toolkit.bench.rows import QUANTILES
from toolkit.plots.canvas import as_drawable, new_figure, to_png

WIDTH_INCHES, HEIGHT_INCHES, LEGEND_INCHES = 13.5, 4.4, 0.19
LEGEND_COLUMNS = 4
MARKERS = "osD^vP*X"
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (1, 3)), (0, (5, 1, 1, 1, 1, 1)))
FIELDS = ("runtime", "provider_active", "precision", "threads", "io_binding", "scenario", "boundary")


def draw_bench(reports: Sequence[dict[str, Any]]) -> bytes:
    """Draw every measured row of one or more reports.

    Args:
        reports: as `toolkit bench` writes them; lines are told apart by what differs among them.

    Returns:
        A PNG file's bytes. Left: p50 with a whisker to p99 where there is one. Middle: throughput with its 95 %
        interval. Right: the share of the calls that took no longer.
    """
    lines = _group(reports)
    batches = sorted({row["batch"] for rows in lines.values() for row in rows})
    dashes = {batch: DASHES[number % len(DASHES)] for number, batch in enumerate(batches)}
    legend = -(-len(lines) // LEGEND_COLUMNS) * LEGEND_INCHES + LEGEND_INCHES
    figure = new_figure(WIDTH_INCHES, HEIGHT_INCHES + legend)
    latency, throughput, distribution = figure.subplots(1, 3)
    for number, (name, rows) in enumerate(lines.items()):
        style: dict[str, Any] = {"color": f"C{number % 10}", "marker": MARKERS[number % len(MARKERS)]}
        _draw_latency(latency, rows, style=style)
        _draw_throughput(throughput, rows, style=style, name=name)
        for row in rows:
            _draw_distribution(distribution, row, colour=style["color"], dash=dashes[row["batch"]])
    _finish((latency, throughput, distribution), batches)
    if dashes:
        from matplotlib.lines import Line2D

        keys = [Line2D([], [], color="black", linestyle=dash, label=f"batch {batch}") for batch, dash in dashes.items()]
        distribution.legend(handles=keys, fontsize=8, loc="lower right")
    figure.tight_layout(rect=(0, legend / (HEIGHT_INCHES + legend), 1, 1))
    if lines:
        figure.legend(loc="lower center", ncols=LEGEND_COLUMNS, fontsize=8, frameon=False)
    else:
        figure.text(0.5, 0.5, "nothing was measured", ha="center", fontsize=14)
    return to_png(figure)


def _group(reports: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return measured rows by the name of their line: what differs among all of them."""
    found = [
        (model_name(report), place, row)
        for place, report in enumerate(reports, start=1)
        for row in report["rows"]
        if row.get("latency_ms") and row.get("batch")
    ]
    keys = [key for key in FIELDS if len({str(row.get(key)) for *_, row in found}) > 1]
    has_models = len({model for model, *_ in found}) > 1
    groups: dict[str, list[dict[str, Any]]] = {}
    is_repeated = len({(model, *(str(row.get(key)) for key in (*FIELDS, "batch"))) for model, _, row in found}) < len(
        found
    )
    for model, place, row in found:
        parts = [model] if has_models else []
        parts += [f"result {place}"] if is_repeated else []
        parts += [_word(key, row.get(key)) for key in keys] or [f"{row['runtime']} on {row['provider_active']}"]
        groups.setdefault(", ".join(filter(None, parts)), []).append(row)
    return {name: sorted(rows, key=lambda row: row["batch"]) for name, rows in groups.items()}


def _word(key: str, value: Any) -> str:
    if key == "threads":
        return f"{value} threads" if value else "own threads"
    if key == "io_binding":
        return "IO binding" if value else "no IO binding"
    return str(value)


def _draw_latency(axes: Axes, rows: list[dict[str, Any]], *, style: dict[str, Any]) -> None:
    shown = [row for row in rows if row["latency_ms"].get("p50")]
    if not shown:
        return
    medians = [row["latency_ms"]["p50"] for row in shown]
    above = [(row["latency_ms"].get("p99") or row["latency_ms"]["p50"]) - row["latency_ms"]["p50"] for row in shown]
    below = [0.0] * len(shown)
    axes.errorbar([row["batch"] for row in shown], medians, yerr=[below, above], capsize=3, **style)


def _draw_throughput(axes: Axes, rows: list[dict[str, Any]], *, style: dict[str, Any], name: str) -> None:
    values = [row["throughput_items_per_s"] for row in rows]
    ends = [
        (row.get("ci95") or {}).get("throughput_items_per_s") or [value] * 2
        for row, value in zip(rows, values, strict=True)
    ]
    whiskers = [
        [max(value - low, 0) for value, (low, _) in zip(values, ends, strict=True)],
        [max(high - value, 0) for value, (_, high) in zip(values, ends, strict=True)],
    ]
    batches = [row["batch"] for row in rows]
    axes.errorbar(batches, values, yerr=whiskers, capsize=3, label=as_drawable(name), **style)


def _draw_distribution(axes: Axes, row: dict[str, Any], *, colour: str, dash: Any) -> None:
    if quantiles := row.get("quantiles_ms"):
        axes.plot(quantiles, QUANTILES, drawstyle="steps-post", color=colour, linestyle=dash)


def _finish(parts: tuple[Axes, Axes, Axes], batches: list[int]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    latency, throughput, distribution = parts
    plain = FuncFormatter(lambda value, _: f"{value:,g}")
    titles = ((latency, "latency of a call, ms: p50, whisker to p99"), (throughput, "items a second, 95 % interval"))
    for axes, title in titles:
        axes.set_title(title, fontsize=10)
        if not axes.has_data():  # which no logarithmic scale can be drawn of
            axes.text(0.5, 0.5, "too few calls", ha="center", transform=axes.transAxes)
            continue
        axes.set(xscale="log", yscale="log", xlabel="batch")
        axes.set_xticks(batches, [str(value) for value in batches])
        axes.xaxis.set_minor_formatter(NullFormatter())
        low, high = axes.get_ylim()
        axes.yaxis.set_major_formatter(plain)
        # Within a decade or so there are hardly any ticks but the minor ones.
        axes.yaxis.set_minor_formatter(plain if high / low < 15 else NullFormatter())
        axes.tick_params(axis="y", which="minor", labelsize=7)
        axes.grid(visible=True, alpha=0.3)
    distribution.set_xscale("log" if distribution.has_data() else "linear")
    distribution.set(xlabel="latency of a call, ms", ylim=(0, 1.02))
    distribution.set_title("share of calls that took no longer", fontsize=10)
    distribution.xaxis.set_major_formatter(plain)
    distribution.xaxis.set_minor_formatter(NullFormatter())
    distribution.grid(visible=True, alpha=0.3)
