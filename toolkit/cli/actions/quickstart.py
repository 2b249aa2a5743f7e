"""The quickstart's steps, each the library call behind a command of its own."""

from __future__ import annotations

__all__ = ["Quickstart"]

from pathlib import Path
from typing import Any

from toolkit.api.data import load_given
from toolkit.api.export import export
from toolkit.api.predict import predict
from toolkit.artifacts import ArtifactStore
from toolkit.card import Card, card_beside
from toolkit.cli.actions.parity import check_and_report
from toolkit.cli.actions.train import train_and_draw
from toolkit.cli.hearing import CommandListener
from toolkit.cli.output import Output
from toolkit.counts import count_of
from toolkit.durable import write_atomic
from toolkit.errors import ModelError, UsageError
from toolkit.evaluation.evaluate import evaluate_run
from toolkit.evaluation.selftest import run_selftest
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.diagnosis.replay import encode_png
from toolkit.plain import to_plain
from toolkit.runs.checkpoint import read_checkpoint
from toolkit.runs.run import RunConfig, read_run
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.registry import open_runtime
from toolkit.training.config import TrainConfig
from toolkit.training.recipe_catalog import RECIPES
from toolkit.training.train import split_data

RECIPE = "fast"
SEED = 0
SAMPLE_COUNT = 20


class Quickstart:
    """Runs the steps in order and remembers what each left.

    Args:
        data: name of the data set.
        output: where the words go.
    """

    def __init__(self, data: str, *, output: Output) -> None:
        self._name = data
        self._output = output
        self._store = ArtifactStore.default()
        self._result: dict[str, Any] = {"schema": "toolkit/quickstart/1"}
        self._files: dict[str, str] = {}

    def train(self) -> None:
        """1/6 data, training, evaluation"""
        self._data = load_given(self._name, listener=CommandListener(self._output))
        config = TrainConfig(recipe=RECIPES[RECIPE], seed=SEED, all_data=True)
        reused = self._find_run(config)
        if reused is not None:
            self._run = reused
            with self._output.progress("judging the run on the test images"):
                accuracy = evaluate_run(reused, self._data).report
            self._store.record(run=reused)
            self._output.show(f"reusing {reused}: same data, recipe and seed, its checkpoint's hash holds")
        else:
            how = {"data": self._data, "recipe": config.recipe, "seed": config.seed, "all_data": config.all_data}
            report = train_and_draw(how, output=self._output)
            if report.judged is None:
                raise UsageError("the quickstart runs as one process; run it without torchrun")
            self._run, accuracy = report.run, report.judged.figures
        self._output.show(f"test accuracy {accuracy.describe()}")
        self._result.update(reused_run=reused is not None, accuracy=accuracy.to_json())
        self._files["run"] = str(self._run)

    def export(self) -> None:
        """2/6 export, proven before it is put in place"""
        report = export(self._run, data=self._data, listener=CommandListener(self._output))
        self._model, self._card = report.model, report.card
        state = "unchanged" if report.unchanged else "written"
        self._output.show(f"{report.model} {state}, {report.size_bytes / 1e6:.2f} MB, sha256 {report.sha256[:16]}...")
        self._files.update(model=str(report.model), card=str(card_beside(report.model)))

    def selftest(self) -> None:
        """3/6 self-test on the card's golden vectors"""
        with open_runtime(ModelSource.read(self._model), RuntimeSettings()) as runtime:
            report = run_selftest(runtime, self._card)
        word = "passed" if report.passed else f"failed: {'; '.join(report.failures)}"
        self._output.show(f"{report.vectors} golden vectors {word}")
        self._result["selftest"] = report.to_json()

    def parity(self) -> None:
        """4/6 parity with PyTorch on every test image"""
        options = {"run": self._run, "data": self._name}
        report, path = check_and_report(self._model, options, output=self._output.quiet())
        self._output.show(f"{'passed' if report.passed else 'failed'} in {count_of(len(report.rows), 'row')}")
        rows = to_plain(report.rows)
        self._result["parity"] = {
            "passed": report.passed,
            "reference": report.reference,
            "bound": report.bound,
            "rows": rows,
        }
        self._files["parity report"] = str(path)

    def predict(self) -> None:
        """5/6 prediction of a folder of PNG digits"""
        folder = self._write_samples(self._card)
        target = self._store.new_file("predictions", self._model.stem, suffix=".csv")
        report = predict(self._model, [folder], output=target, listener=CommandListener(self._output))
        right = sum(row.label == Path(row.source).name.split("-")[0] for row in report.preview)
        self._output.show(f"{right} of {SAMPLE_COUNT} file names agree with their predicted label")
        self._result["predict"] = {"images": report.num_ok, "right": right}
        self._files.update({"PNG digits": str(folder), "predictions": str(target)})

    def bench(self) -> None:
        """6/6 benchmark"""
        from toolkit.api.benchmark import benchmark
        from toolkit.render.bench import render_bench

        # On a GPU every provider is tried and the ones that do not work say why; elsewhere that would be noise.
        on_gpu = read_run(self._run).training["device"] == "cuda"
        target = self._store.new_file("reports", "bench", suffix=".json")
        told = CommandListener(self._output)
        provider = "all" if on_gpu else "cpu"
        report = benchmark(self._model, batch=(1, 256), provider=provider, output=target, listener=told)
        self._output.show(*render_bench(report))
        self._result["bench"] = report.to_json()
        self._files["benchmark"] = str(target)

    def result(self) -> dict[str, Any]:
        """Return everything that the last screen shows; schema `toolkit/quickstart/1`."""
        passed = all(self._result[check]["passed"] for check in ("selftest", "parity", "bench"))
        return {**self._result, "passed": passed, "files": self._files}

    def _find_run(self, config: TrainConfig) -> Path | None:
        """Return a finished run with the same data, recipe and seed whose checkpoint can be read."""
        images = len(split_data(self._data, all_data=config.all_data)[0])
        recipe = config.recipe.for_dataset(self._data).for_count(images)
        wanted = (recipe.to_json(), self._data.sha256, config.seed, config.all_data)
        for folder in sorted((self._store.root / "runs").glob("*"), reverse=True):
            try:
                run = read_run(folder)
                if wanted == _identity(run) and read_checkpoint(run.checkpoint_path).epoch == recipe.epochs:
                    return folder
            except ModelError as error:
                self._output.show(f"not reusing {folder.name}: {error}")
        return None

    def _write_samples(self, card: Card) -> Path:
        """Write the first test images as PNG files named `<class>-<index>.png`."""
        folder = self._store.root / "predictions" / f"{self._data.name}-digits"
        for index in range(SAMPLE_COUNT):
            name = card.classes[int(self._data.test.labels[index])]
            write_atomic(folder / f"{name}-{index:05d}.png", encode_png(self._data.test.images[index]))
        return folder


def _identity(run: RunConfig) -> tuple[Any, ...]:
    return (run.recipe, run.data["sha256"], run.training["seed"], run.training["all_data"])
