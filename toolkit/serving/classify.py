"""An encoded picture in, a label out: the same preparation, the same guard, the same words as `toolkit predict`."""

from __future__ import annotations

__all__ = ["classify"]

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from toolkit.containers.kinds import is_picture
from toolkit.prediction.pipeline.predictor import Predictor
from toolkit.prediction.pipeline.prepare_items import Preparation, prepare_items
from toolkit.prediction.sources.items import ImageItem
from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.served_model import ServedModel, Wait

# Pictures that are decoded at the same time: each takes a core, and memory for its pixels.
DECODERS = asyncio.Semaphore(2)


class _Answered:
    """What the engine has answered already, with the face of an engine."""

    def __init__(self, outputs: Mapping[str, NDArray[Any]]) -> None:
        self._outputs = outputs

    def run(self, _: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        return self._outputs


def _mistaken(body: bytes) -> str:
    """Return what was sent in a picture's place; empty where that is not known."""
    if body.lstrip()[:1] == b"{":
        return "the body is JSON, which /infer takes; send the bytes of a picture"
    # Every format but the text ones of PNM has zeros, and curl takes them out with the line ends.
    if is_picture(body) and body[:1] != b"P" and b"\0" not in body:
        return "the picture came without its zeros and line ends, as curl -d sends it; send it with --data-binary"
    return ""


async def classify(model: ServedModel, picture: bytes, *, wait: Wait) -> dict[str, Any]:
    """Return label, probabilities and doubts of a picture.

    Args:
        model: one with a card.
        picture: the bytes of a PNG, a JPEG or another format that `predict` reads.
        wait: as of `ServedModel.run`.

    Raises:
        RefusedError: the model has no card, the picture cannot be used, or there is no answer.
    """
    if model.card is None:
        raise RefusedError(
            f"model {model.name} carries no card: what its pictures are is unknown; use infer", status=404
        )
    came = time.monotonic()
    item = ImageItem(source="the picture", index=0, content=picture)
    async with DECODERS:
        block = await asyncio.to_thread(prepare_items, [item], Preparation(spec=model.card.input))
    if not len(block.images):
        raise RefusedError(_mistaken(picture) or block.messages[0])
    read = time.monotonic()
    outputs, sent = await model.run({"images": block.images}, rows=1, wait=wait)
    done = time.monotonic()
    row = Predictor(_Answered(outputs), model.card, batch=1, provider=model.provider, pads=False).answer(block)
    if row.num_errors:
        raise RefusedError(row.messages[0], status=500)
    model.stats.add_answer(1, (read - came, sent - read, done - sent, time.monotonic() - done))
    return {
        "model_name": model.name,
        "model_version": model.version,
        "label": model.card.classes[row.labels[0]],
        "index": int(row.labels[0]),
        "probability": float(row.probability[0]),
        "probabilities": dict(zip(model.card.classes, row.probabilities[0].tolist(), strict=True)),
        "margin": float(row.margin[0]) if len(model.card.classes) > 1 else None,
        "doubtful": bool(row.doubtful[0]),
        "message": row.messages.get(0, ""),
        "provider": model.provider,
    }
