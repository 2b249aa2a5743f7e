"""`toolkit.export`: a run becomes a proven `.onnx`."""

from __future__ import annotations

__all__ = ["export", "make_kit_config", "write_kits_of"]

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeGuard, Unpack, overload

from toolkit.api.data import load_recorded, remember_data
from toolkit.api.failures import in_callers_words
from toolkit.api.listener import Listener
from toolkit.api.subjects import as_path
from toolkit.api.words import Names, split_names, write_call
from toolkit.artifacts import ArtifactStore
from toolkit.errors import UsageError
from toolkit.exporting.config import ExportConfig
from toolkit.runs.run import find_run, read_run

if TYPE_CHECKING:
    from torch import nn

    from toolkit.api.data import Data
    from toolkit.api.subjects import PathLike
    from toolkit.exporting.kits.kits import KitConfig, WrittenKits
    from toolkit.exporting.modules.report import ModuleExportReport
    from toolkit.exporting.report import ExportReport

DEFAULTS = ExportConfig()
RUN = "a run's name or folder, what toolkit.train returned, or a torch.nn.Module with example="
OF_RUNS = ("calibration", "cross_check", "golden", "data")
OF_MODULES = ("example", "input_names", "output_names", "dynamic", "budget", "classes", "mean", "std")


class _RunOptions(TypedDict, total=False):
    name: str | None
    output: PathLike | None
    precision: Names
    calibration: int
    cross_check: bool
    golden: str | None
    kit: Names | None
    webgpu: bool
    data: Data | None
    author: str
    licence: str
    force: bool
    listener: Listener | None


class _ModuleOptions(TypedDict, total=False):
    input_names: Names
    output_names: Names
    dynamic: Mapping[str, Mapping[int, str]] | None
    budget: float | None
    classes: Names
    mean: float | Sequence[float]
    std: float | Sequence[float]
    name: str | None
    output: PathLike | None
    kit: Names | None
    webgpu: bool
    author: str
    licence: str
    force: bool
    listener: Listener | None


@overload
def export(run: PathLike, **options: Unpack[_RunOptions]) -> ExportReport: ...
@overload
def export(run: nn.Module, *, example: Any, **options: Unpack[_ModuleOptions]) -> ModuleExportReport: ...
@in_callers_words
def export(
    run: PathLike | nn.Module,
    *,
    example: Any = None,
    input_names: Names = (),
    output_names: Names = (),
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
    budget: float | None = None,
    classes: Names = (),
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    name: str | None = None,
    output: PathLike | None = None,
    precision: Names = "fp32",
    calibration: int = DEFAULTS.calibration_count,
    cross_check: bool = False,
    golden: str | None = None,
    kit: Names | None = None,
    webgpu: bool = False,
    kit_provider: str = "cpu",
    data: Data | None = None,
    author: str = DEFAULTS.author,
    licence: str = DEFAULTS.licence,
    force: bool = False,
    listener: Listener | None = None,
) -> ExportReport | ModuleExportReport:
    """Write a run, or a module of your own, as one self-contained `.onnx`, proven before it is put in place.

    Args:
        run: what `toolkit.train` returned, a run's name or folder, with `@12` or `@best` for a kept checkpoint; or a
            `torch.nn.Module`, which needs an `example`.
        example: of a module: what it takes: a tensor or array, a tuple of them, or a dictionary by parameter of
            `forward`, with typical numbers.
        input_names: of a module: what the file's inputs are called; as `forward` calls its parameters by default.
        output_names: of a module: what the file's outputs are called.
        dynamic: of a module: axes that stay open, `{"tokens": {0: "batch", 1: "length"}}`; dimension 0 of every input
            by default, none for `{}`.
        budget: of a module: seconds for its own answers, by which the file is judged.
        classes: of a module that classifies images: its classes' names in the order of its logits. The example is then
            images, uint8 `[N, H, W]` or `[N, H, W, 3]`, and the file has a card, as a run's has.
        mean: of each channel of such images' pixels, from 0 to 1, or one for all, taken away before the module, which
            is then handed float32 `[N, C, H, W]`; without it the raw pixels.
        std: by which they are divided then.
        name: the model's name, by default the run's or the module's class; also what kits are called.
        output: where to write; `models/<name>.onnx` below the artifacts by default.
        precision: of a run: `fp32`, which is always made; `fp16` and `int8` are derived from it.
        calibration: of a run: training images that int8 is calibrated on.
        cross_check: of a run: also write with torch's other exporter and require equal answers.
        golden: of a run: golden vectors, which anybody can replay: `data` (catalogue sets' default), `synthetic` (your
            own data's default), `none`.
        kit: of a file with a card: also write kits, folders to embed the model elsewhere: `python`, `node`, `web`,
            `c`, `cpp`, `triton`, or `all`: those that can be made here.
        webgpu: the web kit carries the larger build with WebGPU.
        kit_provider: where kits check themselves, strictly: `cpu` or `cuda`.
        data: what the run was trained on, where it does not lie there any more.
        author: written into the card.
        licence: SPDX identifier, written into the card.
        force: overwrite what exists.
        listener: hears how far it is.

    Returns:
        The file and what proved it; of a run also its card. An int8 file that was refused is no error: `int8` says why
        there is none.

    Raises:
        UsageError: there is no such run or data, words are not for what is exported, or an output exists with other
            content.
        DataError: the data are not those that the run was trained on.
        ModelError: the run's checkpoint cannot be used, or it or the module cannot be exported.
        CheckFailedError: the file's answers are not the run's or the module's; nothing is put in place.
        ResourceError: the results cannot be written.
    """
    given = locals()
    call, told, store = write_call(export, given), listener or Listener(), ArtifactStore.default()
    if _is_module(run):
        _refuse(given, OF_RUNS, what="a run that toolkit.train made")
        if example is None:
            raise UsageError("a module is exported with an example of what it takes: export(module, example=tensor)")
        kits = make_kit_config(kit=kit, name=name, webgpu=webgpu, kit_provider=kit_provider, force=force)
        if kits is not None and not classes:
            raise UsageError("kits are of a model that classifies images; name the module's classes=")
        report = _export_module(run, given, store=store, listener=told)
        written = None if kits is None else write_kits_of(report.model, kits, store=store, listener=told)
        return replace(report, command=told.repeat(call), kits=written)
    _refuse(given, OF_MODULES, what="a torch.nn.Module")
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
    kits = make_kit_config(kit=kit, name=name, webgpu=webgpu, kit_provider=kit_provider, force=force)
    found = find_run(as_path(run, expected=RUN), store=store)
    described, kept = read_run(found), remember_data(run, None)
    dataset = load_recorded(kept if data is None else data, described.data, listener=told, size=described.image_size)
    from toolkit.exporting.export import export_run
    from toolkit.training.borrowed import torch_borrowed

    with torch_borrowed(), told.progress("writing the model and proving it", unit="int8 settings") as bar:
        exported = export_run(found, dataset, config=config, store=store, progress=bar)
    written = None if kits is None else write_kits_of(exported.model, kits, store=store, listener=told)
    return replace(exported, command=told.repeat(call), kits=written, data=None if kept is None else dataset)


def _is_module(value: Any) -> TypeGuard[nn.Module]:
    """Tell a module of torch's; nobody holds one who has not imported torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _refuse(given: Mapping[str, Any], names: tuple[str, ...], *, what: str) -> None:
    """Refuse options that are about something else than what is exported."""
    defaults = inspect.signature(export).parameters
    strange = [name for name in names if given[name] is not defaults[name].default]
    if strange:
        raise UsageError(f"{', '.join(strange)}: for {what} only, and this is a {type(given['run']).__name__}")


def _export_module(
    module: nn.Module, given: Mapping[str, Any], *, store: ArtifactStore, listener: Listener
) -> ModuleExportReport:
    from toolkit.exporting.modules.config import ModuleExportConfig
    from toolkit.exporting.modules.export import export_module
    from toolkit.training.borrowed import torch_borrowed

    how: dict[str, Any] = {} if given["budget"] is None else {"budget_s": given["budget"]}
    config = ModuleExportConfig(
        name=given["name"],
        output=None if given["output"] is None else Path(given["output"]),
        input_names=_split(given["input_names"]),
        output_names=_split(given["output_names"]),
        dynamic=given["dynamic"],
        precisions=split_names(given["precision"]),
        classes=_split(given["classes"]),
        mean=_as_numbers(given["mean"]),
        std=_as_numbers(given["std"]),
        author=given["author"],
        licence=given["licence"],
        force=given["force"],
        **how,
    )
    with torch_borrowed():
        return export_module(module, given["example"], config=config, store=store, progress=listener.progress)


def _as_numbers(given: float | Sequence[float]) -> tuple[float, ...]:
    return tuple(map(float, given)) if isinstance(given, Sequence) else (float(given),)


def _split(names: Names) -> tuple[str, ...]:
    return split_names(names) if names else ()


def make_kit_config(
    *, kit: Names | None, name: str | None, webgpu: bool, kit_provider: str, force: bool
) -> KitConfig | None:
    """Return which kits to write, None for none.

    Raises:
        UsageError: a kit is unknown, or WebGPU or a provider is asked for without one.
    """
    if kit is None:
        if webgpu or kit_provider != "cpu":
            option = "--webgpu" if webgpu else "--kit-provider"
            raise UsageError(f"{option} is about kits; name some with --kit")
        return None
    from toolkit.exporting.kits.kits import KitConfig

    return KitConfig(kits=split_names(kit), name=name, uses_webgpu=webgpu, provider=kit_provider, force=force)


def write_kits_of(model: Path, config: KitConfig, *, store: ArtifactStore, listener: Listener) -> WrittenKits:
    """Write kits of a model that is there."""
    from toolkit.exporting.kits.kits import read_kit_source, write_kits

    with listener.progress("writing kits", unit="kits") as bar:
        return write_kits(read_kit_source(model, name=config.name), config, store=store, progress=bar)
