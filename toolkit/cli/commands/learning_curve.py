"""`toolkit learning-curve`: measured, saved after every training, drawn and shown."""

from __future__ import annotations

__all__ = ["learning_curve_command"]

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from toolkit.api.words import DEFAULT_DATA, DEFAULT_RECIPE, split_size
from toolkit.artifacts import ArtifactStore
from toolkit.cli.commands.train import CpuThreads, Device, RecipeName, Seed, Settings
from toolkit.cli.completion import json_files
from toolkit.cli.context import require_there
from toolkit.cli.hearing import CommandListener
from toolkit.cli.options import ImageSize, Json, TrainingData, command_of, option
from toolkit.cli.output import Output, ProgressBar, draw_picture, tell_origin
from toolkit.counts import count_of
from toolkit.durable import read_json, write_json
from toolkit.errors import ResourceError
from toolkit.holding import claim
from toolkit.training.process import prepare_process
from toolkit.training.recipe_catalog import resolve_recipe

if TYPE_CHECKING:
    from toolkit.tuning.curve_report import CurveReport


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveRequest:
    """Measure accuracy against training-set size, on held-out training images; the test images stay untouched."""

    data: TrainingData = None
    size: ImageSize = None
    recipe: RecipeName = None
    settings: Settings = None
    epochs: Annotated[int | None, option("Short for --set epochs=N.", default="the recipe's")] = None
    sizes: Annotated[
        str | None,
        option("Numbers of training images, or all.", default="500,1000,2000,5000,10000 as far as there are, and all"),
    ] = None
    seeds: Annotated[int | None, option("Trainings of each size.", default="3")] = None
    seed: Seed = None
    equal_steps: Annotated[
        bool, option("Train every size for the steps of the largest, not for equal epochs.", "--equal-steps")
    ] = False
    device: Device = None
    threads: CpuThreads = None
    resume: Annotated[
        Path | None, option("Go on with a report; sizes and seeds may be more.", complete=json_files, metavar="REPORT")
    ] = None
    as_json: Json = False


def _carry_out(request: CurveRequest) -> None:
    prepare_process()
    from toolkit.api.data import load_given
    from toolkit.render.training import render_learning_curve
    from toolkit.tuning.learning_curve import CurveConfig, measure_curve, parse_sizes

    output, epochs, resume = Output(as_json=request.as_json), request.epochs, request.resume
    settings = [*(request.settings or []), *([f"epochs={epochs}"] if epochs is not None else [])]
    base = resolve_recipe(request.recipe or DEFAULT_RECIPE, settings=settings)
    given: dict[str, Any] = {
        name: value for name in ("seeds", "seed", "device", "threads") if (value := getattr(request, name)) is not None
    }
    if request.sizes is not None:
        given["sizes"] = parse_sizes(request.sizes)
    config = CurveConfig(recipe=base, equal_steps=request.equal_steps, **given)
    if resume is not None and not claim(require_there(resume, made_by="toolkit learning-curve")):
        raise ResourceError(f"the report {resume} is gone on with by another process; wait for it or name another")
    before = None if resume is None else read_json(resume)
    told = CommandListener(output)
    dataset = load_given(request.data or DEFAULT_DATA, listener=told, size=split_size(request.size))
    stem = f"learning-curve-{dataset.name}-{base.name}"
    path = resume or ArtifactStore.default().new_file("reports", stem, suffix=".json")
    with output.progress("training", unit="steps") as bar:
        listener = CurveRecorder(output, bar, path=path)
        report = measure_curve(dataset, config, listener=listener, before=before)
    picture = listener.save(report)
    last = [f"report {path}", *([f"picture {picture}"] if picture else [])]
    output.report(report.to_json(), *render_learning_curve(report), *last)


class CurveRecorder:
    """Saves the report after every training, and says how it went.

    Args:
        output: where words go.
        bar: shows the steps of all trainings.
        path: where the report goes.
    """

    def __init__(self, output: Output, bar: ProgressBar, *, path: Path) -> None:
        self._output = output
        self.on_step = bar
        self._path = path

    def on_start(self, report: CurveReport, *, trainings: int) -> None:
        """Say how many trainings there are, where they are saved, and how to go on with them."""
        self._output.show(
            f"{len(report.trainings)} of {count_of(trainings, 'training')} done; each is saved in",
            str(self._path),
            f"if it is stopped, go on with the same command and --resume {self._path}",
        )

    def on_training(self, report: CurveReport, *, trainings: int) -> None:
        """Save, and show the training's line."""
        self.save(report)
        last = report.trainings[-1]
        self._output.show(
            f"training {len(report.trainings)}/{trainings}: {count_of(last.size, 'image')}, seed {last.seed}: "
            f"validation accuracy {100 * last.result.accuracy:.2f} %, {last.result.seconds:.1f} s"
        )

    def save(self, report: CurveReport) -> Path | None:
        """Write the report and its picture; return the picture's path, None where it cannot be drawn."""
        from toolkit.plots.training import draw_learning_curve

        write_json(self._path, tell_origin(report.to_json()))
        picture = self._path.with_suffix(".png")
        name, recipe = report.settings["data"]["name"], report.settings["recipe"]["name"]
        is_there = draw_picture(picture, lambda: draw_learning_curve(report, title=f"{name}, recipe {recipe}"))
        return picture if is_there else None


learning_curve_command = command_of(CurveRequest, _carry_out)
