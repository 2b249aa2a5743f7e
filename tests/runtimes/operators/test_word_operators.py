"""Words, n-grams and optionals by the standard's text, and Attention's fourth output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from one_node import Array, made, node_file, run_model, run_node, wide

from toolkit.runtimes.references.evaluator import Evaluator, WideEvaluator


def normalise(words: list[Any], **options: Any) -> list[Any]:
    x = np.array(words, object)
    (y,) = WideEvaluator(node_file("StringNormalizer", [x], opset=10, **options)).run(None, {"x0": x})
    return list(np.asarray(y).tolist())


def test_stop_words_are_whole_elements() -> None:
    words = ["Monday", "monday tuesday", "", "caf\u00e9"]
    assert normalise(words) == words  # neither accents nor empty elements go
    assert normalise(words, stopwords=["MONDAY"]) == words[1:]
    assert normalise(words, stopwords=["MONDAY"], is_case_sensitive=1, case_change_action="UPPER") == [
        "MONDAY",
        "MONDAY TUESDAY",
        "",
        "CAF\u00c9",
    ]
    assert normalise([["a", "b"]], stopwords=["a"], case_change_action="LOWER") == [["b"]]
    assert normalise([["a"]], stopwords=["a"]) == [[""]]


POOL: dict[str, Any] = {
    "min_gram_length": 1,
    "max_gram_length": 2,
    "max_skip_count": 1,
    "ngram_counts": [0, 2],
    "ngram_indexes": [3, 1, 0, 2],
    "pool_int64s": [5, 6, 5, 6, 7, 8],
}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        # 5 twice, 6 once; 5 6 next to each other and with one between; 7 8 never
        ("TF", [2, 1, 0, 2]),
        ("IDF", [4, 2, 0, 1]),
        ("TFIDF", [8, 2, 0, 2]),
    ],
)
def test_grams_are_counted_and_weighed_each_by_its_own(mode: str, expected: list[float]) -> None:
    x = np.array([5, 5, 6])
    (y,) = run_node("TfIdfVectorizer", x, opset=9, mode=mode, weights=[1.0, 2.0, 4.0, 8.0], **POOL)
    assert (y.tolist(), y.dtype) == (expected, np.float64)
    (rows,) = run_node("TfIdfVectorizer", np.array([x, x]), opset=9, mode=mode, weights=[1.0, 2.0, 4.0, 8.0], **POOL)
    assert rows.tolist() == [expected, expected]
    (narrow,) = Evaluator(node_file("TfIdfVectorizer", [x], opset=9, mode=mode, **POOL)).run(None, {"x0": x})
    assert narrow.dtype == np.float32


@pytest.mark.parametrize("opset", [23, 24, 25])
def test_the_product_is_shown_before_it_is_bounded(opset: int) -> None:
    given: list[Array] = [made(1, 2, 3, 4), made(1, 2, 5, 4), made(1, 2, 5, 4)]
    *_, product = run_node("Attention", *given, opset=opset, outputs=4, softcap=0.5)
    assert np.abs(product - wide(given[0]) @ np.swapaxes(wide(given[1]), 2, 3) / 2).max() < 1e-14
    *_, bounded = run_node("Attention", *given, opset=opset, outputs=4, softcap=0.5, qk_matmul_output_mode=1)
    assert np.abs(bounded - 0.5 * np.tanh(product / 0.5)).max() < 1e-14


@pytest.mark.parametrize("opset", [15, 18])
def test_an_optional_gives_back_what_it_holds(opset: int) -> None:
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Optional", ["x0"], ["held"]),
        helper.make_node("OptionalHasElement", ["held"], ["y0"]),
        helper.make_node("OptionalGetElement", ["held"], ["y1"]),
        helper.make_node("Optional", [], ["nothing"], type=helper.make_tensor_type_proto(TensorProto.FLOAT, [2])),
        helper.make_node("OptionalHasElement", ["nothing"], ["y2"]),
    ]
    kinds = {"y0": TensorProto.BOOL, "y1": TensorProto.FLOAT, "y2": TensorProto.BOOL}
    outputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()]
    inputs = [helper.make_tensor_value_info("x0", TensorProto.FLOAT, [2, 3])]
    graph = helper.make_graph(nodes, "optional", inputs, outputs)
    x = made(2, 3)
    answers = run_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), [x])
    assert answers[0].item() is True
    assert np.array_equal(answers[1], wide(x))
    assert answers[2].item() is False
