"""`toolkit.check_parity`: engines held against the float64 reference."""

from __future__ import annotations

__all__ = ["check_parity"]

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.api.data import load_recorded, remember_data
from toolkit.api.failures import in_callers_words
from toolkit.api.feeds import read_feeds
from toolkit.api.listener import Listener
from toolkit.api.subjects import PathLike, find_model, held_output, write_report
from toolkit.api.words import Names, Numbers, name_runtimes, split_names, split_numbers, write_call
from toolkit.artifacts import ArtifactStore
from toolkit.card import Card
from toolkit.data.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.onnx_file.external_data import read_model
from toolkit.parity.check import ParityListener, ParityOptions
from toolkit.parity.check import check_parity as check_engines
from toolkit.parity.config import ParityConfig
from toolkit.parity.diagnosis.replay import worst_folder
from toolkit.parity.report import ParityReport
from toolkit.parity.subject import Subject
from toolkit.progress import ShowProgress

if TYPE_CHECKING:
    from toolkit.api.data import Data
    from toolkit.api.feeds import Inputs, Shapes, Values

DEFAULTS = ParityConfig()
AGAINST_ALONE = (
    "--against brings its own inputs and answers; leave out --record, --data, --sample, --run, --inputs, --shape, "
    "--value and --budget"
)
NOT_BESIDE_AGAINST = ("record", "data", "sample", "run", "inputs", "shape", "value", "budget")


@in_callers_words
def check_parity(
    model: PathLike,
    *,
    runtime: Names | None = None,
    provider: Names | None = None,
    precision: Names | None = None,
    threads: Numbers | None = None,
    optimisation: Names | None = None,
    data: Data | None = None,
    sample: int | None = None,
    run: PathLike | None = None,
    inputs: Inputs | None = None,
    shape: Shapes | None = None,
    value: Values | None = None,
    budget: float | None = None,
    record: PathLike | None = None,
    against: PathLike | None = None,
    bisect: bool = False,
    at: str | None = None,
    allow_fallback: bool = False,
    allow_external_data: bool = False,
    output: PathLike | None = None,
    force: bool = False,
    listener: Listener | None = None,
) -> ParityReport:
    """Compare engines with the float64 reference, within a bound that is known before any of them runs.

    Args:
        model: an `.onnx` file, or what `toolkit.export` returned; a file without a card is judged as a stranger's.
        runtime: engines: `"ort,torch"` or a list; `all`.
        provider: ONNX Runtime's providers, `auto`, `all`; `cpu` by default.
        precision: what engines compute a float32 file in: `fp32`, `bf16`, `tf32`, `all`.
        threads: thread counts; 0 is the engine's own choice.
        optimisation: ONNX Runtime's levels: `all`, `extended`, `basic`, `none`.
        data: whose test images are judged on; what the model was made with by default.
        sample: judge only so many evenly spaced test images.
        run: the run that the model came from, found by its hash by default.
        inputs: for a file without a card: an `.npz`, or arrays by the inputs' names.
        shape: for a file without a card: whole shapes of inputs, `{"x": (2, 3)}`.
        value: for a file without a card: numbers of inputs, `{"rate": 16000}`.
        budget: for a file without a card: seconds for its reference.
        record: write images, reference answers and bounds there, for another machine.
        against: judge by what another machine recorded.
        bisect: where a row fails, find the first node whose output leaves the bound.
        at: URL of a server of the Open Inference Protocol, which `oip-http`, `oip-json` and `oip-grpc` ask.
        allow_fallback: go on with the CPU where a provider is not active, and mark the row.
        allow_external_data: trust the model: its weights may lie in files in its own folder.
        output: where the report is written as JSON, the worst samples beside it; nowhere by default.
        force: overwrite an output that exists.
        listener: hears how far it is.

    Returns:
        A row for each engine and setting; `passed` says whether the check passed.

    Raises:
        UsageError: words that make no sense for this file, or no such file, data or run.
        ModelError: the file is refused, or no reference can be computed.
        DataError: images or a recording cannot be read.
        ResourceError, ProviderError: something that was asked for by name is not here.
    """
    given = locals()
    call, told = write_call(check_parity, given), listener or Listener()
    if against is not None and any(given[name] is not None for name in NOT_BESIDE_AGAINST):
        raise UsageError(AGAINST_ALONE)
    config = ParityConfig(
        runtimes=name_runtimes(runtime, at=at, default=None),
        providers=split_names(provider) if provider else DEFAULTS.providers,
        precisions=split_names(precision) if precision else None,
        threads=DEFAULTS.threads if threads is None else split_numbers(threads, option="--threads", least=0),
        optimisations=split_names(optimisation) if optimisation else DEFAULTS.optimisations,
        sample=sample,
        allow_fallback=allow_fallback,
        at=at or "",
    )
    options = ParityOptions(
        run=None if run is None else Path(run),
        feeds=read_feeds(inputs, shape, values=value),
        budget_s=budget,
        against=None if against is None else Path(against),
        record=None if record is None else Path(record),
        bisect=bisect,
    )
    store = ArtifactStore.default()
    path = find_model(model, store=store)
    hearing = _Hearing(path, config, options=options, data=remember_data(model, data), listener=told)
    with held_output(output, force=force, inputs=(path,)) as target, held_output(record, force=force, inputs=(path,)):
        if target is not None:
            options = replace(options, worst=_free_folder(target, force=force))
        source = read_model(path, allow_external_data=allow_external_data)
        report = check_engines(source, config, options=options, store=store, listener=hearing)
        report = replace(report, command=told.repeat(call))
        write_report(target, report)
    return report


def _free_folder(output: Path, *, force: bool) -> Path:
    """Return where the worst samples go, beside the report."""
    folder = worst_folder(output)
    if folder.exists() and not force:
        raise UsageError(f"the folder {folder} of an earlier report exists; give another name or --force")
    return folder


class _Hearing(ParityListener):
    """Tells the caller's listener, refuses words that mean nothing for the file, and loads the data that was named."""

    def __init__(
        self, path: Path, config: ParityConfig, *, options: ParityOptions, data: Data | None, listener: Listener
    ) -> None:
        self._path, self._config, self._options, self._data = path, config, options, data
        self._listener = listener

    def accept(self, subject: Subject) -> None:
        name, options = self._path.name, self._options
        if subject.card is not None and (options.feeds.says_anything or options.budget_s is not None):
            words = f"{name} carries a card and is judged on images"
            raise UsageError(f"{words}; leave out --inputs, --shape, --value and --budget")
        if subject.card is None and (self._data, self._config.sample, options.run) != (None, None, None):
            raise UsageError(f"{name} carries no card, so --data, --sample and --run mean nothing to it; see --inputs")
        self._listener.accept()

    def note(self, words: str) -> None:
        self._listener.note(words)

    def progress(self, label: str, *, unit: str = "") -> AbstractContextManager[ShowProgress]:
        return self._listener.progress(label, unit=unit)

    def load_images(self, card: Card, recorded: Mapping[str, Any]) -> Dataset:
        size = (card.input.height, card.input.width)
        dataset = load_recorded(self._data, recorded, listener=self._listener, size=size)
        if self._data is None:
            dataset.require_same(card.data, owner=self._path.name)
        return dataset
