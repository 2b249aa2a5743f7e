"""`toolkit parity`."""

from __future__ import annotations

__all__ = ["parity_command"]

from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.artifacts import ArtifactStore
from toolkit.cli.actions.parity import require_passed, run_and_report
from toolkit.cli.actions.parity_request import ParityRequest
from toolkit.cli.actions.parity_worst import replay_and_report, worst_folder
from toolkit.cli.context import choose_model
from toolkit.cli.options import command_of, offer_external_data
from toolkit.cli.output import Output, draw_picture, note
from toolkit.errors import UsageError
from toolkit.outputs import check_picture, claim_outputs

if TYPE_CHECKING:
    from toolkit.parity.report import ParityReport


def _carry_out(request: ParityRequest) -> None:
    output = Output(as_json=request.as_json)
    if request.replay is not None:
        replay_and_report(request.replay, request, output=output)
        return
    config = request.make_config()
    path = choose_model(request.model, store=ArtifactStore.default())
    _claim_outputs(request, read=(path, request.against, request.inputs, request.data))
    report, _ = run_and_report(path, config, request, output=output)
    _draw(report, request.picture)
    require_passed(report)


def _claim_outputs(request: ParityRequest, *, read: tuple[Path | str | None, ...]) -> None:
    output, force = request.output_path, request.force
    check_picture(request.picture)
    inputs = (Path(item) for item in read if item)
    claim_outputs(output, request.record, request.picture, force=force, inputs=inputs)
    if output is not None and worst_folder(output).exists() and not force:
        raise UsageError(f"the folder {worst_folder(output)} of an earlier report exists; give another name or --force")


def _draw(report: ParityReport, picture: Path | None) -> None:
    if picture is None:
        return
    from toolkit.plots.parity import draw_parity

    if draw_picture(picture, lambda: draw_parity(report)):
        note(f"picture {picture}")


parity_command = offer_external_data(command_of(ParityRequest, _carry_out))
