"""`toolkit inspect`."""

from __future__ import annotations

__all__ = ["inspect_command"]

from toolkit.api.failures import offer_external_data
from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import resolve_model
from toolkit.cli.options import AllowExternalData, Json, ModelPath
from toolkit.cli.output import Output


@offer_external_data()
def inspect_command(
    model: ModelPath = None, *, allow_external_data: AllowExternalData = False, as_json: Json = False
) -> None:
    """Say what an .onnx file is. What it states, what engines lack, which clauses of the contract it meets.

    No engine opens a stranger's file; one with a card that meets every other clause is run at several batch sizes.
    """
    from toolkit.evaluation.inspect import inspect_model
    from toolkit.onnx_file.external_data import read_model
    from toolkit.render.training import contract_table

    output = Output(as_json=as_json)
    path = resolve_model(model, store=ArtifactStore.default())
    with output.progress("reading the model"):
        report = inspect_model(read_model(path, allow_external_data=allow_external_data))
    tables = [contract_table(report.clauses)] if report.is_bound else []
    output.report(report.to_json(), *report.describe(), *tables)
