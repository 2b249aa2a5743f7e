"""`toolkit train`."""

from __future__ import annotations

__all__ = ["DEFAULT_RECIPE", "CpuThreads", "Device", "RecipeName", "Seed", "Settings", "train_command"]

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.api.words import split_size
from toolkit.artifacts import ArtifactStore
from toolkit.cli.actions.train import resume_training, run_training, show_result
from toolkit.cli.completion import DEVICES, POLARITIES, one_of, recipes, runs, setting_keys
from toolkit.cli.context import DEFAULT_DATA, load_data, load_recorded_data, locate_data
from toolkit.cli.options import ImageSize, Json, TrainingData, command_of
from toolkit.cli.output import Output, note
from toolkit.errors import UsageError
from toolkit.training.process import prepare_process
from toolkit.training.recipe_catalog import RECIPES, change_recipe, recipe_from_json, resolve_recipe

if TYPE_CHECKING:
    from toolkit.cli.actions.train import Result

DEFAULT_RECIPE = "fast"
# Of a run, when it begins.
SETTLED = ("name", "all_data", "size", "polarity", "cuda_graph")

RecipeName = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help=f"How to train: {', '.join(RECIPES)}, or a .toml file.",
        show_default=DEFAULT_RECIPE,
        autocompletion=one_of(recipes),
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a field of the recipe or the network; repeatable.",
        autocompletion=one_of(setting_keys),
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Of everything random.", show_default="0")]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="auto, cpu, cuda or mps.",
        show_default="auto",
        autocompletion=one_of(DEVICES),
    ),
]
CpuThreads = Annotated[int | None, typer.Option("--threads", help="CPU threads.", show_default="torch's own choice")]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """Train the network, or go on with a run, and judge it on the test images."""

    data: TrainingData = None
    size: ImageSize = None
    polarity: Annotated[
        str | None,
        typer.Option(
            "--polarity",
            help="What your own images are: light-on-dark, dark-on-light or any.",
            show_default="told from them",
            autocompletion=one_of(POLARITIES),
        ),
    ] = None
    recipe: RecipeName = None
    settings: Settings = None
    epochs: Annotated[
        str | None,
        typer.Option(
            "--epochs", help="Short for --set epochs=N; with --resume, +5 adds five.", show_default="the recipe's"
        ),
    ] = None
    seed: Seed = None
    name: Annotated[
        str | None, typer.Option("--name", help="What the run is called.", show_default="data, recipe, seed and time")
    ] = None
    all_data: Annotated[
        bool, typer.Option("--all-data", help="Train on every image; hold none out for validation.")
    ] = False
    device: Device = None
    threads: CpuThreads = None
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="RUN|latest",
            help="Go on with a run.",
            autocompletion=one_of(lambda: ["latest", *runs()]),
        ),
    ] = None
    keep_every: Annotated[
        int | None,
        typer.Option(
            "--keep-every", help="Keep every n-th epoch's checkpoint, for RUN@N.", show_default="the last and the best"
        ),
    ] = None
    allow_drift: Annotated[
        bool, typer.Option("--allow-drift", help="Resume although recipe, data, seed, threads or versions differ.")
    ] = False
    cuda_graph: Annotated[
        bool, typer.Option("--cuda-graph", help="On CUDA: replay each step as one captured graph.")
    ] = False
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write TensorBoard events into the run (extra: tensorboard).")
    ] = False
    as_json: Json = False

    def given(self, *more: str) -> dict[str, Any]:
        """Return what was given of how to train, by its name."""
        asked = {name: getattr(self, name) for name in ("seed", "device", "threads", "keep_every", *more)}
        return {name: value for name, value in asked.items() if value is not None}


def _carry_out(request: TrainRequest) -> None:
    prepare_process()
    output = Output(as_json=request.as_json)
    show_result((_begin if request.resume is None else _resume)(request, output), output=output)


def _begin(request: TrainRequest, output: Output) -> Result:
    from toolkit.runs.run import check_run_name
    from toolkit.training.config import TrainConfig

    settings, epochs, sides = [*(request.settings or [])], request.epochs, split_size(request.size)
    if request.allow_drift:
        raise UsageError("--allow-drift belongs to --resume")
    if epochs is not None and epochs.startswith("+"):
        raise UsageError(f"--epochs {epochs} adds to a run; name it with --resume, or write --epochs {epochs[1:]}")
    settings += [f"epochs={epochs}"] if epochs is not None else []
    recipe = resolve_recipe(request.recipe or DEFAULT_RECIPE, settings=settings)
    if request.name is not None:
        check_run_name(request.name, store=ArtifactStore.default())  # before data are fetched for it
    how = {
        "all_data": request.all_data,
        "data_source": locate_data(request.data),
        **request.given("cuda_graph", "name"),
    }
    config = TrainConfig(recipe=recipe, **how)
    dataset = load_data(request.data or DEFAULT_DATA, output, size=sides, polarity=request.polarity)
    if config.data_source and dataset.polarity != "any":
        told = "as asked" if request.polarity else "as its training images show"
        note(f"{dataset.name} is {dataset.polarity}, {told}: a picture that is not will be inverted for a prediction")
    return run_training(dataset, config, output=output, tensorboard=request.tensorboard)


def _resume(request: TrainRequest, output: Output) -> Result:
    from toolkit.runs.run import find_run, read_run
    from toolkit.training.config import ResumeConfig

    assert request.resume is not None
    settled = next((name for name in SETTLED if getattr(request, name) not in {None, False}), None)
    if settled is not None:
        raise UsageError(f"--{settled.replace('_', '-')} is settled when a run begins; it cannot change with --resume")
    store = ArtifactStore.default()
    run = store.latest_started_run() if request.resume == "latest" else find_run(Path(request.resume), store=store)
    recorded = read_run(run)
    dataset = load_recorded_data(request.data, recorded.data, output=output, size=recorded.image_size)
    is_asked = request.recipe is not None or request.settings
    base = recipe_from_json(recorded.recipe) if request.recipe is None else resolve_recipe(request.recipe)
    config = ResumeConfig(
        recipe=change_recipe(base, request.settings or []) if is_asked else None,
        data_source=locate_data(request.data),
        **request.given("epochs", "allow_drift"),
    )
    return resume_training(run, dataset, config=config, output=output, tensorboard=request.tensorboard)


train_command = command_of(TrainRequest, _carry_out)
