"""What a check is about: one of our models, or a stranger's; and whether everything asked for by name can open it."""

from __future__ import annotations

__all__ = ["Subject", "find_precision", "require_providers"]

import contextlib
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.card import CARD_KEY, Card
from toolkit.errors import ModelError, WorkerError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.config import ParityConfig
from toolkit.parity.variants import expand_matrix
from toolkit.runtimes.base import Arrays, RuntimeSettings, run_first
from toolkit.runtimes.contract import require_contract
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.registry import find_runtime
from toolkit.runtimes.workers.client import OpenedWorker, Opener, blame_the_file, open_worker
from toolkit.runtimes.workers.time_limits import JUDGE_S

if TYPE_CHECKING:
    from toolkit.runtimes.synthetic_inputs.plan import FeedPlan

# What a file computes in, by the element type of most of its weights.
PRECISION_OF_WEIGHTS = {"float64": "fp64", "float16": "fp16", "bfloat16": "bf16", "int8": "int8", "uint8": "int8"}
# Operators that round to 8 bits.
QUANTISERS = {"QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "QAttention", "QGemm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A file as ONNX Runtime opened it.

    Attributes:
        card: of a model that meets our contract; None for a stranger's.
        inputs: what it declares.
        precision: arithmetic of the file.
        plan: what a stranger's file is fed; None where the arrays are given.
    """

    card: Card | None
    inputs: tuple[TensorSpec, ...]
    precision: str
    plan: FeedPlan | None = None


def require_providers(
    source: ModelSource, config: ParityConfig, *, feeds: FeedConfig | None = None, opener: Opener = open_worker
) -> Subject:
    """Open and run the file on everything that was asked for by name, before anything is measured.

    Args:
        source: the model, with its run where there is one.
        config: the axes.
        feeds: where a stranger's inputs come from.
        opener: opens the file.

    Raises:
        ProviderError: a provider is not active.
        ResourceError: a runtime is not installed.
        ModelError: the file is refused, or has a card and is not one of ours.
        UsageError: no inputs can be made for a stranger's file.
    """
    feeds = feeds or FeedConfig()
    trial = RuntimeSettings(optimisation="none")  # nothing is fused away before it was tried
    reopen = partial(opener, source, trial, timeout_s=JUDGE_S)
    with blame_the_file(str(source.path)), reopen() as worker:
        subject = _identify(worker, name=source.path.name)
        if subject.card is None and feeds.given is None:
            from toolkit.runtimes.synthetic_inputs.choosing import choose_feeds

            plan = choose_feeds(worker, feeds, name=source.path.name, reopen=reopen)
            subject = replace(subject, plan=plan)
    first = _first_feeds(subject, feeds)
    opened = set()
    for variant in expand_matrix(config, has_run=source.run is not None):
        # One opening for each engine and provider: threads and levels change the answer, not whether it is there.
        settings = replace(variant.settings, threads=0, optimisation="all", runs_at_once=1)
        entry = find_runtime(settings.runtime)
        has_no_run = entry.needs_run and source.run is None
        if variant.may_skip or has_no_run or settings in opened or settings == RuntimeSettings():
            continue
        opened.add(settings)
        if entry.is_remote:
            with opener(source, settings, timeout_s=JUDGE_S):
                continue  # what it answers is for the matrix; another server or model than was named is not
        with (
            contextlib.suppress(WorkerError, ModelError),  # a crash or a wrong answer is a row of the matrix
            opener(source, settings, timeout_s=JUDGE_S) as worker,
        ):
            run_first(worker, first)
    return subject


def find_precision(summary: dict[str, Any]) -> str:
    """Return what a file computes in, from the summary that vetting gives: its limits and words follow from it."""
    if not QUANTISERS.isdisjoint(summary["operators"]):
        return "int8"  # whatever type its weights are kept in
    counts = {
        key: value for key, value in summary["weight_types"].items() if key in PRECISION_OF_WEIGHTS or key == "float32"
    }
    return PRECISION_OF_WEIGHTS.get(max(counts, key=lambda key: counts[key], default="float32"), "fp32")


def _identify(worker: OpenedWorker, *, name: str) -> Subject:
    inputs = worker.info.inputs
    if CARD_KEY not in worker.info.metadata:
        return Subject(card=None, inputs=inputs, precision=find_precision(worker.model_summary))
    card = require_contract(worker.info, name=name)
    return Subject(card=card, inputs=inputs, precision=card.precision)


def _first_feeds(subject: Subject, feeds: FeedConfig) -> Arrays:
    if subject.card is None:
        from toolkit.parity.references.made_feeds import make_feed_sets

        return make_feed_sets(subject.inputs, feeds, plan=subject.plan)[0].arrays
    return {"images": np.zeros((1, *subject.card.input.shape), np.uint8)}
