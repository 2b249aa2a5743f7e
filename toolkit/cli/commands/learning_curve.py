"""`toolkit learning-curve`."""

from __future__ import annotations

__all__ = ["learning_curve_command"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.commands.train import DEFAULT_RECIPE, CpuThreads, Device, RecipeName, Seed, Settings
from toolkit.cli.context import DEFAULT_DATA, load_data
from toolkit.cli.options import DataName, ImageSize, Json, split_size
from toolkit.cli.output import Output, ProgressBar, draw_picture, tell_origin
from toolkit.errors import ResourceError
from toolkit.holding import claim
from toolkit.training.process import prepare_process
from toolkit.training.recipe_catalog import resolve_recipe

if TYPE_CHECKING:
    from toolkit.tuning.curve_report import CurveReport

Sizes = Annotated[
    str | None,
    typer.Option(
        "--sizes",
        help="Numbers of training images, or all; 500,1000,2000,5000,10000 as far as there are and all by default.",
    ),
]
Seeds = Annotated[int | None, typer.Option("--seeds", help="Trainings of each size; 3 by default.")]
CurveEpochs = Annotated[int | None, typer.Option("--epochs", help="Short for --set epochs=N.")]
EqualSteps = Annotated[
    bool, typer.Option("--equal-steps", help="Train every size for the steps of the largest, not for equal epochs.")
]
ResumeReport = Annotated[
    Path | None,
    typer.Option("--resume", metavar="REPORT", help="Go on with a report; sizes and seeds may be more."),
]


def learning_curve_command(
    data: DataName = None,
    size: ImageSize = None,
    recipe: RecipeName = None,
    settings: Settings = None,
    epochs: CurveEpochs = None,
    sizes: Sizes = None,
    seeds: Seeds = None,
    seed: Seed = None,
    equal_steps: EqualSteps = False,
    device: Device = None,
    threads: CpuThreads = None,
    resume: ResumeReport = None,
    as_json: Json = False,
) -> None:
    """Measure accuracy against training-set size, on held-out training images; the test images stay untouched."""
    prepare_process()
    from toolkit.durable import read_json
    from toolkit.render.tuning import render_learning_curve
    from toolkit.tuning.learning_curve import CurveConfig, measure_curve, parse_sizes

    output, store = Output(as_json=as_json), ArtifactStore.default()
    settings = [*(settings or []), *([f"epochs={epochs}"] if epochs is not None else [])]
    base = resolve_recipe(recipe or DEFAULT_RECIPE, settings=settings)
    asked = {"seeds": seeds, "seed": seed, "device": device, "threads": threads}
    given: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
    if sizes is not None:
        given["sizes"] = parse_sizes(sizes)
    config = CurveConfig(recipe=base, equal_steps=equal_steps, **given)
    if resume is not None and not claim(resume):
        raise ResourceError(f"the report {resume} is gone on with by another process; wait for it or name another")
    before = None if resume is None else read_json(resume)
    dataset = load_data(data or DEFAULT_DATA, output, size=split_size(size))
    path = resume or store.new_file("reports", f"learning-curve-{dataset.name}-{base.name}", ".json")
    with output.progress("training", unit="steps") as bar:
        listener = _Listener(output, bar, path)
        report = measure_curve(dataset, config, listener=listener, before=before)
    picture = listener.save(report)
    last = [f"report {path}", *([f"picture {picture}"] if picture else [])]
    output.report(tell_origin(report.to_json()), *render_learning_curve(report), *last)


class _Listener:
    """Saves the report after every training, and says how it went."""

    def __init__(self, output: Output, bar: ProgressBar, path: Path) -> None:
        self._output = output
        self.on_step = bar
        self._path = path

    def on_start(self, report: CurveReport, *, trainings: int) -> None:
        self._output.show(
            f"{trainings} trainings, saved one by one in {self._path}; {len(report.trainings)} are there already; "
            f"if it is stopped, go on with the same command and --resume {self._path}"
        )

    def on_training(self, report: CurveReport, *, trainings: int) -> None:
        self.save(report)
        last = report.trainings[-1]
        self._output.show(
            f"training {len(report.trainings)}/{trainings}: {last.size:,} images, seed {last.seed}: "
            f"validation accuracy {100 * last.result.accuracy:.2f} %, {last.result.seconds:.1f} s"
        )

    def save(self, report: CurveReport) -> Path | None:
        """Write the report and its picture; return the picture's path, None where it cannot be drawn."""
        from toolkit.durable import write_json
        from toolkit.plots.tuning import draw_learning_curve

        write_json(self._path, tell_origin(report.to_json()))
        picture = self._path.with_suffix(".png")
        name, recipe = report.settings["data"]["name"], report.settings["recipe"]["name"]
        is_there = draw_picture(picture, lambda: draw_learning_curve(report.rows(), title=f"{name}, recipe {recipe}"))
        return picture if is_there else None
