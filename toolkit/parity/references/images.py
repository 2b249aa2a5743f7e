"""The images of a check of one of our models, their float64 logits and the bound, known before any engine is judged.

Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = [
    "Reference",
    "SuiteReference",
    "bound_suites",
    "compute_reference",
    "make_suites",
    "special_images",
    "spread_indices",
]

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from toolkit.card import Golden
from toolkit.data.images import PIECE_PIXELS, split_images
from toolkit.errors import ModelError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.agreement import Agreement, compare_outputs
from toolkit.runtimes.base import Arrays, RuntimeSettings
from toolkit.runtimes.contract import golden_images
from toolkit.runtimes.references.rounding import BOUND_FORMULA, bound_from_errors, bound_from_sigma
from toolkit.runtimes.workers.client import OpenedWorker, Opener, open_worker
from toolkit.runtimes.workers.early import EarlyOpener
from toolkit.runtimes.workers.time_limits import REFERENCE_S

# Images of a suite on which the bound is computed; the factor of 8 covers what a sample misses.
BOUND_SAMPLE = 128
# The card's bound is of training or validation images; on test images the formula gives nearly the same.
STATED_FACTOR = 4.0
# The run's own network, its weights widened.
NETWORK = RuntimeSettings(runtime="torch", precision="fp64")
Images = NDArray[np.uint8]
# At once in float64: 100 images of 28x28, nearly as quick as 500, of which a network that looks at five views of
# each would hold 2,500.
REFERENCE_PIXELS = PIECE_PIXELS // 5
NOISE_COUNT = 256
NOISE_SEED = 20_260_101


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteReference:
    """What is known of one suite.

    Attributes:
        is_of_images: whether it belongs to a model of ours.
        output_names: what the contract has an engine give.
        name: of the suite.
        images: uint8 `[N, H, W]` or `[N, H, W, 3]`.
        logits: float64 `[N, K]`.
        bound: largest absolute logit error that rounding explains.
    """

    is_of_images: ClassVar[bool] = True
    output_names: ClassVar[tuple[str, ...]] = ("logits", "probabilities", "label")

    name: str
    images: Images
    logits: NDArray[np.float64]
    bound: float

    def __getitem__(self, chosen: slice | NDArray[np.int64]) -> SuiteReference:
        """Return what is known of some of the images."""
        return replace(self, images=self.images[chosen], logits=self.logits[chosen])

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def feeds(self) -> dict[str, NDArray[Any]]:
        """All images as one call."""
        return {"images": self.images}

    @property
    def outputs(self) -> dict[str, NDArray[Any]]:
        """The logits by their name."""
        return {"logits": self.logits}

    def split(self, batch: int) -> tuple[Arrays, ...]:
        """Return the images in batches of at most this size."""
        return tuple({"images": self.images[start : start + batch]} for start in range(0, len(self), batch))

    def around(self, index: int, batch: int) -> tuple[int, SuiteReference]:
        """Return where the batch that holds an image begins, and what is known of that batch."""
        start = index // batch * batch
        return start, self[start : start + batch]

    def image(self, position: int) -> NDArray[np.uint8]:
        """Return an image, uint8 `[H, W]` or `[H, W, 3]`."""
        chosen: NDArray[np.uint8] = self.images[position]
        return chosen

    def compare(self, outputs: Arrays) -> Agreement:
        """Compare an engine's outputs with the logits."""
        return compare_outputs(outputs, self.logits, bound=self.bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The reference of a whole check.

    Attributes:
        kind: `pytorch-float64` (the run's weights widened) or `onnx-float64` (the file's).
        suites: one entry for each suite.
    """

    kind: str
    suites: tuple[SuiteReference, ...]

    @property
    def rule(self) -> str:
        """Where the bound comes from."""
        return BOUND_FORMULA

    def with_golden(self, golden: Golden | None) -> Reference:
        """Return the reference with the card's golden vectors as a further suite.

        Their answers were written down at export: where the run is gone and the file's own weights are the reference,
        they are what a damaged file still differs from.
        """
        if golden is None:
            return self
        images = golden_images(golden)
        logits = np.array(golden.logits)
        entry = SuiteReference(name="golden", images=images, logits=logits, bound=golden.tolerance)
        return replace(self, suites=(*self.suites, entry))


def make_suites(test: NDArray[np.uint8], *, sample: int | None = None) -> dict[str, NDArray[np.uint8]]:
    """Return the test images (all, or evenly spaced ones), seeded uniform noise and the special images, by name.

    Each is uint8 `[N, H, W]` or `[N, H, W, 3]`, and has a bound of its own.
    """
    chosen = test[spread_indices(len(test), sample)] if sample is not None else test
    shape = test.shape[1:]
    noise = np.random.default_rng(NOISE_SEED).integers(0, 256, (NOISE_COUNT, *shape), np.uint8)
    return {"test": chosen, "noise": noise, "special": special_images(shape)}


def spread_indices(count: int, sample: int) -> NDArray[np.int64]:
    """Return `sample` evenly spaced indices into `count` images, all of them where there are no more."""
    return np.linspace(0, count - 1, min(sample, count)).astype(np.int64)


def special_images(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return black, white, mid grey, one bright pixel (corners and middle), a ramp and a checkerboard."""
    height, width = shape[:2]
    flat = [np.full(shape, value, np.uint8) for value in (0, 255, 128)]
    dots = []
    for row, column in ((0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1), (height // 2, width // 2)):
        dot = np.zeros(shape, np.uint8)
        dot[row, column] = 255
        dots.append(dot)
    rows, columns = np.indices((height, width))
    patterns = [(columns * 255 // max(1, width - 1)).astype(np.uint8), ((rows + columns) % 2 * 255).astype(np.uint8)]
    if len(shape) == 3:
        patterns = [np.repeat(pattern[:, :, None], shape[2], axis=2) for pattern in patterns]
    return np.stack([*flat, *dots, *patterns])


def compute_reference(
    source: ModelSource,
    suites: Mapping[str, Images],
    *,
    precision: str,
    stated: float | None = None,
    opener: Opener = open_worker,
) -> Reference:
    """Compute float64 logits by the best reference at hand, and the bound from the file's own graph.

    Args:
        source: the model, with its run where there is one.
        suites: the images of each by its name, `test` first.
        precision: arithmetic of the file.
        stated: the card's bound. A quantised file is held to it because no formula gives one; another file may pass it
            a few times on test images, but not raise it by the very weights that are in question.
        opener: opens the file, and the run.

    Raises:
        ModelError: the run's checkpoint or the file's graph cannot be evaluated.
        WorkerError: a reference process died.
    """
    kind = "onnx-float64" if source.run is None else "pytorch-float64"
    graph_settings = RuntimeSettings(runtime="onnx-float64", precision=precision)
    with contextlib.ExitStack() as opened:
        early = opened.enter_context(EarlyOpener(opener))
        if source.run is not None:
            # PyTorch takes longer to start than the bounds to compute, each on a core of its own.
            early.begin(source, NETWORK, timeout_s=REFERENCE_S)
        graph = opened.enter_context(opener(source, graph_settings, timeout_s=REFERENCE_S))
        bounds = [] if precision == "int8" else [_bound(graph, images) for images in suites.values()]
        network = graph if source.run is None else opened.enter_context(early(source, NETWORK, timeout_s=REFERENCE_S))
        logits = _all_logits(network, suites)
        if precision == "int8":
            bounds = _bound_quantised(graph, suites, logits=logits, stated=stated)
        elif stated:
            # Only the test images: the card knows nothing of noise and special ones.
            bounds[0] = min(bounds[0], STATED_FACTOR * stated)
    entries = zip(suites.items(), logits, bounds, strict=True)
    return Reference(
        kind=kind,
        suites=tuple(
            SuiteReference(name=name, images=images, logits=values, bound=bound)
            for (name, images), values, bound in entries
        ),
    )


def bound_suites(
    source: ModelSource, suites: Iterable[Images], *, settings: RuntimeSettings, opener: Opener
) -> list[float]:
    """Return the bound of every suite in the arithmetic of these settings, from the file's own graph."""
    graph_settings = RuntimeSettings(runtime="onnx-float64", precision=settings.precision, tf32=settings.tf32)
    with opener(source, graph_settings, timeout_s=REFERENCE_S) as graph:
        return [_bound(graph, images) for images in suites]


def _bound(graph: OpenedWorker, images: Images) -> float:
    chosen = images[spread_indices(len(images), BOUND_SAMPLE)]
    return bound_from_sigma(graph.run({"images": chosen})["rounding_sigma"])


def _bound_quantised(
    graph: OpenedWorker, suites: Mapping[str, Images], *, logits: list[NDArray[np.float64]], stated: float | None
) -> list[float]:
    """Return one bound for each suite, known before any engine runs.

    The card's comes from training or validation images, and the export held it against the test images. Noise and
    special images may leave the calibrated ranges: theirs comes from the quantised graph itself in float64, and is
    never under the card's.

    Args:
        graph: the quantised graph in float64.
        suites: `test` first.
        logits: float64 `[N, K]`, the reference's, one entry for each suite.
        stated: the card's bound.

    Raises:
        ModelError: the card states none.
    """
    if stated is None or not 0 < stated < np.inf:
        raise ModelError(f"the card of this quantised file states the bound {stated}; expected a positive number")
    seen = _all_logits(graph, dict(list(suites.items())[1:]))
    errors = [np.abs(values - exact).max() for values, exact in zip(seen, logits[1:], strict=True)]
    return [stated, *(max(stated, bound_from_errors(error)) if error else stated for error in errors)]


def _all_logits(runtime: OpenedWorker, suites: Mapping[str, Images]) -> list[NDArray[np.float64]]:
    logits = []
    for name, images in suites.items():
        pieces = split_images(images, pixels=REFERENCE_PIXELS)
        values = np.concatenate([runtime.run({"images": piece})["logits"] for piece in pieces])
        if not np.isfinite(values).all():
            raise ModelError(f"the float64 reference is not finite on the suite {name}; the weights are damaged")
        logits.append(values)
    return logits
