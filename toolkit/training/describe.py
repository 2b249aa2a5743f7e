"""What a run is, in plain values and in words: its `config.json`, written before the first step, and its start."""

from __future__ import annotations

__all__ = ["LAST_ONES", "LIBRARIES", "describe_run", "describe_start", "name_held_out", "version_of"]

from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from toolkit.card import BYTE_BITS
from toolkit.counts import count_of
from toolkit.data.dataset import Dataset
from toolkit.data.split import ends_mixed
from toolkit.runs.run import RUN_SCHEMA
from toolkit.training.config import TrainConfig
from toolkit.training.recipe import FOLLOWING
from toolkit.training.session import Machine, Session

# Another version of one of these may give other bits.
LIBRARIES = ("torch", "numpy")
# Of the training images, where they mix the classes: what earlier versions held out always.
LAST_ONES = "the last ones"


def version_of(library: str) -> str:
    """Return the installed version of a library."""
    return metadata.version(library)


def describe_run(data: Dataset, session: Session, *, machine: Machine, config: TrainConfig) -> dict[str, Any]:
    """Return the description that `read_run` reads back; its training begins now.

    Args:
        data: the data set.
        session: holds the standardisation, the recipe as resolved for the data, and the images used.
        machine: where it is trained.
        config: seed and what is held out.
    """
    held_out = 0 if session.held_out is None else len(session.held_out[0])
    counts = {"train_count": len(session.labels), "validation_count": held_out, "test_count": len(data.test)}
    return {
        "schema": RUN_SCHEMA,
        "recipe": session.recipe.to_json(),
        "data": {
            "name": data.name,
            "sha256": data.sha256,
            "licence": data.licence,
            "source": config.data_source,
            **counts,
            "empty_classes": list(data.empty_classes),
        },
        "classes": list(data.classes),
        "input": data.describe_input() | ({"bits": data.bits} if data.bits > BYTE_BITS else {}),
        "standardisation": _describe_standardisation(session, data.name),
        "training": {
            "begun_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seed": config.seed,
            "all_data": config.all_data,
            "device": machine.device,
            "precision": machine.precision,
            "threads": machine.threads,
            "processes": session.state.group.size,
            "held_out": name_held_out(data, config),
            "fitted": _list_fitted(session, config),
            "cycles": list(session.cycles),
            "keep_every": config.keep_every,
            "flags": machine.flags(),
            "versions": {name: version_of(name) for name in LIBRARIES},
        },
    }


def describe_start(data: Dataset, session: Session, *, machine: Machine, config: TrainConfig) -> dict[str, Any]:
    """Return what a listener hears of a training that begins or goes on, by the names of `on_start`."""
    return {
        "network": session.recipe.network,
        "machine": machine,
        "processes": session.state.group.size,
        "notes": _describe_data_use(data, session, config=config),
    }


def _describe_data_use(data: Dataset, session: Session, *, config: TrainConfig) -> list[str]:
    """Return, as sentences, how many images are trained on, which are held out, and what was fitted to their number.

    Args:
        data: the data set.
        session: holds the recipe as resolved for the data, and the images used.
        config: holds the recipe as it was asked for.
    """
    images, held_out = len(session.labels), 0 if session.held_out is None else len(session.held_out[0])
    validated = f"{held_out:,} held out, {name_held_out(data, config)}" if held_out else "none held out"
    lines = [f"{count_of(images, 'image')} to train on, {validated}"]
    if fitted := _list_fitted(session, config):
        steps = session.recipe.count_steps(images)
        changes = ", ".join(f"{key} {before} -> {after}" for key, (before, after) in fitted.items())
        lines.append(
            f"fitted to {count_of(images, 'image')}: {changes}; {count_of(steps, 'step')} an epoch, "
            f"{steps * session.recipe.epochs:,} in all (--set {next(iter(fitted))}=... chooses otherwise)"
        )
    return lines


def name_held_out(data: Dataset, config: TrainConfig) -> str:
    """Return which training images are held out for validation, in words."""
    return "none" if config.all_data else LAST_ONES if ends_mixed(data.train.labels) else "the last ones of every class"


def _list_fitted(session: Session, config: TrainConfig) -> dict[str, list[float]]:
    """Return what was fitted to the number of images: `{field: [as the recipe has it, as used]}`."""
    pairs = {key: [getattr(config.recipe, key), getattr(session.recipe, key)] for key in FOLLOWING}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _describe_standardisation(session: Session, name: str) -> dict[str, Any]:
    mean = session.state.network.mean.cpu().double()  # Metal has no float64
    own = session.recipe.network.standardisation == "image"
    return {
        "mean": {"min": float(mean.min()), "max": float(mean.max()), "average": float(mean.mean())},
        "std": float(session.state.network.std),
        "computed_on": f"the {len(session.labels)} training images of {name}{'; each takes its own' if own else ''}",
    }
