"""`config.json`: what a run was, written before its first step."""

from __future__ import annotations

__all__ = ["LIBRARIES", "describe_run", "version_of"]

from importlib import metadata
from typing import TYPE_CHECKING, Any

from toolkit.card import BYTE_BITS
from toolkit.data.dataset import Dataset
from toolkit.network.run_schema import RUN_SCHEMA
from toolkit.training.session import Machine, Session

if TYPE_CHECKING:
    from toolkit.training.train import TrainConfig

# Another version of one of these may give other bits.
LIBRARIES = ("torch", "numpy")


def version_of(library: str) -> str:
    """Return the installed version of a library."""
    return metadata.version(library)


def describe_run(data: Dataset, session: Session, *, machine: Machine, config: TrainConfig) -> dict[str, Any]:
    """Return the description that `read_run` reads back.

    Args:
        data: the data set.
        session: holds the standardisation, the recipe as resolved for the data, and the images used.
        machine: where it is trained.
        config: seed and what is held out.
    """
    counts = {
        "train_count": len(session.images),
        "validation_count": 0 if session.held_out is None else len(session.held_out[0]),
        "test_count": len(data.test),
    }
    return {
        "schema": RUN_SCHEMA,
        "recipe": session.recipe.to_json(),
        "data": {
            "name": data.name,
            "sha256": data.sha256,
            "licence": data.licence,
            "source": config.data_source,
            **counts,
        },
        "classes": list(data.classes),
        "input": {
            "height": data.height,
            "width": data.width,
            "channels": data.channels,
            "polarity": data.polarity,
            "fit": data.fit,
            **({"bits": data.bits} if data.bits > BYTE_BITS else {}),
        },
        "standardisation": _describe_standardisation(session, data.name),
        "training": {
            "seed": config.seed,
            "all_data": config.all_data,
            "device": machine.device,
            "precision": machine.precision,
            "threads": machine.threads,
            "processes": session.state.group.size,
            "cycles": list(session.cycles),
            "keep_every": config.keep_every,
            "flags": machine.flags(),
            "versions": {name: version_of(name) for name in LIBRARIES},
        },
    }


def _describe_standardisation(session: Session, name: str) -> dict[str, Any]:
    mean = session.state.network.mean.cpu().double()  # Metal has no float64
    return {
        "mean": {"min": float(mean.min()), "max": float(mean.max()), "average": float(mean.mean())},
        "std": float(session.state.network.std),
        "computed_on": f"the {len(session.images)} training images of {name}",
    }
