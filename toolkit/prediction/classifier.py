"""The library's face of prediction: a model file in, answers out."""

from __future__ import annotations

__all__ = ["Classifier"]

import ctypes
import os
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from toolkit.closing import Closing
from toolkit.errors import ModelError, UsageError, require_known
from toolkit.imaging.settings import AUTO, PrepareSettings
from toolkit.onnx_file.source import ModelSource
from toolkit.plain import to_plain
from toolkit.prediction.answers import Prediction
from toolkit.prediction.config import DEFAULT_PROVIDER, DEFAULT_RUNTIME, EngineChoice
from toolkit.prediction.open_model import open_model
from toolkit.prediction.pipeline.blocks import Block
from toolkit.prediction.pipeline.predictor import Predictor
from toolkit.prediction.pipeline.prepare_items import Preparation, prepare_items
from toolkit.prediction.sources.given import make_items
from toolkit.runtimes.registry import find_runtime

if TYPE_CHECKING:
    from toolkit.card import Card
    from toolkit.prediction.sources.given import OneImage
    from toolkit.runtimes.base import Runtime
    from toolkit.runtimes.workers.client import WorkerRuntime

ON_ERROR = ("raise", "keep")
# Images in one call of the runtime. A device meets this one shape only: every new one would be compiled or tuned.
BATCH = 64
# Those of this process that are open; looked at in a forked child only.
_open: weakref.WeakSet[Classifier] = weakref.WeakSet()


class Classifier(Closing):
    """A model file, opened for predictions; needs NumPy and ONNX Runtime, and Pillow for pictures and other sizes.

    The file is opened in this process and not tried in another one first, as the commands do: for files that you trust.
    May be used by several threads at the same time; nothing of the process is changed (but for what importing another
    engine than `ort` does). It belongs to the process that opened it: a forked child, which has none of its engine's
    threads, opens its own. It can be pickled, for another process: there the same file is opened with the same
    arguments, and one that has changed is refused. Close it, or use it in a `with` statement.

        with Classifier("digits.onnx") as classifier:
            print(classifier.predict("seven.png").labels)

    Args:
        model: the `.onnx` file, with the card that `toolkit export` wrote into it; its path, what `toolkit.export`
            returned, or a `ModelSource`, its bytes.
        provider: `cpu`, `cuda`, `tensorrt`, `openvino`, or `auto` (CUDA where it works, else the CPU). One that is
            asked for by name and not active is an error.
        runtime: the engine: `ort`, `openvino` and the others of `toolkit runtimes list`.
        precision: arithmetic of the engine: `fp32`; `tf32` on CUDA, `bf16` with OpenVINO.
        threads: threads inside one operator; 0 leaves the engine its own choice.
        fit: how a picture becomes the model's size: `auto` (as the card says), `mnist`, `stretch`, `none`.
        polarity: what pictures are: `auto`, `light-on-dark`, `dark-on-light`.
        allow_fallback: go on with the CPU where the provider is not active; `Prediction.fallback` then says so.

    Raises:
        UsageError: an argument that nobody knows or that has no effect, or a provider that the runtime has not.
        ModelError: the file cannot be used.
        ProviderError: the provider asked for is not active.
        ResourceError: the runtime is not installed.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelSource,
        *,
        provider: str = DEFAULT_PROVIDER,
        runtime: str = DEFAULT_RUNTIME,
        precision: str = "fp32",
        threads: int = 0,
        fit: str = AUTO,
        polarity: str = AUTO,
        allow_fallback: bool = False,
    ) -> None:
        settings = PrepareSettings(fit=fit, polarity=polarity)
        choice = EngineChoice(
            runtime=runtime, provider=provider, precision=precision, threads=threads, allow_fallback=allow_fallback
        )
        source = model if isinstance(model, ModelSource) else ModelSource.read(Path(model))
        opened = open_model(source, choice, wishes=settings, probe=False)
        self._origin = str(source.path.absolute()), (source.sha256, {**to_plain(choice), **to_plain(settings)})
        self._process, self._card = os.getpid(), opened.card
        self._provider = opened.info.provider_active
        # An engine that several threads may call at once runs on a CPU, which takes a batch of any size as it comes.
        is_reentrant = self._provider in find_runtime(runtime).reentrant
        self._preparation = Preparation(spec=opened.card.input, settings=settings)
        self._runtime: Runtime | WorkerRuntime | None = opened.runtime
        self._predictor: Predictor | None = Predictor.of_model(
            opened, batch=BATCH, reentrant=is_reentrant, pads=not is_reentrant
        )
        _open.add(self)

    @property
    def card(self) -> Card:
        """What the model file says about itself: classes, input, test accuracy, golden vectors."""
        return self._card

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the probabilities."""
        return self._card.classes

    @property
    def provider(self) -> str:
        """The provider that is active."""
        return self._provider

    def predict(
        self, images: OneImage | Sequence[OneImage], *, on_error: Literal["raise", "keep"] = "raise"
    ) -> Prediction:
        """Answer one image or many.

        Args:
            images: an array of pixels from 0 to 255, uint8 or whole numbers of another type: one image or many,
                channels first or last, or flattened rows, as the model's own size tells (`find_layout`); or a file's
                path, its encoded bytes (PNG, JPEG, BMP, GIF, WebP, TIFF, PGM, PPM; also a bytearray, a memoryview, a
                file opened for bytes), a PIL image of any mode; or a sequence of these, one image each, of any sizes.
                What is not of the model's size, channels and polarity is brought there as `toolkit predict` does.
            on_error: `raise`, or `keep` an image that cannot be used as a row without an answer.

        Returns:
            One answer for each image, in their order.

        Raises:
            UsageError: `images` is of another type; it is closed, or was opened by another process.
            DataError: an array whose shape cannot be told, with the reshape to make; an image cannot be used, and they
                are not to be kept.
            ModelError: the model fails.
        """
        require_known(on_error, ON_ERROR, what="on_error")
        predictor = self._require_predictor()
        items, notes = make_items(images, self._card.input)
        block = prepare_items(items, self._preparation)
        answered = predictor.answer(_with_notes(block, notes))
        answers = Prediction.of_blocks([answered], classes=self.classes, provider=self._provider)
        if on_error == "raise":
            answers.raise_for_errors()
        return answers

    def __reduce__(self) -> tuple[Callable[..., Classifier], tuple[Any, ...]]:
        if self._runtime is None:
            raise UsageError("this Classifier is closed, so it cannot be pickled; open another one")
        return _reopen, self._origin

    def close(self) -> None:
        """Release the model; a second call does nothing, nor does one in a forked child."""
        runtime, self._runtime, self._predictor = self._runtime, None, None
        if runtime is not None and os.getpid() == self._process:
            runtime.close()

    def _require_predictor(self) -> Predictor:
        if os.getpid() != self._process:
            raise UsageError(
                f"this Classifier was opened by process {self._process}, and this is its forked child: open one here"
            )
        if self._predictor is None:
            raise UsageError("this Classifier is closed; open another one")
        return self._predictor

    def _keep_engine(self) -> None:
        # An engine that is released ends its threads, and a fork copies none: the child would crash or wait for ever.
        if self._runtime is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._runtime))


def _reopen(path: str, known: tuple[str, dict[str, Any]]) -> Classifier:
    """Return what was pickled.

    Args:
        path: where the file lay.
        known: its hash then, and the arguments that it was opened with.

    Raises:
        ModelError: the file is not there any more, or is another one now; and what `Classifier` raises.
    """
    sha256, options = known
    try:
        source = ModelSource.read(Path(path))
    except ModelError as error:
        raise ModelError(f"a pickled Classifier cannot be opened here: {error}") from error
    if source.sha256 != sha256:
        raise ModelError(
            f"the model {path} is not the one that was pickled: its SHA-256 is {source.sha256[:12]}..., expected "
            f"{sha256[:12]}...; open it anew with Classifier(...)"
        )
    return Classifier(source, **options)


def _after_fork() -> None:
    for classifier in tuple(_open):
        classifier._keep_engine()  # noqa: SLF001 - of this module


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)


def _with_notes(block: Block, notes: dict[int, str]) -> Block:
    if not notes:
        return block
    messages = dict(block.messages)
    for row, note in notes.items():
        messages[row] = f"{note}; {messages[row]}" if row in messages else note
    return replace(block, messages=messages)
