"""The options of `toolkit export` that are about kits, and what they do."""

from __future__ import annotations

__all__ = ["Checked", "Kits", "WebGpu", "export_kits", "make_kit_config"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.options import split_names
from toolkit.cli.output import Output, note
from toolkit.errors import CheckFailedError, ResourceError, UsageError

if TYPE_CHECKING:
    from toolkit.artifacts import ArtifactStore
    from toolkit.exporting.kits import KitConfig, KitResult

Kits = Annotated[
    str | None,
    typer.Option("--kit", help="Also write kits: python, node, web, c, cpp, triton, or all.", show_default=False),
]
WebGpu = Annotated[bool, typer.Option("--webgpu", help="The web kit carries the larger build with WebGPU.")]
Checked = Annotated[
    bool, typer.Option("--check", help="A kit's self-check that cannot run here is an error, not a warning.")
]


def make_kit_config(kit: str | None, *, webgpu: bool, check: bool, force: bool) -> KitConfig | None:
    """Return which kits to write, None for none.

    Raises:
        UsageError: a kit is unknown, or an option of kits is given without one.
    """
    from toolkit.exporting.kits import KitConfig

    if kit is None:
        if webgpu or check:
            raise UsageError(f"{'--webgpu' if webgpu else '--check'} is about kits; name some with --kit")
        return None
    return KitConfig(kits=split_names(kit), uses_webgpu=webgpu, force=force)


def export_kits(
    model: Path, config: KitConfig, *, check: bool, store: ArtifactStore, output: Output
) -> tuple[KitResult, ...]:
    """Write a model's kits and say what became of each.

    Raises:
        CheckFailedError: a self-check failed.
        ResourceError: one could not run and `check` insists.
    """
    from toolkit.exporting.kits import read_kit_source, write_kits
    from toolkit.render_kits import kits_table

    with output.progress("writing kits", unit="kits") as bar:
        results = write_kits(read_kit_source(model), config, store=store, progress=bar)
    output.show(kits_table(results))
    for result in results:
        if result.check.status == "not-run":
            note(f"warning: the self-check of {result.folder} did not run: {result.check.reason}")
    failed = [result for result in results if result.check.status == "fail"]
    if failed:
        raise CheckFailedError(f"the self-check of {failed[0].folder} failed: {failed[0].check.reason}")
    # Triton's needs a server, which is no tool of this machine's; its configuration was checked.
    missing = [result for result in results if result.check.status == "not-run" and result.kit != "triton"]
    if check and missing:
        raise ResourceError(f"the self-check of {missing[0].folder} did not run: {missing[0].check.reason}")
    return results
