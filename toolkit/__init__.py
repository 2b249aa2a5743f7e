"""Train a small image classifier, ship it as one self-contained `.onnx`, prove that it gives the same answers.

    import toolkit

    run = toolkit.train("mnist-mini", epochs=2)
    model = toolkit.export(run)
    print(toolkit.check_parity(model, runtime="ort,torch"))

Each function is a verb of the command line, with its options as keyword arguments, and returns the verb's report.
Failures are the exceptions of `toolkit.errors`. Nothing is loaded until it is used.
"""

from __future__ import annotations

__all__ = [
    "Classifier",
    "Dataset",
    "Listener",
    "Prediction",
    "Split",
    "__version__",
    "benchmark",
    "check_parity",
    "diagnose",
    "errors",
    "evaluate",
    "export",
    "load_dataset",
    "predict",
    "train",
]

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit import errors
    from toolkit.api.benchmark import benchmark
    from toolkit.api.check_parity import check_parity
    from toolkit.api.diagnose import diagnose
    from toolkit.api.evaluate import evaluate
    from toolkit.api.export import export
    from toolkit.api.listener import Listener
    from toolkit.api.predict import predict
    from toolkit.api.train import train
    from toolkit.data.dataset import Dataset, Split
    from toolkit.data.load import load_dataset
    from toolkit.prediction.answers import Prediction
    from toolkit.prediction.classifier import Classifier

__version__ = "0.1.0"

_MODULES = {
    "Classifier": "prediction.classifier",
    "Dataset": "data.dataset",
    "Listener": "api.listener",
    "Prediction": "prediction.answers",
    "Split": "data.dataset",
    "load_dataset": "data.load",
    **{
        name: f"api.{name}"
        for name in ("benchmark", "check_parity", "diagnose", "evaluate", "export", "predict", "train")
    },
}


def __getattr__(name: str) -> object:
    # Later: no command pays for what it does not use.
    from importlib import import_module

    if name == "errors":
        return import_module("toolkit.errors")
    if name in _MODULES:
        return getattr(import_module(f"toolkit.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
