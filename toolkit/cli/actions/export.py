"""What `toolkit export` does: write a run as a file, its kits, what was tried for int8, and show all of it."""

from __future__ import annotations

__all__ = ["export_and_show", "export_kits"]

from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.api.export import export, make_kit_config, write_kits_of
from toolkit.cli.context import choose_run
from toolkit.cli.hearing import CommandListener
from toolkit.cli.output import Output, note, tell_origin, warn
from toolkit.durable import write_json
from toolkit.errors import CheckFailedError, ResourceError, UsageError
from toolkit.plain import to_plain

if TYPE_CHECKING:
    from toolkit.artifacts import ArtifactStore
    from toolkit.exporting.kits.kits import WrittenKits
    from toolkit.exporting.report import ExportReport


def export_and_show(
    run: Path | None, options: dict[str, Any], *, check: bool, store: ArtifactStore, output: Output
) -> None:
    """Export a run, write kits of the file where they are asked for, and say what became of each.

    Args:
        run: the run; None is the latest.
        options: of the export, as `toolkit.export` takes them.
        check: a kit's self-check that cannot run is an error.
        store: where files go.
        output: where words go.

    Raises:
        CheckFailedError: int8 was asked for and no file of it holds, or a kit's self-check failed.
        ResourceError: a self-check did not run and `check` insists.
    """
    path = run or choose_run(store)
    report = export(**options | {"run": path, "listener": CommandListener(output)})
    _show(report, output=output, asked=options.get("golden"))
    _judge_int8(report, store=store)
    if report.kits:
        _judge_kits(report.kits, check=check)


def export_kits(model: Path, options: dict[str, Any], *, check: bool, store: ArtifactStore, output: Output) -> None:
    """Write kits of a model that is there, and say what became of each.

    Raises:
        UsageError: no kit was asked for.
        CheckFailedError: a self-check failed.
        ResourceError: one did not run and `check` insists.
    """
    from toolkit.render.export import kits_table

    how: dict[str, Any] = {key: options.get(key) for key in ("kit", "name", "webgpu", "kit_provider", "force")}
    config = make_kit_config(**how)
    if config is None:
        raise UsageError(f"{model} is a model already; make kits of it with --kit, or name a run")
    written = write_kits_of(model, config, store=store, listener=CommandListener(output))
    output.report({"schema": "toolkit/kits/1", "model": str(model), **to_plain(written)}, kits_table(written.kits))
    _judge_kits(written, check=check)


def _show(report: ExportReport, *, output: Output, asked: str | None) -> None:
    from toolkit.render.export import describe_export, int8_table, kits_table

    warn(report.warnings)
    tables = [
        *([] if report.int8 is None else int8_table(report.int8)),
        *([kits_table(report.kits.kits)] if report.kits else []),
    ]
    output.report(report.to_json(), *describe_export(report, asked=asked), *tables)


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
