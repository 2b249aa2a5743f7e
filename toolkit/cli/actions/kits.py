"""The options of `toolkit export` that are about kits, and what they do."""

from __future__ import annotations

__all__ = ["Checked", "Kits", "WebGpu", "export_kits", "judge_kits", "make_kit_config", "write_model_kits"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.options import split_names
from toolkit.cli.output import Output, note
from toolkit.errors import CheckFailedError, ResourceError, UsageError
from toolkit.plain import to_plain

if TYPE_CHECKING:
    from toolkit.artifacts import ArtifactStore
    from toolkit.exporting.kits.kits import KitConfig, KitResult

Kits = Annotated[str | None, typer.Option("--kit", help="Also write kits: python, node, web, c, cpp, triton, or all.")]
WebGpu = Annotated[bool, typer.Option("--webgpu", help="The web kit carries the larger build with WebGPU.")]
Checked = Annotated[
    bool, typer.Option("--check", help="A kit's self-check that cannot run here is an error, not a warning.")
]


def make_kit_config(kit: str | None, *, webgpu: bool, check: bool, force: bool) -> KitConfig | None:
    """Return which kits to write, None for none.

    Raises:
        UsageError: a kit is unknown, or an option of kits is given without one.
    """
    from toolkit.exporting.kits.kits import KitConfig

    if kit is None:
        if webgpu or check:
            raise UsageError(f"{'--webgpu' if webgpu else '--check'} is about kits; name some with --kit")
        return None
    return KitConfig(kits=split_names(kit), uses_webgpu=webgpu, force=force)


def export_kits(model: Path, config: KitConfig | None, *, check: bool, store: ArtifactStore, output: Output) -> None:
    """Write kits of a model that is there, and say what became of each.

    Raises:
        UsageError: no kit was asked for.
        CheckFailedError, ResourceError: as `judge_kits`.
    """
    from toolkit.render.export import kits_table

    if config is None:
        raise UsageError(f"{model} is a model already; make kits of it with --kit, or name a run")
    results = write_model_kits(model, config, store=store, output=output)
    report = {"schema": "toolkit/kits/1", "model": str(model), "kits": to_plain(results)}
    output.report(report, kits_table(results))
    judge_kits(results, check=check)


def write_model_kits(model: Path, config: KitConfig, *, store: ArtifactStore, output: Output) -> tuple[KitResult, ...]:
    """Write a model's kits behind a progress bar."""
    from toolkit.exporting.kits.kits import read_kit_source, write_kits

    with output.progress("writing kits", unit="kits") as bar:
        return write_kits(read_kit_source(model), config, store=store, progress=bar)


def judge_kits(results: tuple[KitResult, ...], *, check: bool) -> None:
    """Warn of self-checks that did not run.

    Raises:
        CheckFailedError: one failed.
        ResourceError: one did not run and `check` insists.
    """
    missing = [result for result in results if result.check.status == "not-run"]
    for result in missing:
        note(f"warning: the self-check of {result.folder} did not run: {result.check.reason}")
    failed = [result for result in results if result.check.status == "fail"]
    if failed:
        raise CheckFailedError(f"the self-check of {failed[0].folder} failed: {failed[0].check.reason}")
    # Triton's needs a server, which is no tool of this machine's; its configuration was checked.
    insisted = [result for result in missing if result.kit != "triton"]
    if check and insisted:
        raise ResourceError(f"the self-check of {insisted[0].folder} did not run: {insisted[0].check.reason}")
