"""The counts of served models in the words of Prometheus."""

from __future__ import annotations

__all__ = ["CONTENT_TYPE", "render_metrics"]

from collections.abc import Iterable, Iterator
from typing import Any

from toolkit.serving.served_model import ServedModel
from toolkit.serving.stats import Spread

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
LABELS = ("model", "version")


def render_metrics(models: Iterable[ServedModel]) -> bytes:
    """Return a page that Prometheus reads."""
    from prometheus_client import CollectorRegistry, generate_latest  # nobody may ever ask

    registry = CollectorRegistry()
    registry.register(_Collector(list(models)))
    return bytes(generate_latest(registry))


class _Collector:
    """Hands over what is counted anyway; nothing is counted twice."""

    def __init__(self, models: list[ServedModel]) -> None:
        self._models = models

    def collect(self) -> Iterator[Any]:
        """Return every metric of every model."""
        from prometheus_client import core

        counter, gauge = core.CounterMetricFamily, core.GaugeMetricFamily
        requests = counter(
            "toolkit_requests", "Requests for inference, by the status answered.", labels=[*LABELS, "code"]
        )
        refusals = counter("toolkit_refusals", "Requests without an answer, by reason.", labels=[*LABELS, "reason"])
        rows = counter("toolkit_rows", "Rows that were answered.", labels=LABELS)
        restarts = counter("toolkit_engine_restarts", "Engines that were replaced.", labels=LABELS)
        reloads = counter(
            "toolkit_reloads", "Files that were to take the place of the one in service.", labels=[*LABELS, "result"]
        )
        files = gauge("toolkit_model_info", "The file in service.", labels=[*LABELS, "sha256"])
        waiting = gauge("toolkit_queue_rows", "Rows that wait for the engine.", labels=LABELS)
        ready = gauge("toolkit_ready", "Whether requests are taken.", labels=LABELS)
        batch = core.HistogramMetricFamily("toolkit_batch_rows", "Rows of the engine's calls.", labels=LABELS)
        phase = core.HistogramMetricFamily(
            "toolkit_phase_seconds", "Seconds of answered requests, by phase.", labels=[*LABELS, "phase"]
        )
        for model in self._models:
            own, stats = [model.name, model.version], model.stats
            for code, count in sorted(stats.codes.items()):
                requests.add_metric([*own, str(code)], count)
            for reason, count in sorted(stats.refusals.items()):
                refusals.add_metric([*own, reason], count)
            rows.add_metric(own, stats.rows)
            restarts.add_metric(own, stats.restarts)
            for result, count in stats.reloads.items():
                reloads.add_metric([*own, result], count)
            files.add_metric([*own, model.engine.source.sha256], 1)
            waiting.add_metric(own, model.queued_rows)
            ready.add_metric(own, int(model.is_ready))
            batch.add_metric(own, *_buckets(stats.batches))
            for name, spread in stats.phases.items():
                phase.add_metric([*own, name], *_buckets(spread))
        yield from (requests, refusals, rows, restarts, reloads, files, waiting, ready, batch, phase)


def _buckets(spread: Spread) -> tuple[list[tuple[str, int]], float]:
    """Return what a histogram is made of: how many were at most each bound, and the sum."""
    bounds, below = [*map(str, spread.bounds), "+Inf"], 0
    pairs = []
    for bound, count in zip(bounds, spread.buckets, strict=True):
        below += count
        pairs.append((bound, below))
    return pairs, spread.total
