"""`toolkit tune`."""

from __future__ import annotations

__all__ = ["tune_command"]

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from toolkit.api.words import DEFAULT_DATA, DEFAULT_RECIPE, split_size
from toolkit.artifacts import ArtifactStore
from toolkit.cli.actions.tune import search_and_report
from toolkit.cli.commands.train import CpuThreads, Device, RecipeName, Seed, Settings
from toolkit.cli.completion import SEARCHES, one_of, setting_keys, studies
from toolkit.cli.hearing import CommandListener
from toolkit.cli.options import ImageSize, Json, TrainingData, command_of, option
from toolkit.cli.output import Output
from toolkit.errors import UsageError
from toolkit.training.process import prepare_process
from toolkit.training.recipe_catalog import change_recipe, resolve_recipe
from toolkit.tuning.search_space import parse_space

# Of the search, with defaults of its own.
PASSED_ON = ("search", "trials", "folds", "max_images", "seed", "device", "threads")


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRequest:
    """Search recipe fields by cross-validation on the training images; the test images stay untouched."""

    data: TrainingData = None
    size: ImageSize = None
    recipe: RecipeName = None
    settings: Settings = None
    space: Annotated[
        list[str] | None,
        option(
            "Vary a field of the recipe or the network: batch_size=64,128 or dropout=0.2..0.6, with :log for a "
            "logarithmic range and /5 for five points of it; repeatable.",
            complete=one_of(setting_keys),
            metavar="KEY=VALUES",
        ),
    ] = None
    search: Annotated[
        str | None, option("tpe (ten random trials, then guided) or grid.", default="tpe", complete=one_of(SEARCHES))
    ] = None
    trials: Annotated[int | None, option("Of the study in all.", default="20, of a grid every point")] = None
    folds: Annotated[int | None, option("Of the cross-validation; 1 holds the last images out.", default="3")] = None
    epochs: Annotated[int | None, option("Of every trial.", default="the recipe's")] = None
    max_images: Annotated[int | None, option("Use so many of the training images.", default="all")] = None
    seed: Seed = None
    device: Device = None
    threads: CpuThreads = None
    study: Annotated[
        str | None,
        option("Go on with a study, or begin it.", default="a new one", complete=one_of(studies), metavar="NAME|PATH"),
    ] = None
    as_json: Json = False


def _carry_out(request: TuneRequest) -> None:
    prepare_process()
    from toolkit.api.data import load_given
    from toolkit.tuning.config import TuneConfig

    output, store = Output(as_json=request.as_json), ArtifactStore.default()
    settings, epochs = request.settings or [], request.epochs
    base = resolve_recipe(request.recipe or DEFAULT_RECIPE, settings=settings)
    settled = [text.partition("=")[0] for text in settings] + (["epochs"] if epochs is not None else [])
    dimensions = parse_space(request.space or [], settled=settled)
    asked = {name: getattr(request, name) for name in PASSED_ON}
    given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    short = base if epochs is None else change_recipe(base, [f"epochs={epochs}"])
    config = TuneConfig(recipe=short, space=dimensions, **given)
    told = CommandListener(output)
    dataset = load_given(request.data or DEFAULT_DATA, listener=told, size=split_size(request.size))
    study = _locate_study(request.study, f"{dataset.name}-{base.name}", store=store)
    named = request.study is not None
    search_and_report(dataset, config, base=base, study=study, repeats_name=named, store=store, output=output)


def _locate_study(study: str | None, stem: str, *, store: ArtifactStore) -> Path:
    """Return the file: under `artifacts/tune` for a name, itself for a path."""
    if study is None:
        return store.new_file("tune", stem, suffix=".db")
    if not study.strip():
        raise UsageError("--study is empty; expected a name or a path that ends in .db")
    path = Path(study)
    return path if path.name != study or path.suffix == ".db" else store.root / "tune" / f"{study}.db"


tune_command = command_of(TuneRequest, _carry_out)
