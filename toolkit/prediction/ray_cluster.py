"""A prediction over Ray Data: workers read their share of the inputs and answer it; only rows come back."""

from __future__ import annotations

__all__ = ["RayCluster"]

import contextlib
import logging
import os
import signal
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from toolkit.closing import Closing
from toolkit.environment import usable_cores
from toolkit.errors import ResourceError, ToolkitError
from toolkit.prediction.open_model import DescribedModel
from toolkit.prediction.ray_work import ModelWorker, as_batch, describe_model, divide_inputs
from toolkit.prediction.sinks.outputs import existing_outputs
from toolkit.prediction.sources.open import STDIN
from toolkit.programs import import_extra
from toolkit.runtimes.ort.binding import DEVICES

if TYPE_CHECKING:
    from typing import BinaryIO

    from toolkit.onnx_file.source import ModelSource
    from toolkit.prediction.config import PredictionConfig
    from toolkit.prediction.pipeline.blocks import Answers, Block
    from toolkit.prediction.sinks.unfinished import Progress
    from toolkit.progress import OnNote

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
        self._ray: Any = import_extra("ray", extra="ray", user="--executor ray")
        self._data: Any = import_extra("ray.data", extra="ray", user="--executor ray")
        kind = "GPU" if provider in DEVICES else "CPU"
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
        told = self._ray.get(self._ray.remote(**self._resources)(describe_model).remote(source, config))
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
    ) -> Iterator[tuple[Block | None, Answers]]:
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
        outputs = tuple(path.resolve() for path in existing_outputs(config))

        def read(_: Any) -> Iterator[Any]:
            parts = divide_inputs(config, model.card.input, stdin=listed, outputs=outputs, progress=progress)
            yield from map(as_batch, parts)

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
