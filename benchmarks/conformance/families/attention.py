"""Attention, RotaryEmbedding and TensorScatter: masks, heads, caches."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.cases import Case, one_node, values, versions_of


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    for opset in versions_of("Attention"):
        yield from _attention(opset)
    yield from _rotary()
    drawn = values("TensorScatter")
    cache, update = drawn.normal(2, 3, 6, 4), drawn.normal(2, 3, 2, 4)
    for mode, places in (("linear", [1, 3]), ("circular", [5, 3])):
        yield one_node("TensorScatter", cache, update, np.array(places), opset=24, mode=mode)


def _attention(opset: int) -> Iterator[Case]:
    drawn = values("Attention")
    q, k, v, mask = drawn.normal(2, 3, 4, 8), drawn.normal(2, 3, 6, 8), drawn.normal(2, 3, 6, 8), drawn.normal(4, 6)
    past = (drawn.normal(2, 3, 5, 8), drawn.normal(2, 3, 5, 8))
    yield one_node("Attention", q, k, v, opset=opset)
    yield one_node("Attention", q, k, v, opset=opset, is_causal=1)
    yield one_node("Attention", q, k, v, opset=opset, softcap=2.0, scale=0.25)
    yield one_node("Attention", q, k, v, mask, opset=opset, label="mask")
    yield one_node("Attention", q, k, v, np.tril(np.ones((4, 6), bool), 2), opset=opset, label="mask of truth")
    yield one_node("Attention", drawn.normal(2, 6, 4, 8), k, v, opset=opset, label="two queries a key")
    flat = (drawn.normal(2, 4, 24), drawn.normal(2, 6, 24), drawn.normal(2, 6, 30))
    yield one_node("Attention", *flat, opset=opset, q_num_heads=3, kv_num_heads=3)
    for causal in (0, 1):
        yield one_node("Attention", q, k, v, None, *past, opset=opset, outputs=3, is_causal=causal, label="past")
    for mode in range(4):
        options: dict[str, Any] = {"qk_matmul_output_mode": mode, "softcap": 2.0}
        yield one_node("Attention", q, k, v, mask, opset=opset, outputs=["y0", "", "", "y1"], **options)


def _rotary() -> Iterator[Case]:
    drawn = values("RotaryEmbedding")
    x, flat, places = drawn.normal(2, 3, 4, 8), drawn.normal(2, 4, 24), drawn.whole(0, 10, 2, 4)
    for interleaved in (0, 1):
        yield one_node(
            "RotaryEmbedding", x, drawn.normal(2, 4, 4), drawn.normal(2, 4, 4), opset=23, interleaved=interleaved
        )
        tables = (drawn.normal(10, 4), drawn.normal(10, 4))
        yield one_node("RotaryEmbedding", x, *tables, places, opset=23, interleaved=interleaved, label="places")
    short = (drawn.normal(10, 2), drawn.normal(10, 2))
    yield one_node("RotaryEmbedding", flat, *short, places, opset=23, num_heads=3, rotary_embedding_dim=4)
