from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prediction_samples import CLASSES, answers_of

from toolkit.errors import ResourceError, UsageError
from toolkit.prediction.pipeline.blocks import COLUMNS, AnsweredBlock
from toolkit.prediction.sinks.sink import FORMATS, choose_format, open_sink

TEXTS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"))


def write(form: str, parts: list[AnsweredBlock], *, probabilities: bool = False, truths: bool = False) -> bytes:
    stream = io.BytesIO()
    sink = open_sink(form, stream, classes=CLASSES, probabilities=probabilities, truths=truths)
    sink.begin()
    for part in parts:
        sink.write(part)
    rewrite = sink.finish()
    if rewrite is None:
        return stream.getvalue()
    before, whole = stream.getvalue(), io.BytesIO()
    rewrite(whole)
    assert stream.getvalue() == before  # a killed run goes on from it
    return whole.getvalue()


def read_csv(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))


@given(source=TEXTS, message=TEXTS, value=st.floats(0, 1, width=32), index=st.integers(0, 10**9))
def test_csv_gives_back_what_was_written(source: str, message: str, value: float, index: int) -> None:
    answers = answers_of([1], source=source, start=index, messages={0: message} if message else None)
    answers.probability[0] = value
    (record,) = read_csv(write("csv", [answers]))
    assert list(record) == list(COLUMNS)
    assert (record["source"], record["label"], record["index"]) == (source, "mid,dle", str(index))
    assert record["message"] == message
    assert np.float32(record["probability"]) == np.float32(value)
    assert (record["margin"], record["provider"], record["status"]) == ("1.25", "cpu", "ok")


def test_csv_has_one_column_per_class_and_the_truth_where_asked() -> None:
    answers = answers_of([2, -1], truths=["top", ""])
    good, bad = read_csv(write("csv", [answers], probabilities=True, truths=True))
    assert list(good) == [*COLUMNS, "truth", "p_top", "p_mid,dle", "p_bottom"]
    assert (good["truth"], good["p_top"], good["p_bottom"]) == ("top", "0.25", "0.5")
    empty = ("label", "probability", "margin", "truth", "p_top", "p_mid,dle", "p_bottom")
    assert [bad[name] for name in empty] == [""] * len(empty)
    assert (bad["status"], bad["message"]) == ("error", "broken")


def test_json_lines_hold_null_where_a_row_has_nothing() -> None:
    lines = write("jsonl", [answers_of([0, -1], truths=["top", ""])], probabilities=True, truths=True).splitlines()
    good, bad = (json.loads(line) for line in lines)
    assert list(good) == [*COLUMNS, "truth", "probabilities"]
    assert good["probabilities"] == {"top": 0.5, "mid,dle": 0.25, "bottom": 0.25}
    assert (good["label"], good["probability"], good["margin"], good["truth"]) == ("top", 0.5, 1.25, "top")
    assert [bad[name] for name in ("label", "probability", "margin", "truth", "probabilities")] == [None] * 5


@given(parts=st.lists(st.lists(st.integers(-1, 2), max_size=5), max_size=4))
def test_npy_is_one_array_of_all_rows(parts: list[list[int]]) -> None:
    answers = [
        answers_of(labels, start=10 * number, truths=["bottom"] * len(labels)) for number, labels in enumerate(parts)
    ]
    array = np.load(io.BytesIO(write("npy", answers, probabilities=True, truths=True)))
    assert array["label"].tolist() == [label for labels in parts for label in labels]
    assert array["index"].tolist() == [
        10 * number + row for number, labels in enumerate(parts) for row in range(len(labels))
    ]
    is_error = array["label"] < 0
    assert (array["status"] == np.where(is_error, 2, 0)).all()
    assert (np.isnan(array["probability"]) == is_error).all()
    assert (np.isnan(array["probabilities"]).all(axis=1) == is_error).all()
    assert (array["truth"] == 2).all()


def test_every_format_says_which_answers_are_doubtful_and_nothing_of_rows_without_one() -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow (extra: parquet)")
    answers = answers_of([0, 1, -1], doubtful=[True, False, False])
    assert [row["doubtful"] for row in read_csv(write("csv", [answers]))] == ["true", "false", ""]
    lines = write("jsonl", [answers]).splitlines()
    assert [json.loads(line)["doubtful"] for line in lines] == [True, False, None]
    table = parquet.read_table(io.BytesIO(write("parquet", [answers])))
    assert table["doubtful"].to_pylist() == [True, False, None]
    assert np.load(io.BytesIO(write("npy", [answers])))["doubtful"].tolist() == [1, 0, -1]


def test_npy_of_many_classes_says_that_its_header_is_full() -> None:
    stream = io.BytesIO()
    sink = open_sink("npy", stream, classes=[str(number) for number in range(10_000)], probabilities=True, truths=True)
    sink.begin()
    sink.finish()
    assert np.load(io.BytesIO(stream.getvalue())).shape == (0,)


def test_parquet_holds_the_columns_of_the_csv() -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow (extra: parquet)")
    parts = [
        answers_of([0, -1], source="a\udcff.png", truths=["top", ""]),
        answers_of([2] * 3, start=2, truths=[""] * 3),
    ]
    table = parquet.read_table(io.BytesIO(write("parquet", parts, probabilities=True, truths=True)))
    assert table.column_names == [*COLUMNS, "truth", "p_top", "p_mid,dle", "p_bottom"]
    rows = table.to_pylist()
    assert [row["label"] for row in rows] == ["top", None, "bottom", "bottom", "bottom"]
    assert rows[0]["source"] == "a\\udcff.png"
    assert (rows[0]["probability"], rows[0]["margin"], rows[0]["truth"]) == (0.5, 1.25, "top")
    assert (rows[1]["probability"], rows[1]["margin"], rows[1]["p_top"]) == (None, None, None)
    assert (rows[1]["status"], rows[1]["message"], rows[2]["index"]) == ("error", "broken", 2)


def test_parquet_without_rows_is_a_table_without_rows() -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow (extra: parquet)")
    assert parquet.read_table(io.BytesIO(write("parquet", []))).num_rows == 0


def test_parquet_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ResourceError, match=r"onnx-parity-toolkit\[parquet\]"):
        write("parquet", [])


@pytest.mark.parametrize("form", ["csv", "jsonl", "npy"])
def test_rows_do_not_depend_on_how_they_came(form: str) -> None:
    together = write(form, [answers_of([0, 1, -1, 2, 2])], probabilities=True)
    apart = write(
        form, [answers_of([0, 1]), answers_of([-1], start=2), answers_of([2, 2], start=3)], probabilities=True
    )
    assert together == apart


@pytest.mark.parametrize(
    ("name", "output", "chosen"),
    [
        (None, "a.csv", "csv"),
        (None, "a.txt", "csv"),
        (None, "a.JSONL", "jsonl"),
        (None, "a.ndjson", "jsonl"),
        (None, "a.parquet", "parquet"),
        (None, "a.npy", "npy"),
        ("jsonl", "a.csv", "jsonl"),
        (None, None, "csv"),
        ("jsonl", None, "jsonl"),
    ],
)
def test_format_is_the_name_else_the_ending(name: str | None, output: str | None, chosen: str) -> None:
    assert choose_format(name, None if output is None else Path(output)) == chosen


def test_formats_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'jsonl'"):
        choose_format("json", Path("x"))
    for form in set(FORMATS) - {"csv", "jsonl"}:
        with pytest.raises(UsageError, match="needs a file"):
            choose_format(form, None)
