"""`toolkit prove`."""

from __future__ import annotations

__all__ = ["prove_command"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from toolkit.artifacts import ArtifactStore, claim_outputs
from toolkit.cli.completion import one_of
from toolkit.cli.options import Force, Json, TrainingData, option
from toolkit.cli.output import Output, note, tell_origin
from toolkit.durable import write_json
from toolkit.errors import CheckFailedError, ProviderError, UsageError
from toolkit.proving.plan import PROVABLE, ProofConfig

if TYPE_CHECKING:
    from toolkit.proving.report import ProofReport

DEFAULTS = ProofConfig()
Provable = Annotated[
    str, option("What is to be proven: cuda or webgpu, or cpu as a rehearsal.", "--provider", complete=one_of(PROVABLE))
]
Minutes = Annotated[float, option("Most minutes for all steps together.", metavar="X")]
Quick = Annotated[bool, option("Two epochs, few batch sizes, short measurements, a sample of images.", "--quick")]
FromWheels = Annotated[
    Path | None,
    option(
        "Run all of it in an environment of its own, from the packages in this folder.",
        metavar="DIR",
        default="run it in this one",
    ),
]
OutputFolder = Annotated[Path | None, option("The folder to write.", "--output", "-o", default="a unique name")]


def prove_command(
    provider: Provable = DEFAULTS.provider,
    *,
    data: TrainingData = None,
    minutes: Minutes = DEFAULTS.minutes,
    quick: Quick = False,
    from_wheels: FromWheels = None,
    output: OutputFolder = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Show everything that can be shown of a device. Train, export, prove, measure and predict on it; one page of all.

    Every step is a command of its own: it survives the failure of the others, and says why it failed.
    """
    from toolkit.api.data import locate_data
    from toolkit.cli.actions.report import write_page
    from toolkit.proving.prove import prove
    from toolkit.render.prove import describe_step, proof_lines

    given = data or DEFAULTS.data
    # The commands run in the folder, so that each can be repeated there as it is written.
    config = ProofConfig(provider=provider, data=locate_data(given) or given, minutes=minutes, quick=quick)
    wheels = None if from_wheels is None else from_wheels.absolute()
    if wheels is not None and not wheels.is_dir():
        raise UsageError(f"no folder {from_wheels} with packages")
    folder = output or ArtifactStore.default().new_file("proofs", config.provider, suffix="")
    target = folder / "prove.json"
    claim_outputs(target, force=force)
    shown, origin = Output(as_json=as_json), tell_origin({})

    def keep(report: ProofReport) -> None:
        write_json(target, {**report.to_json(), **origin})
        shown.show(describe_step(report.steps[-1]))

    report = prove(config, folder, wheels=wheels, progress=shown.progress, on_step=keep)
    shown.report({**report.to_json(), **origin}, "", *proof_lines(report))
    write_page([target], folder / "prove.md", force=True)
    note(f"report {target}")
    doctor = report.find("doctor")
    if doctor is not None and doctor.exit_code == ProviderError.exit_code:
        raise ProviderError(doctor.reason)
    if not report.passed:
        raise CheckFailedError(f"the proof of {provider} failed; the page says what")
