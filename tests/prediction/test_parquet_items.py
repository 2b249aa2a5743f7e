from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from item_sources import SEVEN_PNG, list_items, messages_of

from toolkit.containers import parquet
from toolkit.errors import ResourceError
from toolkit.imaging.settings import MAX_FILE_BYTES
from toolkit.prediction.sources.items import ImageItem
from toolkit.prediction.sources.open import open_items

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def contents(path: Path) -> list[tuple[int, object]]:
    items = list_items(path)
    assert all(isinstance(item, ImageItem) and item.source == str(path) for item in items)
    return [(item.index, item.content) for item in items if isinstance(item, ImageItem)]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(3)])
def test_binary_columns_are_read_in_order_over_row_groups(tmp_path: Path, kind: Any) -> None:
    cells = [b"%03d" % number for number in range(200)]
    columns = {"label": list(range(200)), "picture": pa.array(cells, kind), "name": ["x"] * 200}
    path = write(tmp_path / "x", columns, row_group_size=70)
    assert contents(path) == list(enumerate(cells))


def test_hugging_face_cells_are_read_and_their_paths_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(SEVEN_PNG)
    cells = [
        {"bytes": b"1", "path": "x.png"},
        {"bytes": None, "path": str(tmp_path / "a.png")},
        None,
        {"bytes": b"2", "path": None},
    ]
    path = write(tmp_path / "x", {"image": cells, "label": [1, 2, 3, 4]})
    assert contents(path) == [(0, b"1"), (1, None), (2, None), (3, b"2")]
    assert messages_of(list_items(path)) == [
        f"row {number} of {path} has no bytes; expected an encoded image" for number in (2, 3)
    ]


@pytest.mark.parametrize("name", ["image", "img"])
def test_of_several_columns_the_one_called_image_is_taken(tmp_path: Path, name: str) -> None:
    assert contents(write(tmp_path / "x", {"mask": [b"m"], name: [b"1"]})) == [(0, b"1")]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"mask": [b"m"], "photo": [b"1"]}, "2 columns of binary values (mask, photo)"),
        ({"label": [1], "text": ["x"]}, "no column of binary values (label, text)"),
        ({"image": [{"path": "x"}]}, "no column of binary values (image)"),
    ],
)
def test_a_column_that_cannot_be_told_is_one_error(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    path = write(tmp_path / "x", columns)
    assert said in messages_of(list_items(path))[0]


def test_empty_tables_give_no_rows(tmp_path: Path) -> None:
    assert contents(write(tmp_path / "x", {"image": pa.array([], pa.binary())})) == []


def test_a_cell_past_the_cap_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parquet.MAX_FILE_BYTES == MAX_FILE_BYTES
    monkeypatch.setattr(parquet, "MAX_FILE_BYTES", 3)
    path = write(tmp_path / "x", {"image": [b"1234", b"123"]})
    assert contents(path) == [(0, None), (1, b"123")]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_one_error(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "x", {"image": [b"x" * 100] * 100})
    data = path.read_bytes()
    path.write_bytes(data[: max(4, int(len(data) * share))])
    assert "cannot be read as Parquet" in messages_of(list_items(path))[0]


def test_any_damage_gives_items_and_never_a_traceback(tmp_path: Path) -> None:
    rng = random.Random(0)
    whole = write(tmp_path / "x", {"image": [rng.randbytes(50) for _ in range(300)]}, row_group_size=100).read_bytes()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(4, len(data))] = rng.randrange(256)
        (tmp_path / "y").write_bytes(data)
        for item in list_items(tmp_path / "y"):
            assert item.num_rows == 1


def test_rows_are_streamed(tmp_path: Path) -> None:
    cells = [random.Random(number).randbytes(10_000) for number in range(8000)]
    path = write(tmp_path / "x", {"image": cells}, row_group_size=500, use_dictionary=False)
    del cells
    code = """
import resource, sys
from pyarrow import parquet
from toolkit.prediction.sources.open import open_items
items = open_items(sys.argv[1:])
next(items)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(sum(1 for _ in items), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    rows, grown_mb = map(int, done.stdout.split())
    assert rows == 7999
    assert grown_mb < 40  # of 80


def test_a_missing_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAULTS 36."""
    path = write(tmp_path / "x", {"image": [b"1"]})
    for module in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ResourceError, match=r"pip install 'onnx-parity-toolkit\[parquet\]'"):
        list(open_items([path]))
    assert ResourceError.exit_code == 5
