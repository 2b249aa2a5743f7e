"""`toolkit evaluate`."""

from __future__ import annotations

__all__ = ["evaluate_command"]

from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import load_recorded_data, resolve_run
from toolkit.cli.options import DataName, Json
from toolkit.cli.output import Output, invocation
from toolkit.durable import write_json

Target = Annotated[
    Path | None,
    typer.Argument(help="A run folder, a run's name, or an .onnx file; the latest run by default.", show_default=False),
]
Provider = Annotated[
    str, typer.Option("--provider", help="Provider for an .onnx file: cpu, cuda, tensorrt or openvino.")
]


def evaluate_command(
    target: Target = None, data: DataName = None, provider: Provider = "cpu", as_json: Json = False
) -> None:
    """Judge a run or a model file on test images. Accuracy with its interval, confusion matrix."""
    from toolkit.environment import describe_environment
    from toolkit.render import confusion_table

    output, store = Output(as_json=as_json), ArtifactStore.default()
    if target is not None and target.suffix.lower() == ".onnx":
        accuracy, classes, report_path, model = _evaluate_model(target, data, provider, output, store)
    else:
        accuracy, classes, report_path, model = _evaluate_run(target, data, output, store)
    report: dict[str, Any] = {
        **accuracy.to_json(),
        **model,
        "command": invocation(),
        "environment": describe_environment(),
    }
    write_json(report_path, report)
    output.report(
        report,
        f"test accuracy {accuracy.describe()}",
        confusion_table(accuracy.confusion, classes),
        f"report {report_path}",
    )


def _evaluate_model(target: Path, data: str | None, provider: str, output: Output, store: ArtifactStore) -> Any:
    from toolkit.evaluation.evaluate import evaluate_model, require_same_data
    from toolkit.runtimes.base import RuntimeSettings
    from toolkit.runtimes.contract import require_contract
    from toolkit.runtimes.process import WorkerRuntime
    from toolkit.runtimes.source import ModelSource

    source, settings = ModelSource.read(target), RuntimeSettings(provider=provider)
    with WorkerRuntime(source, settings) as runtime:
        card = require_contract(runtime.info, name=target.name)
    dataset = load_recorded_data(data, card.data, output, size=(card.input.height, card.input.width))
    if data is None:
        require_same_data(dataset, card.data, owner=target.name)
    accuracy = evaluate_model(source, dataset, settings=settings)
    path = store.new_file("reports", f"evaluation-{target.stem}", ".json")
    return accuracy, card.classes, path, {"model": {"path": str(target), "sha256": source.sha256}, "provider": provider}


def _evaluate_run(target: Path | None, data: str | None, output: Output, store: ArtifactStore) -> Any:
    from toolkit.evaluation.evaluate import evaluate_run, require_same_data
    from toolkit.network.run import read_run

    run = resolve_run(target, store=store)
    described = read_run(run)
    dataset = load_recorded_data(data, described.data, output, size=described.image_size)
    if data is None:
        require_same_data(dataset, described.data, owner=f"run {run.name}")
    own = dataset.sha256 == described.data["sha256"]
    path = run / "evaluation.json" if own else store.new_file("reports", f"evaluation-{run.name}", ".json")
    return evaluate_run(run, dataset), described.classes, path, {"run": str(run)}
