"""`toolkit.export`: a run becomes a proven `.onnx`."""

from __future__ import annotations

__all__ = ["export", "make_kit_config", "write_kits_of"]

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.api.data import load_recorded, remember_data
from toolkit.api.listener import Listener
from toolkit.api.words import Names, split_names, write_call
from toolkit.artifacts import ArtifactStore
from toolkit.errors import UsageError
from toolkit.exporting.config import ExportConfig
from toolkit.exporting.export import export_run
from toolkit.exporting.report import ExportReport
from toolkit.runs.run import find_run, read_run

if TYPE_CHECKING:
    from toolkit.api.data import Data
    from toolkit.api.subjects import PathLike
    from toolkit.exporting.kits.kits import KitConfig, WrittenKits

DEFAULTS = ExportConfig()


def export(
    run: PathLike,
    *,
    name: str | None = None,
    output: PathLike | None = None,
    precision: Names = "fp32",
    calibration: int = DEFAULTS.calibration_count,
    cross_check: bool = False,
    golden: str | None = None,
    kit: Names | None = None,
    webgpu: bool = False,
    data: Data | None = None,
    author: str = DEFAULTS.author,
    licence: str = DEFAULTS.licence,
    force: bool = False,
    listener: Listener | None = None,
) -> ExportReport:
    """Write a run as one self-contained `.onnx` with its card, proven before it is put in place.

    Args:
        run: what `toolkit.train` returned, a run's name or folder, with `@12` or `@best` for a kept checkpoint.
        name: the model's name, the run's by default; also what kits are called, by default as the data set.
        output: where to write; `models/<name>.onnx` below the artifacts by default.
        precision: `fp32`, which is always made; `fp16` and `int8` are derived from it.
        calibration: training images that int8 is calibrated on.
        cross_check: also write with torch's other exporter and require equal answers.
        golden: golden vectors, which anybody can replay: `data` (catalogue sets' default), `synthetic` (your own
            data's default), `none`.
        kit: also write kits, folders to embed the model elsewhere: `python`, `node`, `web`, `c`, `cpp`, `triton`, or
            `all`: those that can be made here.
        webgpu: the web kit carries the larger build with WebGPU.
        data: what the run was trained on, where it does not lie there any more.
        author: written into the card.
        licence: SPDX identifier, written into the card.
        force: overwrite what exists.
        listener: hears how far it is.

    Returns:
        The file, its card, what proved it. An int8 file that was refused is no error: `int8` says why there is none.

    Raises:
        UsageError: there is no such run or data, or an output exists with other content.
        DataError: the data are not those that the run was trained on.
        ModelError: the run's checkpoint cannot be used or exported.
        CheckFailedError: the file's answers differ from the float64 reference; nothing is put in place.
        ResourceError: the results cannot be written.
    """
    call, told = write_call(export, locals()), listener or Listener()
    config = ExportConfig(
        name=name,
        output=None if output is None else Path(output),
        precisions=split_names(precision),
        calibration_count=calibration,
        cross_check=cross_check,
        golden=golden,
        author=author,
        licence=licence,
        force=force,
    )
    kits = make_kit_config(kit=kit, name=name, webgpu=webgpu, force=force)
    store = ArtifactStore.default()
    found = find_run(Path(run), store=store)
    described, kept = read_run(found), remember_data(run, None)
    dataset = load_recorded(remember_data(run, data), described.data, listener=told, size=described.image_size)
    with told.progress("writing the model and proving it", unit="int8 settings") as bar:
        report = export_run(found, dataset, config=config, store=store, progress=bar)
    written = None if kits is None else write_kits_of(report.model, kits, store=store, listener=told)
    return replace(report, command=told.repeat(call), kits=written, data=dataset if kept is not None else None)


def make_kit_config(*, kit: Names | None, name: str | None, webgpu: bool, force: bool) -> KitConfig | None:
    """Return which kits to write, None for none.

    Raises:
        UsageError: a kit is unknown, or WebGPU is asked for without one.
    """
    if kit is None:
        if webgpu:
            raise UsageError("--webgpu is about kits; name some with --kit")
        return None
    from toolkit.exporting.kits.kits import KitConfig

    return KitConfig(kits=split_names(kit), name=name, uses_webgpu=webgpu, force=force)


def write_kits_of(model: Path, config: KitConfig, *, store: ArtifactStore, listener: Listener) -> WrittenKits:
    """Write kits of a model that is there."""
    from toolkit.exporting.kits.kits import read_kit_source, write_kits

    with listener.progress("writing kits", unit="kits") as bar:
        return write_kits(read_kit_source(model, name=config.name), config, store=store, progress=bar)
