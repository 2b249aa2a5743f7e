"""Changes that are no faults: a judge that calls one of them broken cannot be believed about the faults."""

from __future__ import annotations

__all__ = ["CONTROLS"]

import numpy as np

from mutations.graph import Fault, Graph


def written_again(_: Graph) -> None:
    """The same graph, serialised again."""


def weights_in_another_order(graph: Graph) -> None:
    """The file lists its weights in reverse."""
    listed = list(graph.model.graph.initializer)
    del graph.model.graph.initializer[:]
    graph.model.graph.initializer.extend(reversed(listed))


def hidden_units_in_another_order(graph: Graph) -> None:
    """The hidden units change places in both layers: the sums are added in another order."""
    for kind in ("weight", "bias"):
        graph.edit(f"dense1.{kind}", lambda array: np.roll(array, 1, axis=0))
    graph.edit("dense2.weight", lambda array: np.roll(array, 1, axis=1))


CONTROLS: tuple[Fault, ...] = (written_again, weights_in_another_order, hidden_units_in_another_order)
