"""A model as clients see it: what it says of itself, and requests brought through its batcher."""

from __future__ import annotations

__all__ = ["ServedModel"]

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from toolkit.card import Card
from toolkit.errors import ModelError, ToolkitError, WrongAnswerError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.serving.batcher import Batcher
from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.codec.request import InferRequest, ServedTensors
from toolkit.serving.codec.tensors import DATATYPES
from toolkit.serving.config import ServeConfig
from toolkit.serving.engine import Engine
from toolkit.serving.job import Arrays, Job
from toolkit.serving.stats import ModelStats

# Where nobody says how long a request may take: a second, or so many of the largest calls where those take longer.
LEAST_TIMEOUT_S = 1.0
TIMEOUT_CALLS = 10
# Of JSON, the characters that one number of a type takes at most, with its comma; what else a request holds.
JSON_CHARACTERS = {"uint8": 6, "int8": 6, "bool": 7, "int16": 8, "uint16": 7}
JSON_CHARACTERS_ELSE = 26
HEAD_BYTES = 64 << 10
# Where the file leaves a size open that is no row, or takes strings.
OPEN_BODY_BYTES = 64 << 20


Wait = Callable[[asyncio.Future[Arrays]], Awaitable[Arrays]]
Answer = TypeVar("Answer")


class ServedModel:
    """A model under its name and version.

    Attributes:
        name: in addresses.
        version: in addresses, a whole number as text.
        engine: what runs it.
        stats: what it has done, and those before it in its place.
        at_work: requests that it is answering.
        tensors: what it takes and gives.
        card: what the file says about itself; None for a stranger's.
        most_body_bytes: of a request.
    """

    def __init__(
        self, name: str, version: str, *, engine: Engine, config: ServeConfig, stats: ModelStats | None = None
    ) -> None:
        self.name, self.version, self.engine = name, version, engine
        self.stats = stats or ModelStats()
        self.at_work = 0
        self.tensors: ServedTensors = engine.opened.tensors
        self.card: Card | None = engine.opened.card
        self.most_body_bytes = _most_body_bytes(self.tensors)
        self._config = config
        self._batcher: Batcher

    async def attach(self, tell: Callable[[str], None]) -> None:
        """Begin to serve on this event loop; `tell` gets a line where the engine is lost or found again."""

        def pause(why: str) -> None:
            self._batcher.pause()
            tell(f"model {self.name}: the engine {why}")

        def resume() -> None:
            tell(f"model {self.name}: the engine is there again")
            self.stats.restarts += 1
            self._batcher.resume()

        self._batcher = Batcher(
            run=self.engine.run,
            line=self.engine.line,
            now=time.monotonic,
            call_later=asyncio.get_running_loop().call_later,
            observe=self.stats.add_call,
            max_batch=self._config.max_batch,
            max_wait_s=self._config.max_wait_ms / 1e3,
            max_queue=self._config.max_queue,
        )
        await self.engine.attach(on_lost=pause, on_ready=resume)

    @property
    def provider(self) -> str:
        """Where the engine runs."""
        return self.engine.opened.worker.info.provider_active

    @property
    def is_ready(self) -> bool:
        """Whether a request would be taken."""
        return self.engine.is_ready

    @property
    def queued_rows(self) -> int:
        """Rows that wait for the engine."""
        return self._batcher.queued_rows

    def watch(self) -> None:
        """Look after the engine and the queue; called several times a second."""
        self.engine.watch()
        self._batcher.tick()

    async def infer(
        self, read: Callable[[ServedTensors], InferRequest], write: Callable[..., Answer], *, wait: Wait
    ) -> Answer:
        """Answer a request of the protocol, in whatever form it comes.

        Args:
            read: returns the request, checked.
            write: returns the answer; called with request, outputs, `head` and `classes` as `write_reply`.
            wait: waits for outputs, and cancels them where the client is gone.

        Raises:
            RefusedError: there is no answer.
        """
        came = time.monotonic()
        request = read(self.tensors)
        began = time.monotonic()
        outputs, sent = await self.run(request.feeds, rows=request.rows, timeout_us=request.timeout_us, wait=wait)
        done = time.monotonic()
        head = {"model_name": self.name, "model_version": self.version}
        answer = write(request, outputs, head=head, classes=self.card.classes if self.card else ())
        self.stats.add_answer(request.rows, (began - came, sent - began, done - sent, time.monotonic() - done))
        return answer

    async def run(self, feeds: Arrays, *, rows: int, timeout_us: int = 0, wait: Wait) -> tuple[Arrays, float]:
        """Bring a checked request through the batcher; return its outputs and when the engine was called with it.

        Raises:
            RefusedError: it is not answered, or the model cannot compute it.
        """
        if not self.engine.is_ready:
            raise RefusedError(
                f"model {self.name} is not ready: its engine is being started", status=503, retry_after_s=1
            )
        now, timeout_s = time.monotonic(), timeout_us / 1e6 or self._timeout_s
        job = Job(
            feeds=feeds,
            rows=rows,
            answer=asyncio.get_running_loop().create_future(),
            deadline=now + timeout_s,
            shares=bool(self.tensors.largest),
        )
        self._batcher.submit(job)
        try:
            outputs = await wait(job.answer)
        except WrongAnswerError as error:
            raise RefusedError(str(error), status=500) from error
        except ModelError as error:  # it ran with other inputs: these are none that it can compute
            raise RefusedError(str(error)) from error
        except ToolkitError as error:
            raise RefusedError(f"{error}; it was tried twice", status=503, retry_after_s=1) from error
        finally:
            if job.answer.cancelled():
                self._batcher.forget(job)
        return outputs, job.sent_at

    @property
    def _timeout_s(self) -> float:
        if self._config.timeout_ms:
            return self._config.timeout_ms / 1e3
        return max(LEAST_TIMEOUT_S, TIMEOUT_CALLS * self.engine.line.predict(self._config.max_batch))

    def to_metadata(self, versions: list[str]) -> dict[str, Any]:
        """Return the protocol's metadata of a model that has these versions."""
        return {
            "name": self.name,
            "versions": versions,
            "platform": "onnx_onnxv1",
            "inputs": [_tell(spec) for spec in self.tensors.inputs.values()],
            "outputs": [_tell(spec) for spec in self.tensors.outputs.values()],
            "parameters": {"sha256": self.engine.source.sha256},
        }

    def to_statistics(self) -> dict[str, Any]:
        """Return the statistics extension's object."""
        return self.stats.to_protocol(self.name, self.version)

    def to_config(self) -> dict[str, Any]:
        """Return the configuration extension's object, as far as it says anything here."""
        largest = self.tensors.largest
        batching = {"max_queue_delay_microseconds": round(self._config.max_wait_ms * 1e3)}
        return {
            "name": self.name,
            "platform": "onnxruntime_onnx",
            "backend": "onnxruntime",
            "version_policy": {"specific": {"versions": [int(self.version)]}},
            "max_batch_size": largest,
            "input": [_configure(spec, largest) for spec in self.tensors.inputs.values()],
            "output": [_configure(spec, largest) for spec in self.tensors.outputs.values()],
            "instance_group": [
                {"name": self.name, "kind": "KIND_CPU" if self.provider == "cpu" else "KIND_GPU", "count": 1}
            ],
            **({"dynamic_batching": batching} if largest else {}),
        }


def _tell(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": list(spec.sizes)}


def _configure(spec: TensorSpec, largest: int) -> dict[str, Any]:
    datatype = DATATYPES[spec.dtype].replace("BYTES", "STRING")
    return {"name": spec.name, "data_type": f"TYPE_{datatype}", "dims": list(spec.sizes[bool(largest) :])}


def _most_body_bytes(tensors: ServedTensors) -> int:
    """Return what the largest request takes as JSON, which takes more than raw bytes."""
    total = HEAD_BYTES
    for spec in tensors.inputs.values():
        inner = spec.sizes[bool(tensors.largest) :]
        if spec.dtype == "string" or -1 in inner:
            return OPEN_BODY_BYTES
        elements = math.prod((max(1, tensors.largest), *inner))
        total += elements * JSON_CHARACTERS.get(spec.dtype, JSON_CHARACTERS_ELSE)
    return total
