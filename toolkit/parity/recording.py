"""The reference of a check in a file: how one machine hands its proof to another, which needs neither data nor run."""

from __future__ import annotations

__all__ = [
    "Recording",
    "load_recording",
    "read_recording",
    "record_feeds",
    "record_reference",
    "require_same_model",
    "write_recording",
]

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.card import Card
from toolkit.data.dataset import Dataset
from toolkit.durable import open_atomic, sha256_bytes
from toolkit.errors import DataError, ModelError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.config import Budget, ParityConfig
from toolkit.parity.recording_suites import pack_suites, unpack_reference
from toolkit.parity.references.feeds import FeedsReference
from toolkit.parity.references.images import Reference, compute_reference, make_suites
from toolkit.parity.references.made_feeds import make_feed_sets
from toolkit.parity.references.witnesses import compute_feeds_reference
from toolkit.parity.subject import Subject
from toolkit.progress import OnNote, ShowProgress
from toolkit.regular_file import open_regular
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.workers.client import Opener, open_worker
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


def record_reference(
    source: ModelSource, data: Dataset, config: ParityConfig, *, card: Card, opener: Opener = open_worker
) -> Recording:
    """Compute the reference of a file on a data set's test images, noise, special images and its golden vectors.

    Raises:
        ModelError: the run's checkpoint or the file's graph cannot be evaluated.
        WorkerError: a reference process died.
    """
    suites = make_suites(data.test.images, sample=config.sample)
    stated = card.bound.get("logits")
    reference = compute_reference(source, suites, precision=card.precision, stated=stated, opener=opener)
    return Recording(
        reference=reference.with_golden(card.golden),
        model_sha256=source.sha256,
        data={"name": data.name, "sha256": data.sha256},
    )


def record_feeds(
    source: ModelSource,
    subject: Subject,
    feeds: FeedConfig,
    *,
    budget: Budget | None = None,
    opener: Opener = open_worker,
    progress: ShowProgress | None = None,
    say: OnNote | None = None,
) -> Recording:
    """Compute the reference of a stranger's file on inputs that are given or made.

    Args:
        source: the model.
        subject: as it was opened.
        feeds: where its inputs come from.
        budget: of the answers; the default one if left out.
        opener: opens the file in every witness.
        progress: called with the calls answered and how many are to be.
        say: told in a line what takes time beside them.

    Raises:
        ModelError: no reference can be computed.
        WorkerError: a reference process died.
        UsageError: no inputs can be made.
    """
    sets = make_feed_sets(subject.inputs, feeds, subject.plan)
    name = "inputs made from what the graph says of them" if feeds.given is None else "inputs given"
    told = {} if subject.plan is None else {"inputs": subject.plan.to_json()}
    joined = b"".join(np.ascontiguousarray(array).tobytes() for feed in sets for array in feed.arrays.values())
    return Recording(
        reference=compute_feeds_reference(
            source, sets, precision=subject.precision, budget=budget, opener=opener, progress=progress, say=say
        ),
        model_sha256=source.sha256,
        data={"name": name, "sha256": sha256_bytes(joined), **told},
    )


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
        write_frame(stream, {**header, "sha256": _hash(header, arrays)}, arrays)


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
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
