"""The reference of a check in a file: how one machine hands its proof to another, which needs neither data nor run."""

from __future__ import annotations

__all__ = ["Recording", "read_recording", "record_reference", "write_recording"]

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.card import Card
from toolkit.data.dataset import Dataset
from toolkit.durable import open_atomic
from toolkit.errors import DataError, ModelError
from toolkit.parity.config import ParityConfig
from toolkit.parity.reference import Reference, SuiteReference, compute_reference
from toolkit.parity.suites import Suite, make_suites
from toolkit.runtimes.frames import read_frame, write_frame
from toolkit.runtimes.source import ModelSource

SCHEMA = "toolkit/parity-recording/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Everything that a file's engines are judged by.

    Attributes:
        reference: the images with their float64 logits and bounds.
        model_sha256: hash of the file that they belong to.
        data: `name` and `sha256` of the data set.
        environment: the machine that computed them.
    """

    reference: Reference
    model_sha256: str
    data: dict[str, Any]
    environment: dict[str, Any]


def record_reference(
    source: ModelSource, data: Dataset, config: ParityConfig, *, card: Card, environment: dict[str, Any]
) -> Recording:
    """Compute the reference of a file on a data set's test images, noise, special images and its golden vectors.

    Raises:
        ModelError: the run's checkpoint or the file's graph cannot be evaluated.
        WorkerError: a reference process died.
    """
    suites = make_suites(data.test.images, sample=config.sample)
    reference = compute_reference(source, suites, precision=card.precision).with_golden(card.golden)
    return Recording(
        reference=reference,
        model_sha256=source.sha256,
        data={"name": data.name, "sha256": data.sha256},
        environment=environment,
    )


def write_recording(path: Path, recording: Recording) -> None:
    """Write a recording as one frame of a JSON header and raw buffers.

    Raises:
        ResourceError: the file system refused; nothing half-written stays.
    """
    suites = recording.reference.suites
    header = {
        "schema": SCHEMA,
        "kind": recording.reference.kind,
        "model_sha256": recording.model_sha256,
        "data": recording.data,
        "environment": recording.environment,
        "suites": [{"name": entry.suite.name, "bound": entry.bound} for entry in suites],
    }
    arrays: dict[str, NDArray[Any]] = {}
    for entry in suites:
        arrays[f"{entry.suite.name}.images"] = entry.suite.images
        arrays[f"{entry.suite.name}.logits"] = entry.logits
    with open_atomic(path) as stream:
        write_frame(stream, header, arrays)


def read_recording(path: Path, source: ModelSource) -> Recording:
    """Read a recording of this very file.

    Raises:
        DataError: unreadable, or not a recording.
        ModelError: it belongs to another file.
    """
    try:
        with path.open("rb") as stream:
            frame = read_frame(stream)
        if frame is None or frame[0]["schema"] != SCHEMA:
            raise DataError(f"{path} is not a recording of {SCHEMA}; make one with: toolkit parity --record")
        recording = _rebuild(*frame)
    except OSError as error:
        raise DataError(f"cannot read the recording {path}: {error.strerror}") from error
    except (EOFError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a whole recording: {error}; make it again with: toolkit parity --record"
        ) from error
    if recording.model_sha256 != source.sha256:
        raise ModelError(
            f"{path} records the file with SHA-256 {recording.model_sha256[:12]}..., "
            f"{source.path.name} has {source.sha256[:12]}...; a proof holds for one file"
        )
    return recording


def _rebuild(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Recording:
    suites = tuple(_rebuild_suite(item, arrays) for item in header["suites"])
    if [entry.suite.name for entry in suites[:1]] != ["test"]:
        raise ValueError("its first suite is not the test images")
    return Recording(
        reference=Reference(kind=str(header["kind"]), suites=suites),
        model_sha256=str(header["model_sha256"]),
        data=dict(header["data"]),
        environment=dict(header["environment"]),
    )


def _rebuild_suite(item: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> SuiteReference:
    images, logits = arrays[f"{item['name']}.images"], arrays[f"{item['name']}.logits"]
    if images.dtype != np.uint8 or images.ndim not in {3, 4} or not len(images):
        raise ValueError(f"the images of {item['name']!r} are {images.dtype} {list(images.shape)}")
    if logits.dtype != np.float64 or logits.ndim != 2 or len(logits) != len(images) or not np.isfinite(logits).all():
        raise ValueError(f"the logits of {item['name']!r} are {logits.dtype} {list(logits.shape)}, or not all finite")
    bound = float(item["bound"])
    if not 0 < bound < np.inf:
        raise ValueError(f"the bound of {item['name']!r} is {bound}")
    return SuiteReference(suite=Suite(name=str(item["name"]), images=images), logits=logits, bound=bound)
