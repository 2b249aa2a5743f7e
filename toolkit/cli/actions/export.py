"""What `toolkit export` does: write a run as a file, its kits, what was tried for int8, and show all of it."""

from __future__ import annotations

__all__ = ["export_and_show", "export_kits"]

from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli.context import load_recorded_data, resolve_run
from toolkit.cli.output import Output, note, tell_origin, warn
from toolkit.durable import write_json
from toolkit.errors import CheckFailedError, ResourceError, UsageError
from toolkit.plain import to_plain

if TYPE_CHECKING:
    from toolkit.artifacts import ArtifactStore
    from toolkit.exporting.config import ExportConfig
    from toolkit.exporting.kits.kits import KitConfig, WrittenKits
    from toolkit.exporting.report import ExportReport


def export_and_show(
    run: Path | None,
    config: ExportConfig,
    *,
    data: str | None,
    kits: KitConfig | None,
    check: bool,
    store: ArtifactStore,
    output: Output,
) -> None:
    """Export a run, write kits of the file where they are asked for, and say what became of each.

    Args:
        run: the run; None is the latest.
        config: of the export.
        data: the data set that was named; None is the one that the run records.
        kits: which; None for none.
        check: a kit's self-check that cannot run is an error.
        store: where files go.
        output: where words go.

    Raises:
        CheckFailedError: int8 was asked for and no file of it holds, or a kit's self-check failed.
        ResourceError: a self-check did not run and `check` insists.
    """
    report = _export(resolve_run(run, store=store), config, data=data, store=store, output=output)
    written = _write_kits(report.model, kits, store=store, output=output) if kits else None
    _show(report, written, output=output, asked=config.golden)
    _judge_int8(report, store=store)
    if written:
        _judge_kits(written, check=check)


def export_kits(model: Path, config: KitConfig | None, *, check: bool, store: ArtifactStore, output: Output) -> None:
    """Write kits of a model that is there, and say what became of each.

    Raises:
        UsageError: no kit was asked for.
        CheckFailedError: a self-check failed.
        ResourceError: one did not run and `check` insists.
    """
    from toolkit.render.export import kits_table

    if config is None:
        raise UsageError(f"{model} is a model already; make kits of it with --kit, or name a run")
    written = _write_kits(model, config, store=store, output=output)
    output.report({"schema": "toolkit/kits/1", "model": str(model), **to_plain(written)}, kits_table(written.kits))
    _judge_kits(written, check=check)


def _export(run: Path, config: ExportConfig, *, data: str | None, store: ArtifactStore, output: Output) -> ExportReport:
    from toolkit.exporting.export import export_run
    from toolkit.runs.run import read_run

    described = read_run(run)
    dataset = load_recorded_data(data, described.data, output=output, size=described.image_size)
    with output.progress("writing the model and proving it", unit="int8 settings") as bar:
        return export_run(run, dataset, config=config, store=store, progress=bar)


def _write_kits(model: Path, config: KitConfig, *, store: ArtifactStore, output: Output) -> WrittenKits:
    """Write a model's kits behind a progress bar."""
    from toolkit.exporting.kits.kits import read_kit_source, write_kits

    with output.progress("writing kits", unit="kits") as bar:
        return write_kits(read_kit_source(model, name=config.name), config, store=store, progress=bar)


def _show(report: ExportReport, written: WrittenKits | None, *, output: Output, asked: str | None) -> None:
    from toolkit.render.export import describe_export, int8_table, kits_table

    warn(report.warnings)
    tables = [
        *([] if report.int8 is None else int8_table(report.int8)),
        *([kits_table(written.kits)] if written else []),
    ]
    output.report(
        {**report.to_json(), **(to_plain(written) if written else {})},
        *describe_export(report, asked=asked),
        *tables,
    )


def _judge_int8(report: ExportReport, *, store: ArtifactStore) -> None:
    """Keep what was tried for int8 and refuse where nothing came of it."""
    if report.int8 is None:
        return
    target = store.new_file("reports", f"int8-{report.model.stem}", suffix=".json")
    write_json(target, {**tell_origin(report.int8.to_json()), "log": str(report.log)})
    note(f"report: {target}")
    if not report.int8.passed:
        raise CheckFailedError(f"no int8 file: {'; '.join(report.int8.failures)}; every try is in {target}")


def _judge_kits(written: WrittenKits, *, check: bool) -> None:
    """Say which kits of all could not be made, and warn of self-checks that did not run.

    Raises:
        CheckFailedError: one failed.
        ResourceError: one did not run, or a kit is missing, and `check` insists.
    """
    for kit in written.missing_kits:
        note(f"no kit {kit.kit}: {kit.reason}")
    missing = [result for result in written.kits if result.check.status == "not-run"]
    for result in missing:
        note(f"warning: the self-check of kit {result.kit} did not run: {result.check.reason}")
    failed = [result for result in written.kits if result.check.status == "fail"]
    if failed:
        raise CheckFailedError(f"the self-check of kit {failed[0].kit} failed: {failed[0].check.reason}")
    # Triton's needs a server, which is no tool of this machine's; its configuration was checked.
    insisted = [result for result in missing if result.kit != "triton"]
    if check and insisted:
        raise ResourceError(f"the self-check of kit {insisted[0].kit} did not run: {insisted[0].check.reason}")
    if check and written.missing_kits:
        raise ResourceError(f"no kit {written.missing_kits[0].kit}: {written.missing_kits[0].reason}")
