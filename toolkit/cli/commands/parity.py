"""`toolkit parity`: its options, and the settings that follow."""

from __future__ import annotations

__all__ = ["ParityRequest", "parity_command"]

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from toolkit.api.failures import offer_external_data
from toolkit.artifacts import ArtifactStore, check_picture, claim_outputs
from toolkit.cli import options
from toolkit.cli.completion import ARITHMETICS, OPTIMISATIONS, one_of, runs, some_of
from toolkit.cli.context import choose_model, require_there
from toolkit.cli.options import command_of, option, options_for
from toolkit.cli.output import Output, draw_picture, note
from toolkit.errors import UsageError
from toolkit.training.process import yield_idle_cores

if TYPE_CHECKING:
    from toolkit.parity.report import ParityReport

REPLAY_ALONE = (
    "--replay runs a row's engine again as it was opened; only the model, --allow-external-data and --json go with it"
)
BESIDE_REPLAY = {"model", "replay", "allow_external_data", "as_json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityRequest:
    """Compare engines with the float64 reference. The bound is known before any of them runs."""

    model: options.ModelPath = None
    runtime: options.Runtimes = None
    provider: options.Providers = None
    precision: Annotated[
        str | None,
        option(
            "What engines compute a float32 file in: fp32, bf16, tf32, all.",
            default="fp32; with --runtime all: all",
            complete=some_of(ARITHMETICS),
        ),
    ] = None
    threads: Annotated[str | None, option(options.THREADS, default="0,1")] = None
    optimisation: Annotated[
        str | None,
        option(
            "ONNX Runtime's levels: all, extended, basic, none.", default="all,none", complete=some_of(OPTIMISATIONS)
        ),
    ] = None
    data: options.DataName = None
    sample: Annotated[int | None, option("Judge only so many evenly spaced test images.", default="all")] = None
    run: Annotated[
        Path | None, option("The run that the model came from.", default="found by its hash", complete=one_of(runs))
    ] = None
    inputs: options.InputsPath = None
    shape: options.Shapes = None
    value: options.Values = None
    budget: options.BudgetSeconds = None
    record: Annotated[Path | None, option("Write images, reference answers and bounds for another machine.")] = None
    against: Annotated[Path | None, option("Judge by what another machine recorded; needs no data.")] = None
    picture: Annotated[Path | None, option("Draw the matrix as a heat map into this .png.")] = None
    replay: Annotated[Path | None, option("Run an engine again on the worst sample of a row, from its file.")] = None
    bisect: Annotated[
        bool, option("Where a row fails, find the first node whose output leaves the bound.", "--bisect")
    ] = False
    at: options.At = None
    allow_fallback: options.AllowFallback = False
    allow_external_data: options.AllowExternalData = False
    output_path: options.OutputPath = None
    force: options.Force = False
    as_json: options.Json = False

    def __post_init__(self) -> None:
        if self.replay is not None:
            options = [getattr(self, item.name) for item in fields(self) if item.name not in BESIDE_REPLAY]
            if any(option is not None and option is not False for option in options):
                raise UsageError(REPLAY_ALONE)


def _carry_out(request: ParityRequest) -> None:
    yield_idle_cores()  # the workers that run torch inherit it
    output = Output(as_json=request.as_json)
    if request.replay is not None:
        from toolkit.cli.actions.parity import replay_and_report

        sample = require_there(request.replay, made_by="toolkit parity")
        with offer_external_data():
            replay_and_report(sample, request.model, allow_external_data=request.allow_external_data, output=output)
        return
    path = choose_model(request.model, store=ArtifactStore.default())
    _claim_outputs(request, read=(path, request.against, request.inputs, request.data))
    from toolkit.api.check_parity import check_parity
    from toolkit.cli.actions.parity import check_and_report, require_passed

    given = options_for(check_parity, request)
    target, is_latest = request.output_path, request.model is None
    report, _ = check_and_report(path, given, target=target, is_latest=is_latest, output=output)
    _draw(report, request.picture)
    require_passed(report)


def _claim_outputs(request: ParityRequest, *, read: tuple[Path | str | None, ...]) -> None:
    check_picture(request.picture)
    inputs = (Path(item) for item in read if item)
    claim_outputs(request.output_path, request.record, request.picture, force=request.force, inputs=inputs)


def _draw(report: ParityReport, picture: Path | None) -> None:
    if picture is None:
        return
    from toolkit.plots.parity import draw_parity

    if draw_picture(picture, lambda: draw_parity(report)):
        note(f"picture {picture}")


parity_command = command_of(ParityRequest, _carry_out)
