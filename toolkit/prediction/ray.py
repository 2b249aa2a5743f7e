"""A prediction over Ray Data: workers read their share of the inputs and answer it; only rows come back.

The driver has a `RayCluster`. Beside it one task names the parts (`divide_inputs`), and a `ModelWorker` for each core
or GPU answers them. They speak in messages: a kind (items, file, answers, note, error) and a value.
"""

from __future__ import annotations

__all__ = ["Message", "ModelWorker", "RayCluster", "divide_inputs"]

import contextlib
import logging
import os
import signal
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from importlib import import_module
from io import BytesIO
from itertools import groupby, repeat
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.closing import Closing
from toolkit.environment import usable_cores
from toolkit.errors import ResourceError, ToolkitError
from toolkit.onnx_file.source import ModelSource
from toolkit.prediction.config import PredictionConfig
from toolkit.prediction.open_model import DescribedModel, OpenedModel, open_model
from toolkit.prediction.pipeline.blocks import AnsweredBlock, Block
from toolkit.prediction.pipeline.predictor import Predictor
from toolkit.prediction.pipeline.prepare_items import Preparation, prepare_items
from toolkit.prediction.sinks.target import Progress
from toolkit.prediction.sources.items import PackedFile, group_items, rows_per_job, skip_rows
from toolkit.prediction.sources.open import STDIN, open_items, open_packed, walk_inputs
from toolkit.programs import import_extra
from toolkit.progress import OnNote
from toolkit.runtimes.providers import CUDA_PROVIDERS

# Ray's own words are for those who look after a cluster; its errors reach the user as exceptions.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
# What travels: what it is, and a value of that kind.
Message: TypeAlias = tuple[str, Any]


class RayCluster(Closing):
    """A connection to the cluster that `RAY_ADDRESS` names, or to one that is started on this machine.

    Args:
        provider: on CUDA and TensorRT every worker takes a GPU, else a core.
        workers: how many; None: one for each GPU or core of the cluster.

    Raises:
        ResourceError: Ray is not installed, the cluster cannot be reached or has no such worker.
    """

    def __init__(self, *, provider: str, workers: int | None) -> None:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        warnings.filterwarnings("ignore", module=r"ray\..*")  # of Ray about itself
        self._ray: Any = import_extra("ray", extra="ray", user="--executor ray")
        self._data: Any = import_extra("ray.data", extra="ray", user="--executor ray")
        kind = "GPU" if provider in CUDA_PROVIDERS else "CPU"
        self._resources = {"num_cpus": 1, "num_gpus": 1} if kind == "GPU" else {"num_cpus": 1}
        self._is_own = not self._ray.is_initialized()
        if self._is_own:
            self._connect(workers)
        most = int(self._ray.cluster_resources().get(kind, 0))
        if not most:
            raise ResourceError(
                f"the Ray cluster has no {kind}; add a machine that has one, or choose another provider"
            )
        self.num_workers = min(workers, most) if workers else most

    def open_model(self, source: ModelSource, config: PredictionConfig) -> DescribedModel:
        """Let one worker open the model and return what it says is running there.

        Raises:
            ToolkitError: as `open_model`.
        """
        told = self._ray.get(self._ray.remote(**self._resources)(_describe_model).remote(source, config))
        if isinstance(told, ToolkitError):
            raise told
        model: DescribedModel = told
        return model

    def run(
        self,
        model: DescribedModel,
        config: PredictionConfig,
        *,
        stdin: BinaryIO,
        progress: Progress,
        on_note: OnNote,
    ) -> Iterator[tuple[Block | None, AnsweredBlock]]:
        """Yield the answers in the order of the inputs, with their pictures where there is a gallery to make.

        Args:
            model: as `open_model` returned it.
            config: of the prediction.
            stdin: where an input called `-` is read.
            progress: of an unfinished result that is gone on with.
            on_note: as in `open_items`.

        Raises:
            ToolkitError: an input or the model fails, as in a local prediction.
        """
        listed = stdin.read() if STDIN in map(str, config.inputs) else b""
        outputs = tuple(path.resolve() for path in config.existing_outputs())

        def read(_: Any) -> Iterator[Any]:
            parts = divide_inputs(config, model.card.input, stdin=listed, outputs=outputs, progress=progress)
            yield from map(_as_batch, parts)

        # One task beside the driver names the parts as they are asked for.
        parts = self._data.from_items([0]).map_batches(read, batch_size=None, num_cpus=0)
        answered = parts.map_batches(
            ModelWorker,
            fn_constructor_args=(model.source, config),
            batch_size=None,
            compute=self._data.ActorPoolStrategy(size=self.num_workers),
            **self._resources,
        )
        for row in answered.iter_rows():
            kind, value = row["parcel"].message
            if kind == "error":
                raise value
            elif kind == "note":
                on_note(value)
            else:
                yield value

    def close(self) -> None:
        """Leave the cluster, and end it where it was started here."""
        if self._is_own:
            self._ray.shutdown()

    def _connect(self, workers: int | None) -> None:
        own = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": max(workers or 1, usable_cores())}
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with _native_stderr_closed():
                self._ray.init(
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    job_config=_make_job_config(),
                    **own,
                )
        except Exception as error:  # Ray's errors share no base
            raise ResourceError(f"Ray cannot be used: {' '.join(str(error).split())[:300]}") from error
        if signal.getsignal(signal.SIGTERM) is not handler:
            signal.signal(signal.SIGTERM, handler)  # Ray's own would end this process without its last record
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)
        context = self._data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        # A block for each message: larger ones would wait until they are full, and go to one worker.
        context.target_max_block_size = 1


def divide_inputs(
    config: PredictionConfig, spec: InputSpec, *, stdin: bytes, outputs: tuple[Path, ...], progress: Progress
) -> Iterator[Message]:
    """Yield what one worker does at a time: the paths of some pictures, or one file that holds many.

    Nothing but folders is read here. Where an unfinished result is gone on with, everything is, and pictures travel.
    """
    notes, rows = list[str](), rows_per_job(config.batch, spec)
    told: dict[str, Any] = {"on_note": notes.append, "stdin": BytesIO(stdin), "outputs": outputs}
    try:
        entries: Iterator[Any] = walk_inputs(config.inputs, **told)
        if progress.rows:  # nobody knows which file the last row came from before it is met again
            entries = skip_rows(open_items(config.inputs, spec=spec, **told), progress.rows, last=progress.last)
        for is_packed, some in groupby(entries, lambda entry: isinstance(entry, PackedFile)):
            if is_packed:
                yield from zip(repeat("file"), some, strict=False)
            else:
                yield from zip(repeat("items"), group_items(some, rows), strict=False)
        yield from (("note", note) for note in notes)
    except ToolkitError as error:
        yield "error", error


class ModelWorker:
    """One model on one worker; opened with the first job, so that a failure travels like an answer.

    Args:
        source: the model; workers need not have its file.
        config: of the prediction.
    """

    def __init__(self, source: ModelSource, config: PredictionConfig) -> None:
        self._source, self._config = source, config
        self._opened: tuple[Predictor, Preparation] | None = None

    def __call__(self, batch: dict[str, npt.NDArray[Any]]) -> Iterator[dict[str, npt.NDArray[Any]]]:
        """Answer what `divide_inputs` sent, as Ray Data calls it."""
        for parcel in batch["parcel"]:
            yield from map(_as_batch, self.answer(*parcel.message))

    def answer(self, kind: str, value: Any) -> Iterator[Message]:
        """Yield the answers of a part's rows, job by job; hand on what is no part."""
        if kind not in {"items", "file"}:
            yield kind, value
            return
        try:
            predictor, preparation = self._opened = self._opened or self._open()
            notes: list[str] = []
            spec = preparation.spec
            items = open_packed(value, on_note=notes.append, spec=spec) if kind == "file" else value
            for job in group_items(items, rows_per_job(self._config.batch, spec)):
                block = prepare_items(job, preparation)
                yield "answers", (block if self._config.gallery else None, predictor.answer(block))
            yield from (("note", note) for note in notes)
        except ToolkitError as error:
            yield "error", error

    def _open(self) -> tuple[Predictor, Preparation]:
        opened, config = _open_model(self._source, self._config), self._config
        return Predictor.of_model(opened, batch=config.batch), Preparation(
            spec=opened.card.input, settings=config.settings
        )


def _describe_model(source: ModelSource, config: PredictionConfig) -> DescribedModel | ToolkitError:
    """Open the model as a worker does and return what is really running, or why it cannot."""
    try:
        opened = _open_model(source, config)
    except ToolkitError as error:
        return error
    with opened.runtime:
        return DescribedModel(**{field.name: getattr(opened, field.name) for field in fields(DescribedModel)})


@dataclass(frozen=True, slots=True)
class _Parcel:
    """A message on its way, wrapped so that Arrow does not take it apart: Ray carries it as it is.

    Attributes:
        message: what travels.
    """

    message: Message


def _as_batch(message: Message) -> dict[str, npt.NDArray[Any]]:
    """Return what Ray Data sends: one row with one object."""
    column = np.empty(1, object)
    column[0] = _Parcel(message)
    return {"parcel": column}


def _open_model(source: ModelSource, config: PredictionConfig) -> OpenedModel:
    """Open it as a worker does, which has one core, unless it is told otherwise."""
    return open_model(source, replace(config.engine, threads=config.engine.threads or 1), wishes=config.settings)


@contextlib.contextmanager
def _native_stderr_closed() -> Iterator[None]:
    """Keep what Ray's C++ writes at its start from the user; what fails is raised all the same."""
    saved, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nothing)


def _make_job_config() -> Any:
    """Return Ray's settings of a job, without the working folder on its workers' path: a module there may be anybody's.

    Ray adds that folder before all others, except to a job that brings a working folder of its own.
    """
    base = import_module("ray.job_config").JobConfig

    class IsolatedJob(base):  # type: ignore[misc, valid-type]  # its base is imported when it is needed
        def _runtime_env_has_working_dir(self) -> bool:
            return True

    return IsolatedJob()
