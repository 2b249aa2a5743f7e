"""`toolkit train`."""

from __future__ import annotations

__all__ = ["run_training", "train_command"]

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.actions.training_listener import TrainingListener
from toolkit.cli.context import DEFAULT_DATA, load_data, load_recorded_data, locate_data
from toolkit.cli.options import DataName, ImageSize, Json, command_of, split_size
from toolkit.cli.output import Output, note, warn
from toolkit.errors import UsageError
from toolkit.training.process import prepare_process
from toolkit.training.recipe_catalog import RECIPES, change_recipe, recipe_from_json, resolve_recipe

if TYPE_CHECKING:
    from toolkit.data import Dataset
    from toolkit.evaluation.accuracy import AccuracyReport
    from toolkit.training.train import TrainConfig, TrainReport

DEFAULT_RECIPE = "fast"
# Of a run, when it begins.
SETTLED = ("all_data", "size", "polarity", "cuda_graph")
Result: TypeAlias = "tuple[TrainReport, AccuracyReport, list[str]] | None"

RecipeName = Annotated[
    str | None,
    typer.Option("--recipe", help=f"How to train: {', '.join(RECIPES)}, or a .toml file; {DEFAULT_RECIPE} by default."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a field of the recipe or the network; repeatable."),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Of everything random; 0 by default.")]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or mps; auto by default.")]
CpuThreads = Annotated[int | None, typer.Option("--threads", help="CPU threads; torch's own choice by default.")]


def judge_run(
    report: TrainReport, dataset: Dataset, *, listener: TrainingListener
) -> tuple[TrainReport, AccuracyReport, list[str]] | None:
    """Judge a run on the test images, write its report and pictures, and warn where chance would do as well.

    Returns:
        What was trained, its accuracy, and all that was warned of; None in processes that only help another.
    """
    from toolkit.cli.actions.evaluation_files import write_evaluation
    from toolkit.evaluation.evaluate import evaluate_run
    from toolkit.evaluation.mistakes import find_mistakes

    if not report.is_main:
        return None
    result = evaluate_run(report.run, dataset)
    write_evaluation(result, dataset.test.images, dataset.classes, path=report.run / "evaluation.json")
    if listener.board is not None:
        mistakes = find_mistakes(result, dataset.classes)
        images = dataset.test.images[[item.index for item in mistakes]]
        captions = [f"{item.predicted} (was {item.label})" for item in mistakes]
        listener.board.add_mistakes(images, captions, epoch=len(report.rows))
        listener.board.close()
    doubts = result.report.describe_chance(dataset.classes)
    warn(doubts)
    return report, result.report, [*dataset.describe_gaps(), *doubts]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """Train the network, or go on with a run, and judge it on the test images."""

    data: DataName = None
    size: ImageSize = None
    polarity: Annotated[
        str | None,
        typer.Option(
            "--polarity",
            help="What your own images are: light-on-dark, dark-on-light or any; told from them by default.",
        ),
    ] = None
    recipe: RecipeName = None
    settings: Settings = None
    epochs: Annotated[
        str | None, typer.Option("--epochs", help="Short for --set epochs=N; with --resume, +5 adds five.")
    ] = None
    seed: Seed = None
    all_data: Annotated[
        bool, typer.Option("--all-data", help="Train on every image; hold none out for validation.")
    ] = False
    device: Device = None
    threads: CpuThreads = None
    resume: Annotated[str | None, typer.Option("--resume", metavar="RUN|latest", help="Go on with a run.")] = None
    keep_every: Annotated[
        int | None, typer.Option("--keep-every", help="Keep every n-th epoch's checkpoint, for RUN@N.")
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
    result = (_begin if request.resume is None else _resume)(request, output)
    if result is None:
        return
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
    from toolkit.render.training import recipe_lines
    from toolkit.training.train import train

    warn(dataset.describe_gaps())
    with output.progress("training", unit="steps") as bar:
        listener = TrainingListener(output, bar, tensorboard=tensorboard, words=recipe_lines(config.recipe))
        report = train(dataset, config, store=ArtifactStore.default(), listener=listener)
    return judge_run(report, dataset, listener=listener)


def _begin(request: TrainRequest, output: Output) -> Result:
    from toolkit.training.train import TrainConfig

    settings, epochs, sides = [*(request.settings or [])], request.epochs, split_size(request.size)
    if request.allow_drift:
        raise UsageError("--allow-drift belongs to --resume")
    if epochs is not None and epochs.startswith("+"):
        raise UsageError(f"--epochs {epochs} adds to a run; name it with --resume, or write --epochs {epochs[1:]}")
    settings += [f"epochs={epochs}"] if epochs is not None else []
    recipe = resolve_recipe(request.recipe or DEFAULT_RECIPE, settings=settings)
    how = {"all_data": request.all_data, "data_source": locate_data(request.data), **request.given("cuda_graph")}
    config = TrainConfig(recipe=recipe, **how)
    dataset = load_data(request.data or DEFAULT_DATA, output, size=sides, polarity=request.polarity)
    if config.data_source and dataset.polarity != "any":
        told = "as asked" if request.polarity else "as its training images show"
        note(f"{dataset.name} is {dataset.polarity}, {told}: a picture that is not will be inverted for a prediction")
    return run_training(dataset, config, output=output, tensorboard=request.tensorboard)


def _resume(request: TrainRequest, output: Output) -> Result:
    from toolkit.runs.run import find_run, read_run
    from toolkit.training.resume import ResumeConfig, resume_run

    assert request.resume is not None
    settled = next((name for name in SETTLED if getattr(request, name) not in {None, False}), None)
    if settled is not None:
        raise UsageError(f"--{settled.replace('_', '-')} is settled when a run begins; it cannot change with --resume")
    store = ArtifactStore.default()
    run = store.latest_started_run() if request.resume == "latest" else find_run(Path(request.resume), store=store)
    recorded = read_run(run)
    dataset = load_recorded_data(request.data, recorded.data, output, size=recorded.image_size)
    is_asked = request.recipe is not None or request.settings
    base = recipe_from_json(recorded.recipe) if request.recipe is None else resolve_recipe(request.recipe)
    config = ResumeConfig(
        recipe=change_recipe(base, request.settings or []) if is_asked else None,
        data_source=locate_data(request.data),
        **request.given("epochs", "allow_drift"),
    )
    warn(dataset.describe_gaps())
    with output.progress("training", unit="steps") as bar:
        listener = TrainingListener(output, bar, tensorboard=request.tensorboard, words=[])
        report = resume_run(run, dataset, config, store=store, listener=listener)
    return judge_run(report, dataset, listener=listener)


train_command = command_of(TrainRequest, _carry_out)
