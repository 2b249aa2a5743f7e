"""`toolkit doctor`."""

from __future__ import annotations

__all__ = ["doctor_command"]

from typing import Annotated

from toolkit.api.words import split_names
from toolkit.artifacts import ArtifactStore, claim_outputs
from toolkit.cli.completion import engines, requirements, some_of
from toolkit.cli.hearing import CommandListener
from toolkit.cli.options import Force, Json, OutputPath, option
from toolkit.cli.output import Output, note
from toolkit.errors import UsageError

Require = Annotated[
    str | None,
    option(
        "Leave with 5 unless these work, comma-separated: cuda, openvino, torch/cuda ...",
        complete=some_of(requirements),
    ),
]


Engines = Annotated[
    str | None,
    option(
        "Examine these engines, comma-separated: ort, torch, openvino ...",
        default="ort,torch",
        complete=some_of(engines),
    ),
]
Every = Annotated[bool, option("Examine every engine.", "--all")]


def doctor_command(
    require: Require = None,
    runtime: Engines = None,
    *,
    every: Every = False,
    output: OutputPath = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Say which providers really work here. Each runs a convolution; where one does not, why, and what brings it."""
    from toolkit.api.diagnose import diagnose
    from toolkit.render.doctor import render_doctor

    names = () if require is None else split_names(require)
    claim_outputs(output, force=force)
    engines = _choose_engines(runtime, names, every=every)
    shown = Output(as_json=as_json)
    target = output or ArtifactStore.default().new_file("reports", "doctor", suffix=".json")
    report = diagnose(runtime=engines, output=target, force=force, listener=CommandListener(shown))
    rows = [report.find(name) for name in names]
    shown.report(report.to_json(), *render_doctor(report, every=every or runtime is not None))
    if not every:
        note("every engine and version: toolkit doctor --all")
    note(f"report: {target}")
    for row in rows:
        report.require(row.name)


def _choose_engines(typed: str | None, required: tuple[str, ...], *, every: bool) -> tuple[str, ...]:
    """Return what is examined: what was named, or what devices run by and what is required besides."""
    from toolkit.doctor.checks import DEFAULT_ENGINES
    from toolkit.runtimes.registry import ENGINES

    if every and typed is not None:
        raise UsageError("--all examines every engine, --runtime only those it names; give one of them")
    if every:
        return ("all",)
    if typed is not None:
        return split_names(typed)
    named = [name.split("/")[0] for name in required]
    return tuple(dict.fromkeys([*DEFAULT_ENGINES, *(name for name in named if name in ENGINES)]))
