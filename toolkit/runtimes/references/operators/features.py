"""Features of signals and of words: spectra of frames, with their windows and mel weights; counts of n-grams.

Windows and mel weights are of the type that the file asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from toolkit.runtimes.references.operators.declared import Array, Type, operator

# Operators.md: the cosines' weights of each window.
WINDOWS = {"HannWindow": (0.5, -0.5), "HammingWindow": (25 / 46, -21 / 46), "BlackmanWindow": (0.42, -0.5, 0.08)}


def _declare_window(name: str, weights: tuple[float, ...]) -> None:
    @operator(name)
    def window(size: Array, *, output_datatype: int, periodic: int, real: Type) -> Array:
        """Return a sum of cosines of `size` places, which a periodic window has one more of than it shows.

        Raises:
            ValueError: a symmetric window of one place, which begins and ends there.
        """
        length = int(np.asarray(size).item())
        if length == 1 and not periodic:
            raise ValueError(f"{name} of one place with periodic=0 has no value in the standard")
        turns = 2 * np.pi * np.arange(length) / (length if periodic else length - 1)
        values = sum(weight * np.cos(order * turns) for order, weight in enumerate(weights))
        return np.asarray(values).astype(_type_of(output_datatype, real))


for _name, _weights in WINDOWS.items():
    _declare_window(_name, _weights)


@operator("MelWeightMatrix")
def _mel_weight_matrix(
    num_mel_bins: Array,
    dft_length: Array,
    sample_rate: Array,
    lower_edge_hertz: Array,
    upper_edge_hertz: Array,
    *,
    output_datatype: int,
    real: Type,
) -> Array:
    """Return the triangles `[dft_length // 2 + 1, num_mel_bins]` between bands even in mels; MelWeightMatrix-17.

    The text gives the mels and leaves the triangles open; they are those of ONNX's own cases: on whole places of the
    spectrum, each from 0 at the band below to 1 at its own and back.
    """
    bins, length, rate = (int(np.asarray(item).item()) for item in (num_mel_bins, dft_length, sample_rate))
    edges = [2595 * np.log10(1 + float(np.asarray(item).item()) / 700) for item in (lower_edge_hertz, upper_edge_hertz)]
    mels = edges[0] + np.arange(bins + 2) * (edges[1] - edges[0]) / (bins + 2)
    places = ((length + 1) * 700 * (10 ** (mels / 2595) - 1) // rate).astype(np.int64)
    weights = np.zeros((length // 2 + 1, bins))
    for index, (low, centre, high) in enumerate(zip(places, places[1:], places[2:], strict=False)):
        rising, falling = np.arange(low, centre), np.arange(centre, high)
        weights[rising, index] = (rising - low) / max(centre - low, 1)
        weights[falling, index] = (high - falling) / max(high - centre, 1)
        weights[centre, index] = 1
    return weights.astype(_type_of(output_datatype, real))


@operator("STFT")
def _spectra_of_frames(
    signal: Array,
    frame_step: Array,
    window: Array | None = None,
    frame_length: Array | None = None,
    *,
    onesided: int,
) -> Array:
    """Return the spectra `[batch, frames, bins, 2]` of frames of `[batch, length, 1]`, or 2 if complex; STFT-17.

    A real signal may lack its last axis, which the text asks for: PyTorch exports `torch.stft` so, and engines run it.

    Raises:
        ValueError: what the text gives no meaning to: a window of another length than the frames, half the spectrum of
            a complex signal, no length at all.
    """
    stated = frame_length if window is None or frame_length is not None else np.array(len(window))
    if stated is None:
        raise ValueError("STFT has neither a window nor a frame_length")
    step, length = int(np.asarray(frame_step).item()), int(np.asarray(stated).item())
    if window is not None and len(window) != length:
        raise ValueError(f"STFT has a window of {len(window)} places and frames of {length}")
    parts = signal if signal.ndim == 3 else signal[..., None]
    if parts.shape[-1] == 2 and onesided:
        raise ValueError("STFT of a complex signal has no half (onesided=1)")
    numbers = parts[..., 0] if parts.shape[-1] == 1 else parts[..., 0] + 1j * parts[..., 1]
    frames = np.lib.stride_tricks.sliding_window_view(numbers, length, axis=1)[:, ::step]
    weighted = frames if window is None else frames * window
    spectra = np.fft.rfft(weighted) if onesided else np.fft.fft(weighted)
    return np.stack([spectra.real, spectra.imag], axis=-1).astype(signal.dtype)


def _type_of(output_datatype: int, real: Type) -> Type:
    return real if output_datatype == TensorProto.FLOAT else helper.tensor_dtype_to_np_dtype(output_datatype)


@operator("StringNormalizer")
def _string_normalizer(
    x: Array,
    *,
    case_change_action: str,
    is_case_sensitive: int,
    stopwords: list[str] | None,
    locale: str | None,  # noqa: ARG001 - case is Unicode's, as in en_US
) -> Array:
    """Take out the elements that are stop words, and change the case of the others; Operators.md, StringNormalizer.

    The evaluator (1.23) takes words out of the elements, and accents, and elements that are empty.
    """

    def key(word: str) -> str:
        return word if is_case_sensitive else word.casefold()

    dropped = {key(word) for word in stopwords or ()}
    changes: dict[str, Callable[[str], str]] = {"LOWER": str.lower, "UPPER": str.upper, "NONE": str}
    kept = [changes[case_change_action](word) for word in x.ravel().tolist() if key(word) not in dropped]
    return np.array(kept or [""], object).reshape(*x.shape[:-1], -1)


@operator("TfIdfVectorizer")
def _tf_idf_vectorizer(x: Array, *, mode: str, weights: list[float] | None, real: Type, **attributes: Any) -> Array:
    """Count the n-grams of a pool in each row, with gaps of one size in each; Operators.md, TfIdfVectorizer."""
    grams = _read_pool(attributes["pool_int64s"] or attributes["pool_strings"], attributes["ngram_counts"])
    rows = np.atleast_2d(x).tolist()
    counts = np.zeros((len(rows), len(attributes["ngram_indexes"])))
    for count, row in zip(counts, rows, strict=True):
        for length in range(attributes["min_gram_length"], attributes["max_gram_length"] + 1):
            for skip in range(attributes["max_skip_count"] + 1 if length > 1 else 1):
                reach = (length - 1) * (skip + 1) + 1
                for start in range(len(row) - reach + 1):
                    place = grams.get(tuple(row[start : start + reach : skip + 1]))
                    if place is not None:
                        count[place] += 1
    if mode == "IDF":
        counts = np.minimum(counts, 1)
    if mode != "TF" and weights:
        counts = counts * np.array(weights)
    result = np.zeros((len(rows), max(attributes["ngram_indexes"]) + 1))
    for column, count in zip(attributes["ngram_indexes"], counts.T, strict=True):
        result[:, column] += count
    return result.astype(real).reshape(*x.shape[:-1], -1)


def _read_pool(pool: list[Any], starts: list[int]) -> dict[tuple[Any, ...], int]:
    """Return each n-gram's number: those of one item first, from `starts[0]`, then those of two, and so on."""
    grams: dict[tuple[Any, ...], int] = {}
    number = 0
    for length, (start, end) in enumerate(zip(starts, [*starts[1:], len(pool)], strict=True), 1):
        for first in range(start, end - length + 1, length):
            grams[tuple(pool[first : first + length])] = number
            number += 1
    return grams
