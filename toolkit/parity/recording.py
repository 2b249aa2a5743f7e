"""The reference of a check in a file: how one machine hands its proof to another, which needs neither data nor run."""

from __future__ import annotations

__all__ = [
    "Recording",
    "find_recording",
    "hash_calls",
    "load_recording",
    "pack_suites",
    "read_recording",
    "require_same_model",
    "unpack_reference",
    "write_recording",
]

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.artifacts import recording_beside
from toolkit.durable import open_atomic, sha256_bytes
from toolkit.errors import DataError, ModelError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.references.feeds import FeedExpectation, FeedsReference
from toolkit.parity.references.images import Reference, SuiteReference
from toolkit.plain import from_plain, to_plain
from toolkit.progress import OnNote
from toolkit.regular_file import open_regular
from toolkit.runtimes.base import Arrays
from toolkit.runtimes.workers.frames import read_frame, write_frame

SCHEMA = "toolkit/parity-recording/4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Everything that a file's engines are judged by.

    Attributes:
        reference: the inputs with their float64 answers and bounds.
        model_sha256: hash of the file that they belong to.
        data: `name` and `sha256` of the data set, or of a stranger's inputs.
        environment: the machine that computed them; empty until it is told.
        sample: what a replay needs besides: `settings` of the engine, `suite`, `batch`, `index`, `position` and the
            model's `path`; empty for a whole recording.
    """

    reference: Reference | FeedsReference
    model_sha256: str
    data: dict[str, Any]
    environment: dict[str, Any] = field(default_factory=dict)
    sample: dict[str, Any] = field(default_factory=dict)

    @property
    def first_feeds(self) -> dict[str, NDArray[Any]] | None:
        """The first call of a stranger's file: inputs that were given there cannot be made here. None for images."""
        return self.reference.suites[0].feeds if isinstance(self.reference, FeedsReference) else None


def hash_calls(calls: Iterable[Arrays]) -> str:
    """Return the SHA-256 of the inputs of many calls, one after the other."""
    return sha256_bytes(b"".join(array.tobytes() for feeds in calls for array in feeds.values()))


def write_recording(path: Path, recording: Recording) -> None:
    """Write a recording as one frame of a JSON header and raw buffers.

    Raises:
        ResourceError: the file system refused; nothing half-written stays.
    """
    described, arrays = pack_suites(recording.reference)
    header = {
        "schema": SCHEMA,
        "model_sha256": recording.model_sha256,
        "data": recording.data,
        "environment": recording.environment,
        "sample": recording.sample,
        **described,
    }
    with open_atomic(path) as stream:
        write_frame(stream, {**header, "sha256": _hash(header, arrays)}, arrays=arrays)


def read_recording(path: Path, source: ModelSource) -> Recording:
    """Read a recording of this very file.

    Raises:
        DataError: unreadable, or not a recording of a whole check.
        ModelError: it belongs to another file.
    """
    recording = load_recording(path)
    if recording.sample:
        raise DataError(f"{path} holds one row's worst sample, no whole check; run it with: toolkit parity --replay")
    require_same_model(recording, source, owner=path)
    return recording


def find_recording(source: ModelSource, say: OnNote) -> Recording | None:
    """Return the answers that the export of a module has left beside its file; None for no such, or another file's.

    Raises:
        DataError: what lies there cannot be read.
    """
    beside = recording_beside(source.path)
    if not beside.is_file():
        return None
    recording = load_recording(beside)
    if recording.model_sha256 != source.sha256:
        say(f"{beside} is of another file and is passed over")
        return None
    say(f"judged by the answers in {beside}, recorded at its export; --shape or --inputs asks anew")
    return recording


def load_recording(path: Path) -> Recording:
    """Read a recording of whatever file.

    Raises:
        DataError: unreadable, or not a recording.
    """
    try:
        with open_regular(path, name=f"the recording {path}") as stream:
            frame = read_frame(stream)
        if frame is None or frame[0]["schema"] != SCHEMA:
            raise DataError(f"{path} is not a recording of {SCHEMA}; make one with: toolkit parity --record")
        return _rebuild(*frame)
    except OSError as error:
        raise DataError(f"cannot read the recording {path}: {error.strerror}") from error
    except (EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not a whole recording: {error}; make it again with: toolkit parity --record"
        ) from error


def require_same_model(recording: Recording, source: ModelSource, *, owner: Path) -> None:
    """Refuse to judge one file by another's answers.

    Raises:
        ModelError: the hashes differ.
    """
    if recording.model_sha256 != source.sha256:
        raise ModelError(
            f"{owner} records the file with SHA-256 {recording.model_sha256[:12]}..., "
            f"{source.path.name} has {source.sha256[:12]}...; a proof holds for one file"
        )


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


def _rebuild(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Recording:
    sha256 = header.pop("sha256")
    recording = Recording(
        reference=unpack_reference(header, arrays),
        model_sha256=str(header["model_sha256"]),
        data=dict(header["data"]),
        environment=dict(header["environment"]),
        sample=dict(header["sample"]),
    )
    if sha256 != _hash(header, arrays):
        raise ValueError("its content does not have the SHA-256 that it was written with")
    return recording


def _hash(header: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the hash of everything that a recording says: one flipped bit must not move a bound."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    # Type and shape too: the same bytes read as another type are other numbers.
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


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
