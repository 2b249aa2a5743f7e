"""The same pictures as people have them: in folders, archives, arrays and tables, each in an order and with names of its own."""

from __future__ import annotations

import io
import json
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image


class Picture(NamedTuple):
    part: str
    label: int
    pixels: np.ndarray


def make_pictures(count: int = 600, *, side: int = 16, classes: int = 10) -> list[Picture]:
    """Return noise with a bright bar at the label's height, a sixth of each class for testing."""
    rng = np.random.default_rng(7)
    pictures = []
    for number in range(count):
        label, rank = number % classes, number // classes
        pixels = rng.integers(0, 60, (side, side), dtype=np.uint8)
        pixels[1 + label, 2:-2] = rng.integers(200, 256, side - 4, dtype=np.uint8)
        pictures.append(Picture("test" if rank % 6 == 0 else "train", label, pixels))
    return pictures


def encode(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


class Writer:
    """Writes one layout; `seed` decides about the order and the names."""

    def __init__(self, pictures: list[Picture], seed: int) -> None:
        self.pictures = list(pictures)
        random.Random(seed).shuffle(self.pictures)
        self._names = random.Random(seed)

    def files(self, kind: str = "PNG") -> list[tuple[str, bytes]]:
        ending = kind.lower()
        return [
            (f"{part}/{label}/{self._names.random():.9f}.{ending}", encode(pixels, kind))
            for part, label, pixels in self.pictures
        ]

    def arrays(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        chosen = [each for each in self.pictures if each.part == part]
        return np.stack([each.pixels for each in chosen]), np.array([each.label for each in chosen], np.uint8)

    def folders(self, path: Path, kind: str = "PNG") -> Path:
        for name, content in self.files(kind):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        return path

    def tiff(self, path: Path) -> Path:
        return self.folders(path, "TIFF")

    def zip(self, path: Path) -> Path:
        with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
            for name, content in self.files():
                archive.writestr(f"digits/{name}", content)
        return path.with_suffix(".zip")

    def tar(self, path: Path) -> Path:
        with tarfile.open(path.with_suffix(".tar.gz"), "w:gz") as archive:
            for name, content in self.files():
                member = tarfile.TarInfo(f"./{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return path.with_suffix(".tar.gz")

    def idx(self, path: Path, *, prefix: str = "", test: str = "t10k") -> Path:
        path.mkdir(parents=True)
        for part, word in (("train", "train"), ("test", test)):
            for content, array in zip(("images", "labels"), self.arrays(part), strict=True):
                shape = struct.pack(f">{array.ndim}I", *array.shape)
                name = f"{prefix}{word}-{content}-idx{array.ndim}-ubyte"
                (path / name).write_bytes(bytes([0, 0, 8, array.ndim]) + shape + array.tobytes())
        return path

    def prefixed(self, path: Path) -> Path:
        return self.idx(path, prefix="emnist-digits-", test="test")

    def torchvision(self, path: Path) -> Path:
        self.idx(path / "MNIST" / "raw")
        return path

    def npz(self, path: Path) -> Path:
        (x_train, y_train), (x_test, y_test) = self.arrays("train"), self.arrays("test")
        np.savez(path.with_suffix(".npz"), x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
        return path.with_suffix(".npz")

    def csv(self, path: Path) -> Path:
        path.mkdir()
        for part in ("train", "test"):
            images, labels = self.arrays(part)
            rows = [f"{label},{','.join(map(str, image.ravel()))}" for image, label in zip(images, labels, strict=True)]
            header = ",".join(["label", *(f"pixel{number}" for number in range(images[0].size))])
            (path / f"mnist_{part}.csv").write_text("\n".join([header, *rows, ""]))
        return path

    def parquet(self, path: Path) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        (path / "data").mkdir(parents=True)
        feature = {"label": {"names": [str(label) for label in range(10)], "_type": "ClassLabel"}}
        for part in ("train", "test"):
            images, labels = self.arrays(part)
            cells = [{"bytes": encode(image), "path": None} for image in images]
            table = pa.table({"image": cells, "label": labels.astype(np.int64)})
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": feature}})})
            pq.write_table(table, path / "data" / f"{part}-00000-of-00001.parquet")
        return path


LAYOUTS: dict[str, Callable[[Writer, Path], Path]] = {
    name: getattr(Writer, name)
    for name in ("folders", "zip", "tar", "idx", "prefixed", "npz", "csv", "parquet", "torchvision", "tiff")
}
