"""`toolkit train`."""

from __future__ import annotations

__all__ = ["run_training", "train_command"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import DEFAULT_DATA, load_data, load_recorded_data, locate_data
from toolkit.cli.options import DataName, ImageSize, Json, split_size
from toolkit.cli.output import Output, note, warn
from toolkit.cli.training_listener import TrainingListener
from toolkit.cli.training_results import judge_run
from toolkit.errors import UsageError
from toolkit.training.process import prepare_process
from toolkit.training.recipes import RECIPES, change_recipe, recipe_from_json, resolve_recipe

if TYPE_CHECKING:
    from toolkit.data import Dataset
    from toolkit.evaluation.accuracy import AccuracyReport
    from toolkit.training.recipe import Recipe
    from toolkit.training.train import TrainConfig, TrainReport

DEFAULT_RECIPE = "fast"
Result: TypeAlias = "tuple[TrainReport, AccuracyReport, list[str]] | None"

RecipeName = Annotated[
    str | None,
    typer.Option("--recipe", help=f"How to train: {', '.join(RECIPES)}, or a .toml file; {DEFAULT_RECIPE} by default."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a field of the recipe or the network; repeatable."),
]
Epochs = Annotated[
    str | None,
    typer.Option("--epochs", help="Short for --set epochs=N; with --resume, +5 adds five.", show_default=False),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Of everything random; 0 by default.", show_default=False)]
Polarity = Annotated[
    str | None,
    typer.Option(
        "--polarity",
        help="What your own images are: light-on-dark, dark-on-light or any; told from them by default.",
        show_default=False,
    ),
]
AllData = Annotated[bool, typer.Option("--all-data", help="Train on every image; hold none out for validation.")]
Device = Annotated[
    str | None, typer.Option("--device", help="auto, cpu, cuda or mps; auto by default.", show_default=False)
]
CpuThreads = Annotated[
    int | None, typer.Option("--threads", help="CPU threads; torch's own choice by default.", show_default=False)
]
Resume = Annotated[
    str | None, typer.Option("--resume", metavar="RUN|latest", help="Go on with a run.", show_default=False)
]
KeepEvery = Annotated[
    int | None,
    typer.Option("--keep-every", help="Keep every n-th epoch's checkpoint, for RUN@N.", show_default=False),
]
AllowDrift = Annotated[
    bool, typer.Option("--allow-drift", help="Resume although recipe, data, seed, threads or versions differ.")
]
CudaGraph = Annotated[bool, typer.Option("--cuda-graph", help="On CUDA: replay each step as one captured graph.")]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Also write TensorBoard events into the run (extra: tensorboard).")
]


def train_command(
    data: DataName = None,
    size: ImageSize = None,
    polarity: Polarity = None,
    recipe: RecipeName = None,
    settings: Settings = None,
    epochs: Epochs = None,
    seed: Seed = None,
    all_data: AllData = False,
    device: Device = None,
    threads: CpuThreads = None,
    resume: Resume = None,
    keep_every: KeepEvery = None,
    allow_drift: AllowDrift = False,
    cuda_graph: CudaGraph = False,
    tensorboard: TensorBoard = False,
    as_json: Json = False,
) -> None:
    """Train the network, or go on with a run, and judge it on the test images."""
    prepare_process()
    output, settings, sides = Output(as_json=as_json), settings or [], split_size(size)
    how = {"seed": seed, "device": device, "threads": threads, "keep_every": keep_every}
    if resume is None:
        if allow_drift:
            raise UsageError("--allow-drift belongs to --resume")
        if epochs is not None and epochs.startswith("+"):
            raise UsageError(f"--epochs {epochs} adds to a run; name it with --resume, or write --epochs {epochs[1:]}")
        settings += [f"epochs={epochs}"] if epochs is not None else []
        resolved = resolve_recipe(recipe or DEFAULT_RECIPE, settings=settings)
        asked = {**how, "cuda_graph": cuda_graph}
        own = {"size": sides, "polarity": polarity}
        result = _begin(data, resolved, asked, own, all_data=all_data, output=output, tensorboard=tensorboard)
    else:
        _refuse_settled(all_data=all_data, size=sides, polarity=polarity, cuda_graph=cuda_graph)
        asked = {**how, "epochs": epochs, "allow_drift": allow_drift, "data_source": locate_data(data)}
        result = _resume(resume, data, recipe, settings, asked, output=output, tensorboard=tensorboard)
    if result is not None:
        report, accuracy, warnings = result
        output.report(
            {
                "run": str(report.run),
                "evaluation": accuracy.to_json(),
                "checkpoint_sha256": report.checkpoint_sha256,
                "warnings": warnings,
            },
            f"test accuracy {accuracy.describe()}",
            f"run {report.run}; go on with: toolkit export",
        )


def run_training(dataset: Dataset, config: TrainConfig, *, output: Output, tensorboard: bool = False) -> Result:
    """Train, evaluate and draw, telling the user what happens; None in processes that only help another."""
    from toolkit.render import recipe_lines
    from toolkit.training.train import train

    warn(dataset.describe_gaps())
    with output.progress("training", unit="steps") as bar:
        listener = TrainingListener(output, bar, tensorboard=tensorboard, words=recipe_lines(config.recipe))
        report = train(dataset, config, store=ArtifactStore.default(), listener=listener)
    return judge_run(report, dataset, listener=listener)


def _refuse_settled(**options: Any) -> None:
    given = next((name for name, value in options.items() if value), None)
    if given is not None:
        raise UsageError(f"--{given.replace('_', '-')} is settled when a run begins; it cannot change with --resume")


def _begin(
    data: str | None,
    recipe: Recipe,
    how: dict[str, Any],
    own: dict[str, Any],
    *,
    all_data: bool,
    output: Output,
    tensorboard: bool,
) -> Result:
    from toolkit.training.train import TrainConfig

    given = {key: value for key, value in how.items() if value is not None}
    config = TrainConfig(recipe=recipe, all_data=all_data, data_source=locate_data(data), **given)
    dataset = load_data(data or DEFAULT_DATA, output, **own)
    if config.data_source and dataset.polarity != "any":
        told = "as asked" if own["polarity"] else "as its training images show"
        note(f"{dataset.name} is {dataset.polarity}, {told}: a picture that is not will be inverted for a prediction")
    return run_training(dataset, config, output=output, tensorboard=tensorboard)


def _resume(
    name: str,
    data: str | None,
    recipe: str | None,
    settings: list[str],
    asked: dict[str, Any],
    *,
    output: Output,
    tensorboard: bool,
) -> Result:
    from toolkit.network.run import find_run, read_run
    from toolkit.training.resume import ResumeConfig, resume_run

    store = ArtifactStore.default()
    run = store.latest_started_run() if name == "latest" else find_run(Path(name), store=store)
    recorded = read_run(run)
    dataset = load_recorded_data(data, recorded.data, output, size=recorded.image_size)
    base = recipe_from_json(recorded.recipe) if recipe is None else resolve_recipe(recipe)
    wanted = change_recipe(base, settings) if recipe is not None or settings else None
    config = ResumeConfig(recipe=wanted, **asked)
    warn(dataset.describe_gaps())
    with output.progress("training", unit="steps") as bar:
        listener = TrainingListener(output, bar, tensorboard=tensorboard, words=[])
        report = resume_run(run, dataset, config, store=store, listener=listener)
    return judge_run(report, dataset, listener=listener)
