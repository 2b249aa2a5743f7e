"""`toolkit train`."""

from __future__ import annotations

__all__ = ["run_training", "train_command"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import DEFAULT_DATA, load_data
from toolkit.cli.options import DataName, Json
from toolkit.cli.output import Output, ProgressBar
from toolkit.training.recipe import RECIPES, resolve_recipe

if TYPE_CHECKING:
    from toolkit.data import Dataset
    from toolkit.evaluation.accuracy import AccuracyReport
    from toolkit.training.train import TrainConfig, TrainReport

Recipe = Annotated[str, typer.Option("--recipe", help=f"How to train: {', '.join(RECIPES)}.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a field of the recipe or the network; repeatable."),
]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Short for --set epochs=N.", show_default=False)]
Seed = Annotated[int, typer.Option("--seed", help="Of the weights, the shuffling and the augmentation.")]
AllData = Annotated[bool, typer.Option("--all-data", help="Train on every image; hold none out for validation.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
CpuThreads = Annotated[int, typer.Option("--threads", help="CPU threads; 0 is torch's own choice.")]


def train_command(
    data: DataName = None,
    recipe: Recipe = "fast",
    settings: Settings = None,
    epochs: Epochs = None,
    seed: Seed = 0,
    all_data: AllData = False,
    device: Device = "auto",
    threads: CpuThreads = 0,
    as_json: Json = False,
) -> None:
    """Train the network and judge it on the test images."""
    chosen = [*(settings or []), *([f"epochs={epochs}"] if epochs is not None else [])]
    resolved = resolve_recipe(recipe, settings=chosen)
    from toolkit.training.train import TrainConfig

    output = Output(as_json=as_json)
    config = TrainConfig(recipe=resolved, seed=seed, all_data=all_data, device=device, threads=threads)
    report, accuracy = run_training(data or DEFAULT_DATA, config, output=output)
    output.report(
        {"run": str(report.run), "evaluation": accuracy.to_json(), "checkpoint_sha256": report.checkpoint_sha256},
        f"test accuracy {accuracy.describe()}",
        f"run {report.run}; go on with: toolkit export",
    )


def run_training(
    data_name: str, config: TrainConfig, *, output: Output, dataset: Dataset | None = None
) -> tuple[TrainReport, AccuracyReport]:
    """Train, evaluate and draw, telling the user what happens."""
    from toolkit.artifacts import write_atomic
    from toolkit.cli.evaluation_files import write_evaluation
    from toolkit.evaluation.evaluate import evaluate_run
    from toolkit.plots import draw_history
    from toolkit.training.train import train

    dataset = dataset or load_data(data_name, output)
    with output.progress("training", unit="steps") as bar:
        listener = _Listener(output, bar)
        report = train(dataset, config, store=ArtifactStore.default(), listener=listener)
    write_atomic(report.run / "history.png", draw_history(report.rows))
    result = evaluate_run(report.run, dataset)
    write_evaluation(result, dataset.test.images, dataset.classes, path=report.run / "evaluation.json")
    return report, result.report


class _Listener:
    def __init__(self, output: Output, bar: ProgressBar) -> None:
        self._output = output
        self._bar = bar

    def on_start(self, *, network: Any, device: str, precision: str, run: Path) -> None:
        from toolkit.render import layer_table

        self._output.show(
            layer_table(network.layer_shapes()), f"training on {device} with {precision} products into {run}"
        )

    def on_step(self, done: int, total: int | None) -> None:
        self._bar(done, total)

    def on_epoch(self, row: Any, epochs: int) -> None:
        self._output.show(row.describe(epochs))
