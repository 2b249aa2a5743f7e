"""A file looked at in a process of its own, where its bytes can do no harm: described, or tried before it runs here.

What was tried once is remembered; then no worker is started, nor is what starts one imported.
"""

from __future__ import annotations

__all__ = [
    "Examination",
    "ensure_probed",
    "examine_file",
    "identify_code",
    "probe_folder",
    "record_path",
    "require_all_inside",
]

import contextlib
import json
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toolkit.artifacts import cache_folder
from toolkit.durable import read_json, sha256_bytes, write_json
from toolkit.errors import DataError, ExternalDataError, ResourceError, WorkerError
from toolkit.onnx_file.source import ModelSource
from toolkit.plain import from_plain, to_plain
from toolkit.runtimes.base import RuntimeSettings, run_first
from toolkit.runtimes.contract import check_outputs, require_contract
from toolkit.runtimes.registry import find_runtime
from toolkit.runtimes.workers.time_limits import LOOK_S, PROBE_DEVICE_S, PROBE_S

if TYPE_CHECKING:
    from toolkit.onnx_file.facts import FileFacts, ShapeClaim

SCHEMA = "toolkit/probed/2"
PROBE_BATCH = 2


class Examination(NamedTuple):
    """What a file states, and where it contradicts itself.

    Attributes:
        facts: what it states.
        claims: outputs that are declared otherwise than its nodes make them, as far as shape inference tells.
    """

    facts: FileFacts
    claims: tuple[ShapeClaim, ...]


def examine_file(source: ModelSource) -> Examination:
    """Describe a file; no engine opens it.

    Raises:
        ModelError: it is no model, or one that ends the process that reads it.
        HelperStartError: no worker can be started.
    """
    from toolkit.onnx_file.facts import FileFacts, ShapeClaim
    from toolkit.runtimes.workers.client import MEMORY_LIMIT_BYTES, WorkerProcess, blame_the_file

    header = {"name": source.path.name, "memory_limit_bytes": MEMORY_LIMIT_BYTES}
    with blame_the_file(str(source.path)), WorkerProcess(timeout_s=LOOK_S) as worker:
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


def ensure_probed(source: ModelSource, settings: RuntimeSettings, *, timeout_s: float | None = None) -> None:
    """Try a model in a worker process unless this very file passed before, opened by the same code in the same way.

    The bytes are parsed, foreign domains and external data refused, a session made, zeros run, the card compared with
    the graph. What passed is remembered in `probe_folder()`; where that cannot be written, it is tried again next time.

    Args:
        source: the model's bytes and their hash.
        settings: the engine, strict or not.
        timeout_s: most seconds for one request; 30 on the CPU, 90 elsewhere, by default.

    Raises:
        ModelError: the file is refused, breaks the contract, or crashes or hangs the engine.
        ProviderError: the provider asked for is not active.
        ResourceError: the engine is not installed, or no worker can be started.
    """
    identity = _identity(source, settings)
    if _is_remembered(identity):
        return
    active = _try_in_worker(source, settings, timeout_s=timeout_s or _default_timeout(settings))
    # After a fallback it is the CPU that was tried: the provider asked for would still run untried one day.
    identity["settings"]["provider"] = active
    with contextlib.suppress(ResourceError):
        write_json(record_path(probe_folder(), identity), identity)


def probe_folder() -> Path:
    """Return where probed files are remembered: a folder of `cache_folder()`."""
    return cache_folder() / "probed"


def identify_code(runtimes: Iterable[str]) -> dict[str, str]:
    """Return what tells one installation of engines from another: `packages`, hashed, and `python`.

    Args:
        runtimes: the engines' names.
    """
    private = (package for name in runtimes for package in find_runtime(name).private)
    return {
        "packages": sha256_bytes("\n".join([*private, *_installed_packages()]).encode()),
        "python": f"{platform.python_version()} {platform.machine()}",
    }


def record_path(folder: Path, identity: dict[str, Any]) -> Path:
    """Return where in a folder something is remembered for all of an identity, which JSON can hold."""
    return folder / f"{sha256_bytes(json.dumps(identity, sort_keys=True).encode())[:32]}.json"


def _try_in_worker(source: ModelSource, settings: RuntimeSettings, *, timeout_s: float) -> str:
    from toolkit.runtimes.workers.client import blame_the_file, open_worker

    name = str(source.path)
    with (
        blame_the_file(name),
        open_worker(source, settings, allow_foreign=False, timeout_s=timeout_s) as worker,
    ):
        card = require_contract(worker.info, name=name)
        outputs = run_first(worker, {"images": np.zeros((PROBE_BATCH, *card.input.shape), np.uint8)})
        check_outputs(outputs, card, count=PROBE_BATCH, name=name)
        return worker.info.provider_active


def _default_timeout(settings: RuntimeSettings) -> float:
    return PROBE_S if settings.provider == "cpu" else PROBE_DEVICE_S


def _identity(source: ModelSource, settings: RuntimeSettings) -> dict[str, Any]:
    """Return everything that decides which code opens the file: another value of any of it may be what crashes."""
    return {
        "schema": SCHEMA,
        "sha256": source.sha256,
        "settings": {**to_plain(settings), "allow_fallback": False},  # what it fell back to is what was opened
        **identify_code([settings.runtime]),
    }


def _installed_packages() -> list[str]:
    """Return names and versions of all that can be imported here, by the names of their folders: quicker than asking.

    All of them, because an engine is rarely one package, and the checks before it are ours.
    """
    folders = (Path(text) for text in dict.fromkeys(sys.path) if text)
    found = (path.name for folder in folders if folder.is_dir() for path in folder.iterdir())
    return sorted(name for name in found if name.endswith((".dist-info", ".egg-info")))


def _is_remembered(identity: dict[str, Any]) -> bool:
    try:
        return bool(read_json(record_path(probe_folder(), identity)) == identity)
    except (DataError, ResourceError):  # never probed, a record that cannot be read, or no home to keep one in
        return False
