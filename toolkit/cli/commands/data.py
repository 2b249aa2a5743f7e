"""`toolkit data`: fetch, info, show."""

from __future__ import annotations

__all__ = ["data_app"]

from typing import Annotated

import typer

from toolkit.api.words import split_size
from toolkit.cli.completion import catalogue, data_names, one_of
from toolkit.cli.hearing import CommandListener
from toolkit.cli.options import DATA_KINDS, Force, ImageSize, Json, OutputPath, option
from toolkit.cli.output import Output, note
from toolkit.counts import count_of

ROWS = 5
ONE_CLASS_COUNT = 10
ONE_CLASS_COLUMNS = 5
# A picture of a thousand columns cannot be drawn, and one of a hundred cannot be looked at.
MAX_SHOWN_CLASSES = 40
# What fits over one image.
MAX_CAPTION = 11

data_app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Data sets: fetch, describe, look at them."
)

FetchName = Annotated[
    str, typer.Argument(help="mnist, fashion-mnist, kmnist or mnist-mini.", autocompletion=one_of(catalogue))
]
AnyName = Annotated[str, typer.Argument(help=DATA_KINDS, autocompletion=data_names)]
ClassName = Annotated[str | None, option("The class of the second picture.", "--class", default="5, else the first")]


@data_app.command("fetch")
def fetch_data(name: FetchName = "mnist", as_json: Json = False) -> None:
    """Bring a data set into the cache (TOOLKIT_DATA) and check every file's hash."""
    from toolkit.data.describe import fetch_by_name

    output = Output(as_json=as_json)
    with output.progress(f"fetching {name}", unit="bytes") as bar:
        report = fetch_by_name(name, progress=bar)
    lines = [
        f"{file['name']}  {file['size_bytes']:,} bytes  sha256 {file['sha256'][:16]}..." for file in report["files"]
    ]
    output.report(
        report,
        *lines,
        f"{name} is in {report['folder']}, every hash holds; {report['attribution']}, {report['licence']}",
    )


@data_app.command("info")
def show_info(name: AnyName = "mnist", size: ImageSize = None, *, as_json: Json = False) -> None:
    """Say what lies at a path, and what a training makes of it."""
    from toolkit.data.info import inspect_data
    from toolkit.errors import DataError
    from toolkit.render.data import describe_info

    output = Output(as_json=as_json)
    with output.progress(f"reading {name}", unit="bytes") as bar:
        report = inspect_data(name, size=split_size(size), progress=bar, on_note=note)
    if "classes" in report or report["predicts"]:
        output.report(report, *describe_info(report, path=name))
        return
    if as_json:
        output.report(report)
    raise DataError(f"{report['problem']}; {report['next']}")


@data_app.command("show")
def show_pictures(
    name: AnyName = "mnist",
    class_name: ClassName = None,
    *,
    size: ImageSize = None,
    output: OutputPath = None,
    force: Force = False,
) -> None:
    """Draw two pictures: five images of every class, and ten of one class (beside it, as NAME-one-class.png)."""
    from pathlib import Path

    from toolkit.api.data import load_given
    from toolkit.artifacts import ArtifactStore, check_picture, claim_outputs
    from toolkit.data.describe import default_class, first_of_class, first_of_each_class
    from toolkit.durable import write_atomic
    from toolkit.plots.canvas import image_grid, shorten

    path = output or ArtifactStore.default().new_file("reports", "data", suffix=".png")
    paths = (path, path.with_name(f"{path.stem}-one-class.png"))
    check_picture(path)
    claim_outputs(*paths, force=force, inputs=(Path(name),))
    dataset = load_given(name, listener=CommandListener(Output()), size=split_size(size))
    grid = first_of_each_class(dataset, ROWS)[:, :MAX_SHOWN_CLASSES]
    one = class_name or default_class(dataset)
    row = first_of_class(dataset, one, count=ONE_CLASS_COUNT)
    every, ten = (dataset.train.take(chosen) for chosen in (grid.ravel(), row))
    # The first row's captions head the columns.
    heads = [shorten(dataset.classes[label], MAX_CAPTION) for label in dataset.train.labels[grid[0]]] + [""] * (
        grid.size - grid.shape[1]
    )
    pictures = (
        image_grid(every.images, heads, columns=grid.shape[1], title=f"{dataset.name}: {len(grid)} of each class"),
        image_grid(ten.images, [f"#{i}" for i in row], columns=ONE_CLASS_COLUMNS, title=f"{dataset.name}: class {one}"),
    )
    for each, picture in zip(paths, pictures, strict=True):
        write_atomic(each, picture)
        typer.echo(each)
    note(
        f"{dataset.name}: {count_of(grid.size, 'image')} by class, {len(row)} of class {one}; numbers are "
        "training indices"
    )
