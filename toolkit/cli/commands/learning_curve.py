"""`toolkit learning-curve`."""

from __future__ import annotations

__all__ = ["learning_curve_command"]

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from toolkit.api.words import DEFAULT_DATA, DEFAULT_RECIPE, split_size
from toolkit.artifacts import ArtifactStore
from toolkit.cli.actions.learning_curve import measure_and_report
from toolkit.cli.commands.train import CpuThreads, Device, RecipeName, Seed, Settings
from toolkit.cli.completion import json_files
from toolkit.cli.context import require_there
from toolkit.cli.hearing import CommandListener
from toolkit.cli.options import ImageSize, Json, TrainingData, command_of, option
from toolkit.cli.output import Output
from toolkit.durable import read_json
from toolkit.errors import ResourceError
from toolkit.holding import claim
from toolkit.training.process import prepare_process
from toolkit.training.recipe_catalog import resolve_recipe


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
    from toolkit.tuning.learning_curve import CurveConfig, parse_sizes

    output, epochs, resume = Output(as_json=request.as_json), request.epochs, request.resume
    settings = [*(request.settings or []), *([f"epochs={epochs}"] if epochs is not None else [])]
    base = resolve_recipe(request.recipe or DEFAULT_RECIPE, settings=settings)
    asked = {name: getattr(request, name) for name in ("seeds", "seed", "device", "threads")}
    given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
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
    measure_and_report(dataset, config, path=path, before=before, output=output)


learning_curve_command = command_of(CurveRequest, _carry_out)
