"""`toolkit train`."""

from __future__ import annotations

__all__ = ["CpuThreads", "Device", "RecipeName", "Seed", "Settings", "train_command"]

from dataclasses import dataclass
from typing import Annotated

import typer

from toolkit.api.words import DEFAULT_RECIPE
from toolkit.cli.completion import DEVICES, POLARITIES, one_of, recipes, runs, setting_keys
from toolkit.cli.options import ImageSize, Json, TrainingData, command_of, options_for
from toolkit.cli.output import Output
from toolkit.training.process import prepare_process
from toolkit.training.recipe_catalog import RECIPES

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
    set: Settings = None
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


def _carry_out(request: TrainRequest) -> None:
    prepare_process()
    from toolkit.api.train import train
    from toolkit.cli.actions.train import show_result, train_and_draw

    output = Output(as_json=request.as_json)
    report = train_and_draw(options_for(train, request), output=output, tensorboard=request.tensorboard)
    show_result(report, output=output)


train_command = command_of(TrainRequest, _carry_out)
