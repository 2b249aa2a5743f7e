from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from imaging_samples import draw_seven, encode

from toolkit.card import InputSpec
from toolkit.data.idx import write_idx
from toolkit.prediction.folders import walk_folder
from toolkit.prediction.names import printable_path
from toolkit.prediction.open_items import open_items
from toolkit.prediction.prepare_items import Preparation, prepare_items

SEVEN = draw_seven()
SPEC = InputSpec(height=28, width=28, channels=1, polarity="light-on-dark", fit="mnist")


class Sample(NamedTuple):
    """One row's picture, or the reason why there is none."""

    source: str
    index: int
    image: np.ndarray | None
    message: str


def samples_of(paths: Iterable[Path], spec: InputSpec = SPEC, **wishes: Any) -> Iterator[Sample]:
    for item in open_items(paths, **wishes):
        block = prepare_items([item], Preparation(spec=spec))
        images = dict(zip(block.places.tolist(), block.images, strict=True))
        for row, (source, index) in enumerate(zip(block.sources, block.indices.tolist(), strict=True)):
            yield Sample(source, index, images.get(row), block.messages.get(row, ""))


def read(*paths: Path, spec: InputSpec = SPEC) -> list[Sample]:
    return list(samples_of(paths, spec))


def read_npy(tmp_path: Path, array: np.ndarray, *, spec: InputSpec = SPEC) -> list[Sample]:
    np.save(tmp_path / "x.npy", array)
    return read(tmp_path / "x.npy", spec=spec)


def only_message(samples: list[Sample]) -> str:
    (sample,) = samples
    assert sample.image is None
    return sample.message


def test_folder_is_read_sorted_with_its_subfolders(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "m/z.PNG", "m/c.jpeg", "z.bmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encode(SEVEN, {".jpeg": "JPEG", ".bmp": "BMP"}.get(Path(name).suffix, "PNG")))
    names = [os.path.relpath(sample.source, tmp_path) for sample in read(tmp_path)]
    assert names == ["a.png", "b.png", "m/c.jpeg", "m/z.PNG", "z.bmp"]


def test_other_files_of_a_folder_are_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(SEVEN))
    (tmp_path / "labels.csv").write_text("x")
    notes: list[str] = []
    assert len(list(samples_of([tmp_path], on_note=notes.append))) == 1
    assert len(notes) == 1
    assert "1 files left out" in notes[0]


def test_folder_without_images_says_so(tmp_path: Path) -> None:
    assert "holds no image" in only_message(read(tmp_path))


def test_missing_path_is_one_error(tmp_path: Path) -> None:
    assert "No such file" in only_message(read(tmp_path / "x.png"))


def test_what_is_no_regular_file_is_reported_and_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(encode(SEVEN))
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to("c.png")
    (tmp_path / "d").symlink_to(tmp_path)
    (tmp_path / "e.png").symlink_to("nowhere")
    (tmp_path / "f.png").symlink_to("a.png")
    monkeypatch.chdir(tmp_path)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("g.png")
        samples = {Path(sample.source).name: sample for sample in read(tmp_path)}
    assert sorted(samples) == ["a.png", "b.png", "c.png", "d", "e.png", "f.png", "g.png"]
    assert [name for name, sample in samples.items() if sample.image is not None] == ["a.png", "f.png"]
    assert "not a regular file" in samples["b.png"].message
    assert "symbolic link" in samples["c.png"].message
    assert "link to a folder" in samples["d"].message
    assert "No such file" in samples["e.png"].message
    assert "not a regular file" in samples["g.png"].message


def test_fifo_given_itself_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    assert "not a regular file" in only_message(read(tmp_path / "x.png"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file_and_folder_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(SEVEN))
    (tmp_path / "b").mkdir()
    for name in ("a.png", "b"):
        (tmp_path / name).chmod(0)
    try:
        messages = [sample.message for sample in read(tmp_path)]
    finally:
        (tmp_path / "b").chmod(0o700)
    assert all("Permission denied" in message for message in messages[:2])


def test_unlistable_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "z.png").write_bytes(b"")
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    problems = [entry.problem for entry in walk_folder(str(tmp_path))]
    assert problems == ["cannot be listed: Permission denied", ""]


def test_deep_folders_do_not_end_the_walk(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(400):
        folder /= "d"
    folder.mkdir(parents=True)
    (folder / "x.png").write_bytes(encode(SEVEN))
    assert [sample.image is not None for sample in read(tmp_path)] == [True]


def test_names_that_are_not_utf8_become_valid_text(tmp_path: Path) -> None:
    name = os.fsdecode(bytes(tmp_path) + b"/bad\xff\n.png")
    Path(name).write_bytes(encode(SEVEN))
    (sample,) = read(tmp_path)
    assert sample.image is not None
    assert sample.source.encode("utf-8").endswith(b"bad\\udcff\n.png")
    assert printable_path(Path("ä\n.png")) == "ä\n.png"


def test_many_files_are_opened_one_at_a_time(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number:03}.png").write_bytes(encode(SEVEN))
    stream = samples_of([tmp_path])
    assert next(stream).image is not None
    (tmp_path / "200.png").write_bytes(b"")  # later than the first is asked for: so it is seen
    assert [sample.source[-7:] for sample in stream if sample.image is None] == ["200.png"]


@pytest.mark.parametrize("compress", [False, True])
def test_idx_gives_its_images_with_their_index(tmp_path: Path, compress: bool) -> None:
    images = np.stack([SEVEN, np.roll(SEVEN, 1, 0)])
    from toolkit.data.idx import encode_idx

    (tmp_path / "x").write_bytes(encode_idx(images, compress=compress))
    samples = read(tmp_path / "x")
    assert [sample.index for sample in samples] == [0, 1]
    assert all(np.array_equal(sample.image, image) for sample, image in zip(samples, images, strict=True))


def test_idx_of_labels_is_refused(tmp_path: Path) -> None:
    write_idx(tmp_path / "x", np.arange(5, dtype=np.uint8))
    assert "rank 1; expected 3 or 4" in only_message(read(tmp_path / "x"))


def test_short_idx_is_refused(tmp_path: Path) -> None:
    write_idx(tmp_path / "x", np.zeros((2, 28, 28), np.uint8))
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes()[:-1])
    assert "short" in only_message(read(tmp_path / "x"))


@pytest.mark.parametrize("dtype", ["uint8", "int64", ">i2", "float32", ">f8", "float16", "uint64"])
def test_npy_is_converted_where_nothing_is_lost(tmp_path: Path, dtype: str) -> None:
    samples = read_npy(tmp_path, np.stack([SEVEN, SEVEN // 2]).astype(dtype))
    assert [sample.index for sample in samples] == [0, 1]
    assert np.array_equal(samples[0].image, SEVEN)
    assert np.array_equal(samples[1].image, SEVEN // 2)
    assert samples[0].image.dtype == np.uint8


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (1, 28, 28, 1)])
def test_npy_shapes_of_one_grey_image(tmp_path: Path, shape: tuple[int, ...]) -> None:
    (sample,) = read_npy(tmp_path, SEVEN.reshape(shape))
    assert np.array_equal(sample.image, SEVEN)


def test_npy_in_fortran_order_is_read_right(tmp_path: Path) -> None:
    (sample,) = read_npy(tmp_path, np.asfortranarray(SEVEN))
    assert np.array_equal(sample.image, SEVEN)


def test_npy_of_colour_images(tmp_path: Path) -> None:
    spec = InputSpec(height=28, width=28, channels=3)
    colour = np.dstack([SEVEN, SEVEN // 2, SEVEN // 3])
    (sample,) = read_npy(tmp_path, colour[np.newaxis], spec=spec)
    assert np.array_equal(sample.image, colour)


def test_npy_of_bool_becomes_black_and_white(tmp_path: Path) -> None:
    (sample,) = read_npy(tmp_path, SEVEN > 0)
    assert np.array_equal(sample.image, np.where(SEVEN > 0, 255, 0))
    assert sample.message == "bool turned into 0 and 255"


@pytest.mark.parametrize("shape", [(0, 28, 28), (0, 28, 28, 3)])
def test_empty_npy_gives_no_rows(tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert read_npy(tmp_path, np.zeros(shape, np.uint8)) == []


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (np.nan, "nan at row 3, column 4"),
        (np.inf, "inf at row 3"),
        (0.5, "value 0.5"),
        (256.0, "to 256"),
        (-1.0, "from -1"),
    ],
)
def test_one_bad_image_of_an_array_is_one_error_with_its_index(tmp_path: Path, bad: float, said: str) -> None:
    images = np.stack([SEVEN] * 3).astype(np.float32)
    images[1, 3, 4] = bad
    samples = read_npy(tmp_path, images)
    assert [sample.image is None for sample in samples] == [False, True, False]
    assert samples[1].index == 1
    assert said in samples[1].message


def test_scale_from_0_to_1_is_refused_with_the_mend(tmp_path: Path) -> None:
    for array in (SEVEN / 255, (SEVEN > 0).astype(np.float32)):
        assert "multiply them by 255" in only_message(read_npy(tmp_path, array))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((28, 28), complex),
        np.zeros((28, 28), [("a", "u1")]),
        np.zeros((28, 28), "U3"),
        np.zeros((28, 28), "M8[s]"),
        np.zeros(28, np.uint8),
        np.array(5, np.uint8),
        np.zeros((1, 1, 28, 28), np.uint8),
        np.zeros((1, 1, 1, 28, 28), np.uint8),
        np.zeros((2, 0, 28), np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_npy_that_cannot_be_images_is_one_error(tmp_path: Path, array: np.ndarray) -> None:
    assert "expected" in only_message(read_npy(tmp_path, array))


def npy_header(text: str, *, version: bytes = b"\1\0", length: int | None = None) -> bytes:
    size = len(text) if length is None else length
    return b"\x93NUMPY" + version + size.to_bytes(2 if version == b"\1\0" else 4, "little") + text.encode()


def header_of(shape: str, dtype: str = "|u1") -> str:
    return f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"\x80\x04\x95pickle",
        b"cos\nsystem\n(S'touch /tmp/x'\ntR.",
        npy_header(header_of("(28, 28)"), version=b"\2\0", length=2**32 - 1),
        npy_header(header_of("(1000000, 1000000)")) + b"x",
        npy_header(header_of("(1" + "0" * 12 + ",)")),
        npy_header(header_of("(4611686018427387904, 4611686018427387904)")),
        npy_header(header_of("(-1, 28)")),
        npy_header(header_of("(28, 28)", "|O")) + b"\x80\x04N.",
        npy_header(header_of("(28, 28)")) + b"x" * 10,
        npy_header(header_of("(28, 28)")) + b"x" * 785,
        npy_header("{" * 900),
        npy_header(header_of("(28, 28)"), version=b"\x09\0"),
        npy_header(header_of("'no'")),
    ],
)
def test_broken_npy_is_one_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(data)
    assert "x.npy" in only_message(read(tmp_path / "x.npy"))


def test_object_array_is_refused_and_not_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "executed",))

    np.save(tmp_path / "x.npy", np.array([Evil()], object), allow_pickle=True)
    assert "Python objects" in only_message(read(tmp_path / "x.npy"))
    assert not (tmp_path / "executed").exists()


def test_large_npy_is_mapped_and_not_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    header = npy_header(header_of("(4000000, 28, 28)"))
    with path.open("wb") as stream:
        stream.write(header)
        stream.truncate(len(header) + 4_000_000 * 784)  # 3 GB, sparse
    stream_of_samples = samples_of([path])
    assert next(stream_of_samples).image is not None
