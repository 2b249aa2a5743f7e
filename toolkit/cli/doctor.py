"""`toolkit doctor`."""

from __future__ import annotations

__all__ = ["doctor_command"]

import shlex
from typing import Annotated

import typer

from toolkit.artifacts import ArtifactStore, claim_output
from toolkit.cli.options import Force, Json, OutputPath, split_names
from toolkit.cli.output import Output, note
from toolkit.durable import write_json

Require = Annotated[
    str | None,
    typer.Option(
        "--require",
        help="Leave with 5 unless these work, comma-separated: cuda, openvino, torch/cuda ...",
        show_default=False,
    ),
]


Engines = Annotated[
    str | None,
    typer.Option("--runtime", help="Examine only these engines, comma-separated: ort, torch, openvino ...; all."),
]


def doctor_command(
    require: Require = None,
    runtime: Engines = "all",
    output: OutputPath = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Say which providers really work here. Each runs a convolution; where one does not, exactly why."""
    from toolkit.doctor.checks import run_doctor
    from toolkit.render_doctor import render_doctor

    names = () if require is None else split_names(require)
    if output is not None:
        claim_output(output, force=force)
    engines = split_names(runtime or "all")
    command = ["toolkit", "doctor", *(("--require", ",".join(names)) if names else ())]
    command += [] if engines == ("all",) else ["--runtime", ",".join(engines)]
    report = run_doctor(command=shlex.join(command), engines=engines)
    rows = [report.find(name) for name in names]
    target = output or ArtifactStore.default().new_file("reports", "doctor", ".json")
    write_json(target, report.to_json())
    Output(as_json=as_json).report(report.to_json(), *render_doctor(report))
    note(f"report: {target}")
    for row in rows:
        report.require(row.name)
