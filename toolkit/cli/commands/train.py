"""`toolkit train`."""

from __future__ import annotations

__all__ = ["CpuThreads", "Device", "RecipeName", "Seed", "Settings", "train_command"]

from dataclasses import dataclass
from typing import Annotated

from toolkit.api.words import DEFAULT_RECIPE
from toolkit.cli.completion import DEVICES, POLARITIES, one_of, recipes, runs, setting_keys
from toolkit.cli.options import ImageSize, Json, TrainingData, command_of, option, options_for
from toolkit.cli.output import Output
from toolkit.training.process import prepare_process
from toolkit.training.recipe_catalog import RECIPES

RecipeName = Annotated[
    str | None,
    option(f"How to train: {', '.join(RECIPES)}, or a .toml file.", default=DEFAULT_RECIPE, complete=one_of(recipes)),
]
Settings = Annotated[
    list[str] | None,
    option(
        "Override a field of the recipe or the network; repeatable.",
        "--set",
        complete=one_of(setting_keys),
        metavar="KEY=VALUE",
    ),
]
Seed = Annotated[int | None, option("Of everything random.", default="0")]
Device = Annotated[
    str | None, option("auto, cpu, cuda or mps (Apple, untested).", default="auto", complete=one_of(DEVICES))
]
CpuThreads = Annotated[int | None, option("CPU threads.", default="torch's own choice")]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """Train the network, or go on with a run, and judge it on the test images."""

    data: TrainingData = None
    size: ImageSize = None
    polarity: Annotated[
        str | None,
        option(
            "What your own images are: light-on-dark, dark-on-light or any.",
            default="told from them",
            complete=one_of(POLARITIES),
        ),
    ] = None
    recipe: RecipeName = None
    set: Settings = None
    epochs: Annotated[
        str | None, option("Short for --set epochs=N; with --resume, +5 adds five.", default="the recipe's")
    ] = None
    seed: Seed = None
    name: Annotated[str | None, option("What the run is called.", default="data, recipe, seed and time")] = None
    all_data: Annotated[bool, option("Train on every image; hold none out for validation.", "--all-data")] = False
    device: Device = None
    threads: CpuThreads = None
    resume: Annotated[
        str | None, option("Go on with a run.", complete=one_of(lambda: ["latest", *runs()]), metavar="RUN|latest")
    ] = None
    keep_every: Annotated[
        int | None, option("Keep every n-th epoch's checkpoint, for RUN@N.", default="the last and the best")
    ] = None
    allow_drift: Annotated[
        bool, option("Resume although recipe, data, seed, threads or versions differ.", "--allow-drift")
    ] = False
    tensorboard: Annotated[
        bool, option("Also write TensorBoard events into the run (extra: tensorboard).", "--tensorboard")
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
