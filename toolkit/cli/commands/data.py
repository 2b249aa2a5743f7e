"""`toolkit data`: fetch, info, show."""

from __future__ import annotations

__all__ = ["data_app"]

from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli.context import load_data
from toolkit.cli.options import DATA_KINDS, Force, ImageSize, Json, OutputPath, split_size
from toolkit.cli.output import Output, note

if TYPE_CHECKING:
    from rich.table import Table


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

FetchName = Annotated[str, typer.Argument(help="mnist, fashion-mnist, kmnist or mnist-mini.")]
AnyName = Annotated[str, typer.Argument(help=DATA_KINDS)]
ClassName = Annotated[
    str | None, typer.Option("--class", help="The class of the second picture; 5 where there is one.")
]


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
    """Describe a data set: sizes, classes, pixel statistics, content hash."""
    from toolkit.data.describe import describe_dataset

    output = Output(as_json=as_json)
    dataset = load_data(name, output, size=split_size(size))
    report = describe_dataset(dataset)
    output.report(report, _info_table(report))


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

    from toolkit.artifacts import ArtifactStore, check_picture, claim_outputs
    from toolkit.data.describe import default_class, first_of_class, first_of_each_class
    from toolkit.durable import write_atomic
    from toolkit.plots.canvas import image_grid, shorten

    path = output or ArtifactStore.default().new_file("reports", "data", suffix=".png")
    paths = (path, path.with_name(f"{path.stem}-one-class.png"))
    check_picture(path)
    claim_outputs(*paths, force=force, inputs=(Path(name),))
    dataset = load_data(name, Output(), size=split_size(size))
    images, labels = dataset.train.images, dataset.train.labels
    grid = first_of_each_class(dataset, ROWS)[:, :MAX_SHOWN_CLASSES]
    one = class_name or default_class(dataset)
    row = first_of_class(dataset, one, count=ONE_CLASS_COUNT)
    # The first row's captions head the columns.
    heads = [shorten(dataset.classes[label], MAX_CAPTION) for label in labels[grid[0]]] + [""] * (
        grid.size - grid.shape[1]
    )
    pictures = (
        image_grid(
            images[grid.ravel()], heads, columns=grid.shape[1], title=f"{dataset.name}: {len(grid)} of each class"
        ),
        image_grid(
            images[row], [f"#{i}" for i in row], columns=ONE_CLASS_COLUMNS, title=f"{dataset.name}: class {one}"
        ),
    )
    for each, picture in zip(paths, pictures, strict=True):
        write_atomic(each, picture)
        typer.echo(each)
    note(f"{dataset.name}: {grid.size} images by class, {len(row)} of class {one}; numbers are training indices")


def _info_table(report: dict[str, Any]) -> Table:
    from toolkit.render.tables import make_table

    shape, pixels = report["input"], report["train_pixels"]
    parts = ("train", "test")
    rows = [(name, *(f"{report[part]['per_class'][name]:,}" for part in parts)) for name in report["classes"]]
    last = ("all", *(f"{report[part]['count']:,}" for part in parts))
    caption = (
        f"{shape['height']}x{shape['width']}x{shape['channels']} uint8, {shape['polarity']}; "
        f"training pixels {pixels['mean']:.4f} +- {pixels['std']:.4f}; sha256 {report['sha256'][:16]}..."
    )
    title = f"{report['name']} ({report['licence']})"
    return make_table(("class", *parts), [*rows, last], right=parts, framed=True, title=title, caption=caption)
