"""`toolkit inspect`."""

from __future__ import annotations

__all__ = ["inspect_command"]

from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import resolve_model
from toolkit.cli.options import Json, ModelPath
from toolkit.cli.output import Output


def inspect_command(model: ModelPath = None, as_json: Json = False) -> None:
    """Say what an .onnx file is. Which clauses of the contract it meets, and what its card states."""
    from toolkit.evaluation.inspect import inspect_model
    from toolkit.render import contract_table
    from toolkit.runtimes.source import ModelSource

    output = Output(as_json=as_json)
    path = resolve_model(model, store=ArtifactStore.default())
    report = inspect_model(ModelSource.read(path))
    output.report(report.to_json(), *report.describe(), contract_table(report.clauses))
