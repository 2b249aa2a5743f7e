"""The run that a model came from, found by the hash of its checkpoint."""

from __future__ import annotations

__all__ = ["find_origin", "find_origin_run", "require_origin"]

from pathlib import Path

from toolkit.artifacts import ArtifactStore
from toolkit.card import read_card
from toolkit.durable import read_json
from toolkit.errors import DataError, ModelError, ToolkitError
from toolkit.onnx_file.source import ModelSource
from toolkit.onnx_file.vetting import vet_model
from toolkit.runs.run import find_checkpoint, list_checkpoints, read_run


def find_origin(checkpoint_sha256: str, *, store: ArtifactStore, data_sha256: str = "") -> Path | None:
    """Return the run that holds a checkpoint of this hash, or None where there is none.

    The answer is the run folder where its last checkpoint matches, else `run@12` or `run@best`, which `read_run`
    understands. The checkpoint's own hash is checked again when it is read.

    Args:
        checkpoint_sha256: as the model's card names it.
        store: where runs lie.
        data_sha256: of the data; of runs with the same checkpoint (the same training images beside other test images,
            say) one that was made with it is preferred.
    """
    found = [
        reference
        for run in sorted((store.root / "runs").glob("*/"))
        for reference, description in list_checkpoints(run).items()
        if _recorded_sha256(description) == checkpoint_sha256
    ]
    preferred = (path for path in found if data_sha256 and _data_sha256(path) == data_sha256)
    return next(preferred, found[0] if found else None)


def find_origin_run(source: ModelSource, *, store: ArtifactStore) -> Path | None:
    """Return the run whose checkpoint the model's card names (see `find_origin`), None where there is none.

    Args:
        source: the model; its card is read from its own bytes, never from a file beside it.
        store: where the runs lie.
    """
    try:
        summary = vet_model(source.model, name=str(source.path), allow_foreign=True)
        card = read_card(summary["metadata"], name=str(source.path))
    except ModelError:
        return None  # a stranger's file has no run; a broken one is refused by the worker
    return find_origin(card.checkpoint_sha256, store=store)


def require_origin(run: Path, metadata: dict[str, str], *, name: str) -> None:
    """Refuse to execute a run's network in the name of a file that came from another one.

    Args:
        run: the run folder, with `@12` or `@best` for another checkpoint than the last.
        metadata: the file's metadata strings, its card among them.
        name: the file's name, for messages.

    Raises:
        ModelError: the card is missing or names another checkpoint.
        UsageError: the run keeps no such checkpoint.
    """
    recorded = read_card(metadata, name=name).checkpoint_sha256
    seen = _recorded_sha256(find_checkpoint(run).with_suffix(".json"))
    if seen != recorded:
        raise ModelError(
            f"{name} came from a checkpoint of SHA-256 {recorded[:12]}..., the run {run.name} has {str(seen)[:12]}...; "
            "name the run that it was exported from with --run (RUN@12 or RUN@best for a checkpoint that was kept)"
        )


def _recorded_sha256(description: Path) -> str | None:
    try:
        recorded = read_json(description).get("sha256")
    except (DataError, AttributeError):
        return None  # a damaged run is not the one that is looked for
    return recorded if isinstance(recorded, str) else None


def _data_sha256(reference: Path) -> str | None:
    try:
        return str(read_run(reference).data["sha256"])
    except ToolkitError:
        return None
