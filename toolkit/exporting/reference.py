"""What a file is held against while it is made: probe images, their exact answers, the bound, the golden vectors.

Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = [
    "ProbeImages",
    "choose_golden",
    "count_golden",
    "float64_logits",
    "make_golden",
    "make_probe",
    "pack_golden",
    "split_training",
    "synthetic_images",
]

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from toolkit.card import Golden
from toolkit.data.dataset import Dataset, Split
from toolkit.data.images import PIECE_PIXELS, split_images
from toolkit.data.split import hold_out_validation
from toolkit.exporting.guard import calibrate_guard
from toolkit.imaging.guard import measure_margins
from toolkit.network.cnn import CNN
from toolkit.runtimes.references.onnx_float64 import evaluate_with_rounding
from toolkit.runtimes.references.rounding import UNIT_ROUNDOFF, bound_from_errors, bound_from_sigma

# Images on which the bound is computed, besides the golden ones.
BOUND_SAMPLE = 128
# The last digits of a float64 sum depend on threads and on where arrays lie (1.8e-15 seen between two exports of one
# checkpoint), and the same checkpoint has to give the same bytes. Tolerances are ten thousand times coarser than this.
GOLDEN_DIGITS = 9
LEAST_GOLDEN = 16
CAP_BASE64_BYTES = 256 << 10
# One of nine digits with its sign, exponent and comma. A thousand classes' would make a card of 10 MB.
LOGIT_BYTES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeImages:
    """Images with their answers, known before any engine runs.

    Attributes:
        images: uint8 `[N, H, W]` or `[N, H, W, 3]`, the golden ones first; at least 128.
        logits: float64 `[N, K]`, by PyTorch.
        bound: largest logit error that rounding explains.
        golden_count: how many of the first images may become golden vectors.
        precision: arithmetic of the file, whose rounding the bound allows.
        split: what the images were to the run: `validation`, or `training` where it held none out.
        guard: thresholds of the input guard, from all of those that these were chosen from.
    """

    images: NDArray[np.uint8]
    logits: NDArray[np.float64]
    bound: float
    golden_count: int
    precision: str
    split: str
    guard: dict[str, Any]


def make_probe(
    network: CNN, graph: onnx.ModelProto, *, data: Dataset, split: str, precision: str, bound: float | None = None
) -> ProbeImages:
    """Choose images from those that a training holds out and answer them in float64.

    Args:
        network: the checkpoint's; float32 again when this returns.
        graph: traced from it, or derived from that.
        data: what it was trained on.
        split: what those images were to the run.
        precision: arithmetic of the graph.
        bound: of a quantised graph, for which the formula gives none.
    """
    pool = split_training(data)[1]
    # Of all held-out images in float32, which chooses and calibrates; of those chosen in float64, which judges.
    logits = _logits(network, pool.images).astype(np.float64)
    golden = choose_golden(pool.labels, logits, image_bytes=pool.images[0].nbytes)
    spaced = np.linspace(0, len(pool) - 1, BOUND_SAMPLE).astype(np.int64)
    # The bound holds for the golden vectors too, because they are among the images that it is computed on.
    images = pool.images[np.concatenate([golden, spaced])]
    return ProbeImages(
        images=images,
        logits=float64_logits(network, images),
        bound=bound or _bound(graph, images, precision=precision),
        golden_count=len(golden),
        precision=precision,
        split=split,
        guard=calibrate_guard(pool.images, logits, split=split),
    )


def make_golden(kind: str, probe: ProbeImages, *, network: CNN, graph: onnx.ModelProto) -> Golden | None:
    """Return the golden vectors, or None where none are wanted or not one image fits.

    Args:
        kind: `data`, `synthetic` or `none`.
        probe: of this network and graph.
        network: answers synthetic images.
        graph: gives their bound.
    """
    shape = probe.images.shape[1:]
    count = probe.golden_count
    if kind == "synthetic":
        count = count_golden(classes=probe.logits.shape[1], image_bytes=probe.images[0].nbytes)
    if kind == "none" or not count:
        return None
    images, logits, bound = probe.images[:count], probe.logits[:count], probe.bound
    if kind == "synthetic":
        images = synthetic_images(shape, count=count)
        logits = float64_logits(network, images)
        bound = max(bound, _bound_others(graph, images, logits=logits, precision=probe.precision))
    return pack_golden(images, logits, tolerance=bound, split=probe.split if kind == "data" else None)


def pack_golden(
    images: NDArray[np.uint8], logits: NDArray[np.float64], *, tolerance: float, split: str | None = None
) -> Golden:
    """Return golden vectors as a card has them.

    Args:
        images: uint8 `[N, H, W]` or `[N, H, W, 3]`.
        logits: float64 `[N, K]`.
        tolerance: largest logit error that rounding explains.
        split: what the images were to the training; None for synthetic ones.
    """
    return Golden(
        origin="data" if split else "synthetic",
        split=split,
        images=images.tobytes(),
        shape=images.shape,
        logits=tuple(tuple(float(f"{item:.{GOLDEN_DIGITS}g}") for item in row) for row in logits),
        tolerance=tolerance,
    )


def float64_logits(network: CNN, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the network's logits `[N, K]` with its weights widened; it is float32 again when this returns."""
    # In place: a second network in float64 would take twice the memory again.
    network.double()
    try:
        return _logits(network, images).astype(np.float64, copy=False)
    finally:
        network.float()


def split_training(data: Dataset) -> tuple[Split, Split]:
    """Return what calibrates int8 and what a training holds out; whether the run did: `RunConfig.probe_split`."""
    return hold_out_validation(data.train)


def count_golden(*, classes: int, image_bytes: int) -> int:
    """Return how many golden images are wanted and fit: 16 or classes + 3, at most 256 KB as base64; 0 if none fits.

    Over 16 their logits take at most as much, which leaves fewer than classes + 3 from 114 classes on.
    """
    room = CAP_BASE64_BYTES * 3 // 4 // image_bytes
    answers = max(LEAST_GOLDEN, CAP_BASE64_BYTES // (LOGIT_BYTES * classes))
    return min(max(LEAST_GOLDEN, classes + 3), answers, room)


def choose_golden(labels: NDArray[np.int64], logits: NDArray[np.float64], *, image_bytes: int) -> NDArray[np.int64]:
    """Choose images on which a broken file fails: the smallest margins, one of every class, then the first ones.

    Args:
        labels: int64 `[N]`, true classes.
        logits: float64 `[N, K]`, reference logits.
        image_bytes: size of one image; the choice stays under 256 KB as base64, and may be empty.

    Returns:
        Ascending indices: at least 16 and classes + 3 where there are so many images and they and their logits fit.
    """
    order = np.argsort(measure_margins(logits), kind="stable")
    firsts = [int(np.flatnonzero(labels == value)[0]) for value in np.unique(labels)]
    wanted = count_golden(classes=logits.shape[1], image_bytes=image_bytes)
    candidates = dict.fromkeys([*order[:3].tolist(), *firsts, *range(min(len(labels), 4 * wanted))])
    return np.array(sorted(list(candidates)[:wanted]), np.int64)


def synthetic_images(shape: tuple[int, ...], *, count: int) -> NDArray[np.uint8]:
    """Return images that show nothing of anyone's data: black, white, a ramp, one bright pixel, seeded noise.

    In RGB the ramp runs another way in each channel: however few images fit, swapped channels show.

    Args:
        shape: of one image.
        count: how many.

    Returns:
        uint8 `[count, *shape]`.
    """
    images = np.random.default_rng(0).integers(0, 256, (max(count, 4), *shape), np.uint8)
    images[0], images[1] = 0, 255
    images[2] = _ramp(shape)
    images[3] = 0
    images[3, shape[0] // 2, shape[1] // 2] = 255
    return images[:count]


def _bound(graph: onnx.ModelProto, images: NDArray[np.uint8], *, precision: str) -> float:
    # The graph is gone through once in float64, and beside every value its variance by rounding in the file's own
    # precision: what the logits' deviations come to is what an engine may be off, whatever order it adds in.
    return bound_from_sigma(evaluate_with_rounding(graph, images, roundoff=UNIT_ROUNDOFF[precision])[1])


def _bound_others(
    graph: onnx.ModelProto, images: NDArray[np.uint8], *, logits: NDArray[np.float64], precision: str
) -> float:
    """Return the bound on images of another kind, which leave the ranges of a quantised graph."""
    # What a quantiser cuts off is no rounding: the formula is void, and the errors themselves are looked at.
    if precision != "int8":
        return _bound(graph, images, precision=precision)
    exact = evaluate_with_rounding(graph, images, roundoff=UNIT_ROUNDOFF["fp32"])[0]
    return bound_from_errors(exact - logits)


def _logits(network: CNN, images: NDArray[np.uint8]) -> NDArray[np.floating]:
    pieces = split_images(images, pixels=PIECE_PIXELS // network.config.views)
    with torch.inference_mode():
        return np.concatenate([network(torch.from_numpy(piece)).numpy() for piece in pieces])


def _ramp(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    down, right = (np.linspace(0, 255, side).astype(np.uint8) for side in shape[:2])
    if len(shape) == 2:
        return np.broadcast_to(right, shape)
    planes = (right[None, :], down[:, None], right[None, ::-1])
    return np.stack([np.broadcast_to(plane, shape[:2]) for plane in planes], axis=2)
