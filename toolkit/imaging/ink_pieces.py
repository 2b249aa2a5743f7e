"""Ink in pieces: which belong to the drawing, and which are specks."""

from __future__ import annotations

__all__ = ["Piece", "find_pieces", "keep_drawing"]

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# A piece with less ink than this share of the largest is a speck.
SPECK_SHARE = 0.04
# Pieces of at least this share that lie beside one another are taken for drawings of their own.
OWN_SHARE = 0.35
# More runs than this are noise or texture, no drawing; looking for its pieces would take long and say nothing.
MOST_RUNS = 5000


class Piece(NamedTuple):
    """Pixels that touch, corners included.

    Attributes:
        top: first row.
        bottom: one past the last row.
        left: first column.
        right: one past the last column.
        mass: number of its pixels.
    """

    top: int
    bottom: int
    left: int
    right: int
    mass: int


def find_pieces(is_ink: npt.NDArray[np.bool_]) -> list[Piece] | None:
    """Return the connected pieces of a mask `[H, W]`, the largest first; None where it is no drawing.

    Runs of ink in a row are joined with those that they touch in the row above.
    """
    # With a column of no ink on either side every run has a start and an end, and the n-th start has the n-th end.
    edges = np.diff(np.pad(is_ink, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    _, ends = np.nonzero(edges == -1)
    if len(rows) > MOST_RUNS:
        return None
    runs = list(zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True))
    pieces: dict[int, Piece] = {}
    for label, (row, start, end) in zip(_join_runs(runs), runs, strict=True):
        piece = pieces.get(label, Piece(row, row, start, end, 0))
        pieces[label] = Piece(
            piece.top, row + 1, min(piece.left, start), max(piece.right, end), piece.mass + end - start
        )
    return sorted(pieces.values(), key=lambda piece: -piece.mass)


def keep_drawing(pieces: list[Piece]) -> tuple[list[Piece], int]:
    """Return the pieces that are no specks, and how many drawings stand beside one another."""
    kept = [piece for piece in pieces if piece.mass >= SPECK_SHARE * pieces[0].mass]
    own = sorted((piece for piece in kept if piece.mass >= OWN_SHARE * pieces[0].mass), key=lambda piece: piece.left)
    drawings, reach = 0, -1
    for piece in own:
        drawings += piece.left >= reach
        reach = max(reach, piece.right)
    return kept, drawings


def _join_runs(runs: list[tuple[int, int, int]]) -> list[int]:
    """Return a label for each run (row, start, end), given in the order of their rows; those that touch share one."""
    parent = list(range(len(runs)))

    def root(label: int) -> int:
        while parent[label] != label:
            parent[label] = parent[parent[label]]
            label = parent[label]
        return label

    of_row: dict[int, list[int]] = {}
    for run, (row, start, end) in enumerate(runs):
        for other in of_row.get(row - 1, ()):
            if runs[other][1] <= end and runs[other][2] >= start:  # one past the end: corners touch
                parent[root(run)] = root(other)
        of_row.setdefault(row, []).append(run)
    return [root(run) for run in range(len(runs))]
