"""A prediction over Ray Data: the same sources and sinks, one model on every worker of a cluster."""

from __future__ import annotations

__all__ = ["RayCluster"]

import contextlib
import io
import logging
import os
import signal
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.closing import Closing
from toolkit.environment import usable_cores
from toolkit.errors import ResourceError
from toolkit.plain import from_plain
from toolkit.prediction.blocks import Answers, Block
from toolkit.prediction.crossing import read_answers
from toolkit.prediction.described_runtime import DescribedRuntime
from toolkit.prediction.open_model import OpenedModel
from toolkit.prediction.ray_parts import (
    BODY,
    KIND,
    ModelWorker,
    ReadRequest,
    RunRequest,
    describe_model,
    raise_sent,
    read_jobs,
)
from toolkit.runtimes.base import RuntimeInfo, RuntimeSettings
from toolkit.runtimes.contract import require_contract
from toolkit.runtimes.frames import read_frame
from toolkit.runtimes.ort_binding import DEVICES
from toolkit.runtimes.source import ModelSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.progress import OnNote

INSTALL = "pip install 'onnx-parity-toolkit[ray]'"
# Ray's own words are for those who look after a cluster; its errors reach the user as exceptions.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}


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
        try:
            self._ray: Any = import_module("ray")
            self._data: Any = import_module("ray.data")
        except ImportError as error:
            raise ResourceError(f"--executor ray needs Ray ({error}); get it with: {INSTALL}") from error
        self._needs_gpu = provider in DEVICES
        self._is_own = not self._ray.is_initialized()
        if self._is_own:
            self._connect(workers)
        self.num_workers = self._count_workers(workers)

    def open_model(self, source: ModelSource, request: RunRequest) -> OpenedModel:
        """Let one worker open the model and return what it says is running there.

        Raises:
            ToolkitError: as `open_model`.
        """
        remote = self._ray.remote(**self._resources())(describe_model)
        kind, body = self._ray.get(remote.remote(request))
        if kind == "error":
            raise_sent(body)
        frame = read_frame(io.BytesIO(body))
        assert frame is not None
        header = frame[0]
        info = from_plain(RuntimeInfo, header["info"])
        return OpenedModel(
            source=source,
            runtime=DescribedRuntime(info),
            card=require_contract(info, name=str(source.path)),
            settings=RuntimeSettings(**header["settings"]),
            notes=tuple(header["notes"]),
        )

    def run(self, read: ReadRequest, run: RunRequest, *, on_note: OnNote) -> Iterator[tuple[Block, Answers]]:
        """Yield every job's answers, in the order of the jobs.

        The block has pictures where `run.with_images` asks for them, else none.

        Raises:
            ToolkitError: an input or the model fails, as in a local prediction.
        """
        dataset = self._data.read_datasource(self._make_source(read), override_num_blocks=1, num_cpus=0)
        answered = dataset.map_batches(
            _make_caller(),
            fn_constructor_args=(run,),
            batch_size=None,
            batch_format="pyarrow",
            compute=self._data.ActorPoolStrategy(size=self.num_workers),
            **self._resources(),
        )
        for row in answered.iter_rows():
            kind, body = row[KIND], row[BODY]
            if kind == "error":
                raise_sent(body)
            elif kind == "note":
                on_note(body.decode())
            else:
                yield _read_answered(body)

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
        # A block for each job: larger ones would wait until they are full, and go to one worker.
        context.target_max_block_size = 1

    def _count_workers(self, wanted: int | None) -> int:
        kind = "GPU" if self._needs_gpu else "CPU"
        most = int(self._ray.cluster_resources().get(kind, 0))
        if not most:
            raise ResourceError(
                f"the Ray cluster has no {kind}; add a machine that has one, or choose another provider"
            )
        return min(wanted, most) if wanted else most

    def _resources(self) -> dict[str, float]:
        return {"num_cpus": 1, "num_gpus": 1} if self._needs_gpu else {"num_cpus": 1}

    def _make_source(self, request: ReadRequest) -> Any:
        arrow, block = import_module("pyarrow"), import_module("ray.data.block")
        base, read_task = self._data.Datasource, self._data.ReadTask

        class Source(base):  # type: ignore[valid-type, misc]  # its base is imported when it is needed
            """The jobs, read by one task beside the driver."""

            supports_distributed_reads = False

            def estimate_inmemory_data_size(self) -> int | None:
                """Nobody knows before they are read."""
                return None

            def get_read_tasks(self, *_: Any, **__: Any) -> list[Any]:
                """Return the one task."""
                unknown = block.BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
                return [read_task(lambda: (_as_table(arrow, [frame]) for frame in read_jobs(request)), unknown)]

        return Source()


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

    class Job(base):  # type: ignore[misc, valid-type]  # its base is imported when it is needed
        def _runtime_env_has_working_dir(self) -> bool:
            return True

    return Job()


def _make_caller() -> Any:
    """Return the class that Ray Data calls, made here so that its workers import the package by themselves."""

    class Caller:
        def __init__(self, request: RunRequest) -> None:
            self._worker = ModelWorker(request)

        def __call__(self, table: Any) -> Any:
            rows = zip(table[KIND].to_pylist(), table[BODY].to_pylist(), strict=True)
            return _as_table(import_module("pyarrow"), [self._worker.answer(kind, body) for kind, body in rows])

    return Caller


def _as_table(arrow: Any, frames: list[tuple[str, bytes]]) -> Any:
    kinds, bodies = zip(*frames, strict=True)
    return arrow.table({KIND: list(kinds), BODY: arrow.array(list(bodies), arrow.large_binary())})


def _read_answered(body: bytes) -> tuple[Block, Answers]:
    stream = io.BytesIO(body)
    answers, images = read_answers(stream)
    frame = read_frame(stream) if images is not None else None
    block = Block(
        sources=answers.sources,
        indices=answers.indices,
        images=images if images is not None else np.empty((0, 0, 0), np.uint8),
        places=frame[1]["places"] if frame is not None else np.empty(0, np.int64),
        messages={},
    )
    return block, answers
