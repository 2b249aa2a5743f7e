"""Faults of a server that its protocol does not show: every answer is well formed, and wrong."""

from __future__ import annotations

__all__ = ["FAULTS", "LOADED_ONLY", "rewrite_weights"]

import queue
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

Arrays = Mapping[str, NDArray[Any]]
Run = Callable[[Arrays], dict[str, NDArray[Any]]]
# How long a request waits for a neighbour to be mixed up with.
TOGETHER_S = 0.05


def _of_outputs(change: Callable[[dict[str, NDArray[Any]]], None]) -> Callable[[Run], Run]:
    """Return the fault of a server that changes the outputs."""

    def plant(run: Run) -> Run:
        def answer(feeds: Arrays) -> dict[str, NDArray[Any]]:
            outputs = {name: array.copy() for name, array in run(feeds).items()}
            change(outputs)
            return outputs

        return answer

    return plant


def _of_images(change: Callable[[NDArray[np.uint8]], NDArray[Any]]) -> Callable[[Run], Run]:
    """Return the fault of a server that changes the images."""

    def plant(run: Run) -> Run:
        return lambda feeds: run({"images": np.ascontiguousarray(change(feeds["images"]), np.uint8)})

    return plant


def _swap_classes(outputs: dict[str, NDArray[Any]]) -> None:
    order = np.array([0, 1, 2, 5, 4, 3, 6, 7, 8, 9])
    outputs["logits"], outputs["probabilities"] = (outputs[name][:, order] for name in ("logits", "probabilities"))
    outputs["label"] = order[outputs["label"]]


def _swap_labels_only(outputs: dict[str, NDArray[Any]]) -> None:
    outputs["label"] = np.where(outputs["label"] == 3, 5, np.where(outputs["label"] == 5, 3, outputs["label"]))


def _halve_precision(outputs: dict[str, NDArray[Any]]) -> None:
    outputs["logits"] = outputs["logits"].astype(np.float16).astype(np.float32)


def _soften(outputs: dict[str, NDArray[Any]]) -> None:
    raised = np.exp(outputs["logits"] / 2)
    outputs["probabilities"] = raised / raised.sum(axis=1, keepdims=True)


def _reverse_rows(outputs: dict[str, NDArray[Any]]) -> None:
    for name, array in outputs.items():
        outputs[name] = array[::-1]


def _drop_the_last_of_a_full_batch(outputs: dict[str, NDArray[Any]]) -> None:
    """What is left of a buffer that was one row too short."""
    if len(outputs["label"]) == 64:
        outputs["logits"][-1], outputs["probabilities"][-1], outputs["label"][-1] = 0, 0.1, 0


def _answer_before(run: Run) -> Run:
    """Give the answer before, where it has the same size: a cache whose key is too short."""
    kept: dict[int, dict[str, NDArray[Any]]] = {}

    def answer(feeds: Arrays) -> dict[str, NDArray[Any]]:
        outputs = run(feeds)
        before, kept[len(feeds["images"])] = kept.get(len(feeds["images"]), outputs), outputs
        return before

    return answer


def _neighbours_answer(run: Run) -> Run:
    """Put two requests that are there together into one batch, and cut it apart as if the other one had come first."""
    waiting: queue.SimpleQueue[tuple[Arrays, Future[dict[str, NDArray[Any]]]]] = queue.SimpleQueue()

    def answer(feeds: Arrays) -> dict[str, NDArray[Any]]:
        own = feeds["images"]
        try:
            others, future = waiting.get_nowait()
        except queue.Empty:
            return wait(feeds)
        if not future.set_running_or_notify_cancel():
            return run(feeds)  # it was not waited for
        other = others["images"]
        both = run({"images": np.concatenate([own, other])})
        future.set_result({name: array[: len(other)] for name, array in both.items()})
        return {name: array[len(other) :] for name, array in both.items()}

    def wait(feeds: Arrays) -> dict[str, NDArray[Any]]:
        future: Future[dict[str, NDArray[Any]]] = Future()
        waiting.put((feeds, future))
        try:
            return future.result(TOGETHER_S)
        except TimeoutError:
            return run(feeds) if future.cancel() else future.result()

    return answer


FAULTS: dict[str, Callable[[Run], Run]] = {
    "swapped classes": _of_outputs(_swap_classes),
    "swapped labels": _of_outputs(_swap_labels_only),
    "missing scale": _of_images(lambda images: images // 255),
    "inverted": _of_images(lambda images: 255 - images),
    "transposed": _of_images(lambda images: images.transpose(0, 2, 1)),
    "shifted by a row": _of_images(lambda images: np.roll(images, 1, axis=1)),
    "half precision": _of_outputs(_halve_precision),
    "softened probabilities": _of_outputs(_soften),
    "rows reversed": _of_outputs(_reverse_rows),
    "last of a full batch lost": _of_outputs(_drop_the_last_of_a_full_batch),
    "the answer before": _answer_before,
    "a neighbour's answer": _neighbours_answer,
}
# Nobody who asks one thing after the other can see it.
LOADED_ONLY = {"a neighbour's answer"}


def rewrite_weights(model: bytes, change: Callable[[NDArray[Any]], NDArray[Any]]) -> bytes:
    """Return a file with other weights under the same names: another checkpoint, or what a quantiser left of them."""
    proto = onnx.ModelProto.FromString(model)
    for item in proto.graph.initializer:
        array = numpy_helper.to_array(item)
        if array.dtype == np.float32 and array.ndim > 1:
            item.CopyFrom(numpy_helper.from_array(change(array).astype(np.float32), item.name))
    return proto.SerializeToString()
