"""The protocol's service: the same models, words and checks as over HTTP."""

from __future__ import annotations

__all__ = ["InferenceService"]

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.json_format import ParseDict

from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.grpc.calls import Calls
from toolkit.serving.grpc.messages import SERVICE, message_class
from toolkit.serving.grpc.tensors import read_message, write_message
from toolkit.serving.job import Arrays
from toolkit.serving.repository import EXTENSIONS, ModelRepository, describe_server
from toolkit.serving.served_model import ServedModel

# Methods that probes call.
OPEN = {"ServerLive", "ServerReady"}


class InferenceService:
    """`GRPCInferenceService` of models.

    Args:
        repository: the models.
    """

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository
        self._told: Mapping[str, Callable[[Any], dict[str, Any]]] = {
            "ServerLive": lambda _: {"live": True},
            "ServerReady": lambda _: {"ready": repository.is_ready},
            "ServerMetadata": lambda _: describe_server(EXTENSIONS),
            "ModelReady": lambda asked: {"ready": repository.serves(self._find(asked))},
            "ModelMetadata": lambda asked: self._find(asked).to_metadata(repository.versions(asked.name)),
            "ModelConfig": lambda asked: {"config": self._find(asked).to_config()},
            "ModelStatistics": lambda asked: {
                "model_stats": [
                    model.to_statistics() for model in ([self._find(asked)] if asked.name else repository.models)
                ]
            },
        }

    def handlers(self, calls: Calls) -> dict[str, Any]:
        """Return the handlers of the service's methods, by their names."""
        made = {}
        for method in SERVICE.methods:
            request, response = message_class(method.input_type.name), message_class(method.output_type.name)
            answer = self._infer if method.name == "ModelInfer" else _telling(self._told[method.name], response)
            made[method.name] = calls.unary(request, answer, is_open=method.name in OPEN)
        return made

    def _find(self, asked: Any) -> ServedModel:
        return self._repository.find(asked.name, asked.version or None)

    async def _infer(self, message: Any, context: Any) -> Any:
        async def wait(answer: asyncio.Future[Arrays]) -> Arrays:
            try:
                return await answer
            except asyncio.CancelledError as error:
                if context.time_remaining() == 0:
                    raise RefusedError("the time that the client gave is over", status=504) from error
                raise RefusedError("the client went away", status=499) from error

        model = self._repository.find(message.model_name, message.model_version or None)
        with self._repository.counting(model), self._repository.taking(model) as standing:
            read = functools.partial(read_message, message, left_s=context.time_remaining())
            return await standing.infer(read, write_message, wait=wait)


def _telling(tell: Callable[[Any], dict[str, Any]], response: Any) -> Callable[[Any, Any], Any]:
    async def answer(message: Any, _: Any) -> Any:
        # What is told in JSON may be more than the messages have fields for: the file's hash.
        return ParseDict(tell(message), response(), ignore_unknown_fields=True)

    return answer
