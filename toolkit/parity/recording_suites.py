"""The suites of a recording as arrays with a description, both ways."""

from __future__ import annotations

__all__ = ["pack_suites", "unpack_reference"]

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.parity.references.feeds import FeedExpectation, FeedsReference
from toolkit.parity.references.images import Reference, SuiteReference
from toolkit.plain import from_plain, to_plain
from toolkit.runtimes.base import Arrays


def pack_suites(reference: Reference | FeedsReference) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return a reference as JSON values and arrays, named by the suite's number."""
    arrays: dict[str, NDArray[Any]] = {}
    items = []
    suites: tuple[SuiteReference | FeedExpectation, ...] = reference.suites
    for number, entry in enumerate(suites):
        item, own = _pack_images(entry) if isinstance(entry, SuiteReference) else _pack_feeds(entry)
        items.append(item)
        arrays |= {f"{number}.{name}": array for name, array in own.items()}
    form = "images" if isinstance(reference, Reference) else "feeds"
    told = {item.name: to_plain(getattr(reference, item.name)) for item in fields(reference) if item.name != "suites"}
    return {**told, "form": form, "suites": items}, arrays


def unpack_reference(header: Mapping[str, Any], arrays: Arrays) -> Reference | FeedsReference:
    """Rebuild what `pack_suites` returned.

    Raises:
        KeyError, TypeError, ValueError: it is something else, or a part of it.
    """
    own = [
        {name.partition(".")[2]: array for name, array in arrays.items() if name.partition(".")[0] == str(number)}
        for number in range(len(header["suites"]))
    ]
    pairs = list(zip(header["suites"], own, strict=True))
    if not pairs:
        raise ValueError("it holds no suite")
    if header["form"] == "images":
        return Reference(kind=str(header["kind"]), suites=tuple(_unpack_images(item, part) for item, part in pairs))
    told = {item.name: header[item.name] for item in fields(FeedsReference)}
    reference: FeedsReference = from_plain(FeedsReference, {**told, "suites": ()})
    return replace(reference, suites=tuple(_unpack_feeds(item, part) for item, part in pairs))


def _pack_images(entry: SuiteReference) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    item = {"name": entry.name, "bound": entry.bound}
    return item, {"images": entry.images, "logits": entry.logits}


def _unpack_images(item: Mapping[str, Any], arrays: Arrays) -> SuiteReference:
    images, logits = arrays["images"], arrays["logits"]
    if images.dtype != np.uint8 or images.ndim not in {3, 4} or not len(images):
        raise ValueError(f"the images of {item['name']!r} are {images.dtype} {list(images.shape)}")
    if logits.dtype != np.float64 or logits.ndim != 2 or len(logits) != len(images) or not np.isfinite(logits).all():
        raise ValueError(f"the logits of {item['name']!r} are {logits.dtype} {list(logits.shape)}, or not all finite")
    bound = _positive(item["bound"], owner=item["name"])
    return SuiteReference(name=str(item["name"]), images=images, logits=logits, bound=bound)


def _pack_feeds(entry: FeedExpectation) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    item = {
        "name": entry.name,
        "dtypes": entry.dtypes,
        "bounds": entry.bounds,
        "reach": entry.reach,
        "steps": entry.steps,
    }
    groups = {"feed": entry.feeds, "output": entry.outputs, "undecided": entry.undecided}
    return item, {f"{group}.{name}": array for group, part in groups.items() for name, array in part.items()}


def _unpack_feeds(item: Mapping[str, Any], arrays: Arrays) -> FeedExpectation:
    def group(kind: str) -> dict[str, NDArray[Any]]:
        return {name.removeprefix(f"{kind}."): array for name, array in arrays.items() if name.startswith(f"{kind}.")}

    outputs, dtypes = group("output"), {str(name): str(dtype) for name, dtype in item["dtypes"].items()}
    bounds = {str(name): _positive(value, owner=name) for name, value in item["bounds"].items()}
    reach = {str(name): _positive(value, owner=name) for name, value in item["reach"].items()}
    undecided = group("undecided")
    if not set(outputs) == set(dtypes) == set(undecided) >= set(bounds) >= set(reach):
        raise ValueError(f"the outputs of {item['name']!r} are not all there")
    return FeedExpectation(
        name=str(item["name"]),
        feeds=group("feed"),
        outputs=outputs,
        dtypes=dtypes,
        bounds=bounds,
        reach=reach,
        steps={str(name): _positive(value, owner=name) for name, value in item["steps"].items()},
        undecided={name: array.astype(np.bool_) for name, array in undecided.items()},
    )


def _positive(value: Any, *, owner: str) -> float:
    bound = float(value)
    if not 0 < bound < np.inf:
        raise ValueError(f"the bound of {owner!r} is {bound}")
    return bound
