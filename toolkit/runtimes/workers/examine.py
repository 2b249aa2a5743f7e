"""A file described in a process of its own, where its bytes can do no harm; no engine opens it."""

from __future__ import annotations

__all__ = ["Examination", "examine_file", "require_all_inside"]

from typing import NamedTuple

import numpy as np

from toolkit.errors import ExternalDataError, WorkerError
from toolkit.onnx_file.facts import FileFacts, ShapeClaim
from toolkit.onnx_file.source import ModelSource
from toolkit.plain import from_plain
from toolkit.runtimes.workers.client import MEMORY_LIMIT_BYTES, WorkerProcess, blame_the_file

TIMEOUT_S = 60.0


class Examination(NamedTuple):
    """What a file states, and where it contradicts itself.

    Attributes:
        facts: what it states.
        claims: outputs that are declared otherwise than its nodes make them, as far as shape inference tells.
    """

    facts: FileFacts
    claims: tuple[ShapeClaim, ...]


def examine_file(source: ModelSource) -> Examination:
    """Describe a file.

    Raises:
        ModelError: it is no model, or one that ends the process that reads it.
        HelperStartError: no worker can be started.
    """
    header = {"name": source.path.name, "memory_limit_bytes": MEMORY_LIMIT_BYTES}
    with blame_the_file(str(source.path)), WorkerProcess(timeout_s=TIMEOUT_S) as worker:
        told, _ = worker.request({"verb": "describe", **header}, {"model": np.frombuffer(source.model, np.uint8)})
        facts = from_plain(FileFacts, told["facts"])
        try:
            told, _ = worker.request({"verb": "infer"})
        except WorkerError:  # onnx's inference is C++ and may end by a hostile graph; what was read holds
            return Examination(facts, ())
    claims = (ShapeClaim(name, tuple(declared), tuple(found)) for name, declared, found in told["claims"])
    return Examination(facts, tuple(claims))


def require_all_inside(source: ModelSource) -> None:
    """Refuse a file of which something lies in others.

    Raises:
        ExternalDataError: it names them.
        ModelError, HelperStartError: as `examine_file`.
    """
    beside = [item.location for item in examine_file(source).facts.beside]
    if beside:
        raise ExternalDataError(f"weights of {source.path} lie outside the file, in {', '.join(beside)}")
