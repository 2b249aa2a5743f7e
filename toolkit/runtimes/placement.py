"""Where the nodes of a session's graph were placed, as ONNX Runtime itself tells it."""

from __future__ import annotations

__all__ = ["MOST_NAMED", "read_placement"]

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

# Nodes elsewhere that are named one by one.
MOST_NAMED = 20


class Placement(NamedTuple):
    """Where a graph runs.

    Attributes:
        counts: number of nodes by our word for their provider.
        elsewhere: of nodes that are not on the provider asked for: operator, name and provider; at most 20.
    """

    counts: dict[str, int]
    elsewhere: list[str]


def read_placement(session: Any, wanted: str, names: Mapping[str, str]) -> Placement:
    """Read where the nodes are; the session was created with `session.record_ep_graph_assignment_info`.

    Args:
        session: ONNX Runtime's `InferenceSession`.
        wanted: our word for the provider asked for.
        names: our words by ONNX Runtime's.
    """
    counts: Counter[str] = Counter()
    elsewhere: list[str] = []
    for subgraph in session.get_provider_graph_assignment_info():
        name, nodes = names.get(subgraph.ep_name, subgraph.ep_name), subgraph.get_nodes()
        counts[name] += len(nodes)
        if name != wanted:
            elsewhere += [f"{node.op_type} {node.name or '(no name)'} on {name}" for node in nodes]
    return Placement(dict(counts), elsewhere[:MOST_NAMED])
