"""Fixed reports of every command that shows a table, as what it would print."""

from __future__ import annotations

__all__ = ["SCREENS"]

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from toolkit.bench.compare import Comparison, RowChange
from toolkit.bench.measuring.machine_peak import MachinePeak
from toolkit.bench.report import BenchReport, BenchRow
from toolkit.doctor.report import DoctorReport, DoctorRow
from toolkit.evaluation.accuracy import AccuracyReport
from toolkit.exporting.kits.kits import KitResult
from toolkit.exporting.kits.self_check import SelfCheck
from toolkit.nvidia import DRIVER
from toolkit.parity.report import ParityReport, ParityRow
from toolkit.prediction.pipeline.blocks import Row
from toolkit.prediction.report import PredictionReport
from toolkit.render.bench import render_bench
from toolkit.render.comparison import render_comparison
from toolkit.render.doctor import render_doctor, runtimes_table
from toolkit.render.export import kits_table
from toolkit.render.parity import describe_matrix
from toolkit.render.predictions import prediction_summary, predictions_table
from toolkit.render.quickstart import quickstart_screen
from toolkit.render.runs import recipes_table, render_recipe, render_runs
from toolkit.render.training import confusion_table, contract_table, layer_table, render_learning_curve, render_tune
from toolkit.runtimes.contract import Clause
from toolkit.runtimes.installed import RuntimeRow
from toolkit.training.listed_models import Accuracy, ListedModel
from toolkit.training.listing import ListedRun, RunList
from toolkit.training.recipe_catalog import RECIPES, SUMMARIES
from toolkit.training.recipe_fields import list_fields
from toolkit.tuning.config import TuneConfig
from toolkit.tuning.curve_report import CurveReport, CurveTraining
from toolkit.tuning.fit import FitResult
from toolkit.tuning.search_space import parse_space
from toolkit.tuning.study import TrialRow
from toolkit.tuning.tune import TuneReport

FOLDER = "/home/somebody/projects/digits/artifacts"
MODEL = f"{FOLDER}/models/mnist-fast-s0-20261128-073931.onnx"
CUDA_PACKAGES = "pip install 'onnxruntime-gpu[cuda,cudnn]'"
INSTALL = "install it with: pip install 'onnx-parity-toolkit[runtimes]'"


def _bench_row(runtime: str, batch: int, *, p50: float, **changes: Any) -> BenchRow:
    fields: dict[str, Any] = {
        "runtime": runtime,
        "provider_requested": "cpu",
        "provider_active": "cpu",
        "precision": "fp32",
        "batch": batch,
        "threads": 0,
        "samples": 10_334 // batch,
        "latency_ms": {"p50": p50, "p90": 1.21 * p50, "p99": 1.93 * p50, "p99.9": None if batch > 1 else 3.7 * p50},
        "throughput_items_per_s": 1e3 * batch / p50,
        "matmul_share": 0.41,
        "verdict": "launch-bound: 70% of a call does not grow" if batch == 1 else "compute-bound: a call grows",
        "cold": {"first_run_ms": 12.345 * batch},
        "stable": True,
    }
    return BenchRow(**{**fields, **changes})


def _absent(runtime: str) -> BenchRow:
    reason = f"the engine cannot be imported: No module named '{runtime}'; {INSTALL}"
    return BenchRow(runtime=runtime, provider_requested="cpu", precision="fp32", status="skip", reason=reason)


def _bench() -> list[RenderableType]:
    busy = {"others_share": 0.31}
    rows = [
        _bench_row("ort", 1, p50=0.4821),
        _bench_row("ort", 32, p50=11.27, machine=busy),
        _bench_row("ort", 128, p50=43.117, stable=False, spread=0.25),
        _bench_row("torch-compile", 1, p50=1.3344),
        _bench_row("torch-compile", 32, p50=1_017.5, stable=None),
        *map(_absent, ("tract", "iree", "tvm")),
        BenchRow(runtime="opencv", provider_requested="cpu", precision="fp32", status="refused", reason="an operator"),
    ]
    floor = MachinePeak(provider="cpu", threads=0, side=1024, matmul_gflops=61.4, copy_gb_per_s=8.34)
    advice = ("ort is faster than torch-compile at every batch",)
    model = {"path": MODEL, "sha256": "0" * 64}
    return render_bench(
        BenchReport(command="", environment={}, model=model, rows=tuple(rows), floors=(floor,), advice=advice)
    )


def _bench_of_devices() -> list[RenderableType]:
    cuda = {"provider_requested": "cuda", "provider_active": "cuda", "io_binding": True}
    rows = [
        _bench_row("ort", batch, p50=batch / 7, precision=precision, **device)
        for device in ({}, cuda)
        for precision in ("fp32", "fp16")
        for batch in (1, 256)
    ]
    rows.append(_bench_row("ort", 1, p50=0.51, provider_requested="cuda", fallback=True, reason="no driver", threads=1))
    chosen = {"row": 7, "objective": "throughput", "max_p99_ms": None, "settings": "options = SessionOptions()\nrun()"}
    model = {"path": MODEL, "sha256": "0" * 64}
    return render_bench(BenchReport(command="", environment={}, model=model, rows=tuple(rows), chosen=chosen))


def _comparison() -> list[RenderableType]:
    row = {"runtime": "ort", "provider_active": "cpu", "precision": "fp32", "batch": 1, "threads": 0}
    ratio = {"point": 1.0432, "low": 1.0178, "high": 1.0712}
    ratios = dict.fromkeys(("p50", "p99", "throughput"), ratio)
    changes = (
        RowChange(row=row, ratios=ratios, verdicts={"p99>+5%": "open", "throughput<-3%": "fine"}),
        RowChange(row={**row, "batch": 128}, ratios=ratios, verdicts={"p99>+5%": "regression"}),
        RowChange(row={**row, "runtime": "torch-compile"}, ratios={}, verdicts={}, problem="the new result has no such row"),
    )  # fmt: skip
    return render_comparison(
        Comparison(old="a.json", new="b.json", changes=changes, added=({},), differences=("torch was 2.12, is 2.13",))
    )


def _parity() -> list[RenderableType]:
    passed = ParityRow(
        runtime="ort",
        version="1.31.1",
        provider="cpu",
        precision="fp32",
        threads=0,
        optimisation="all",
        status="pass",
        images=10_282,
        max_abs_logit_error=1.4321e-06,
        bound=4.64e-05,
        error_ratio=0.82,
        suites={"test": {}},
    )
    rows = [
        replace(passed, runtime="torch-compile", version="2.13.0+cpu", optimisation=None),
        *(replace(passed, threads=threads, optimisation=name) for threads in (0, 1) for name in ("all", "none")),
        replace(passed, runtime="openvino", version="2026.4.1", precision="bf16", flips=12, flips_excused=12),
        replace(passed, runtime="opencv", version="5.0.0.93", status="fail", flips=1, reason="an answer is too far"),
        *(
            replace(passed, runtime=name, status="skip", images=0, reason=f"runtime {name} is not installed; {INSTALL}")
            for name in ("tract", "iree")
        ),
        replace(passed, runtime="mnn", status="skip", images=0, reason="no formula gives a bound"),
    ]
    return describe_matrix(
        ParityReport(
            reference="pytorch-float64",
            bound=4.64e-05,
            bound_rule="",
            baseline="torch float32",
            rows=tuple(rows),
            model={},
            data={},
        )
    )


def _fit(correct: int, *, seconds: float = 3.25, steps: int = 430) -> FitResult:
    return FitResult(
        correct=correct, count=10_000, train_loss=0.1, train_correct=990, train_count=1_000, epochs=5, steps=steps,
        seconds=seconds,
    )  # fmt: skip


def _tune() -> list[RenderableType]:
    space = parse_space(
        ["batch_size=64,128", "dropout=0.2..0.6", "learning_rate=1e-4..1e-2:log", "hidden_units=64..1024"], settled=()
    )
    points = [
        {"batch_size": 64, "dropout": 0.2131, "learning_rate": 0.0012345, "hidden_units": 512},
        {"batch_size": 128, "dropout": 0.55, "learning_rate": 0.00987, "hidden_units": 1024},
    ]
    rows = [
        TrialRow(number=number, state="done", point=point, folds=(_fit(9_912), _fit(9_874 + number), _fit(9_899)))
        for number, point in enumerate(points)
    ]
    rows.append(TrialRow(number=2, state="failed", point=points[0], reason="the loss is not finite; lower the rate"))
    config = TuneConfig(recipe=RECIPES["fast"], space=space)
    study = Path(f"{FOLDER}/tune/mnist-fast.db")
    return render_tune(TuneReport(study=study, config=config, rows=tuple(rows), images=50_000, device="cpu"))


def _learning_curve() -> list[RenderableType]:
    recipe = {"name": "fast", "epochs": 5}
    settings = {"data": {"name": "mnist"}, "validation_count": 10_000, "equal": "epochs", "recipe": recipe}
    trainings = tuple(
        CurveTraining(size=size, seed=seed, result=_fit(9_000 + size // 60 + seed, seconds=size / 90, steps=size // 2))
        for size in (1_000, 50_000)
        for seed in (0, 1, 2)
    )
    return render_learning_curve(
        CurveReport(settings={**settings, "fitted_to_size": []}, device="cpu", trainings=trainings)
    )


def _predictions() -> list[RenderableType]:
    def row(source: str, **changes: Any) -> Row:
        return Row(**{"source": source, "index": 0, "provider": "cpu", "status": "ok", **changes})

    answer = {"label": "7", "probability": 0.99981, "margin": 11.3}
    rows = (
        row(f"{FOLDER}/predictions/mnist-digits/7-00000.png", **answer),
        row("letters.zip/a/very/long/folder/name/inside/of/it/3.png", **{**answer, "margin": 1.25}, doubtful=True,
            message="its margin 1.25 is under 2.31, which is what one answer in two hundred has"),
        row("notes.txt", status="error", message="notes.txt is no picture: it begins with b'notes'; expected PNG, JPEG"),
    )  # fmt: skip
    report = PredictionReport(
        model=Path(MODEL), model_sha256="", num_ok=2, num_errors=1, num_doubtful=1, runtime="ort",
        runtime_version="1.31.1", precision="fp32", provider_requested="auto", provider_active="cpu", fallback=False,
        fallback_reason="", batch=64, seconds=1.0, output=Path(f"{FOLDER}/predictions/mnist-fast-s0.csv"),
        preview=rows, first_error="",
    )  # fmt: skip
    return [predictions_table(report), *prediction_summary(report)]


def _kits() -> list[RenderableType]:
    def kit(name: str, runtime: str, **changes: Any) -> KitResult:
        passed = {"status": "pass", "vectors": 16, "max_abs_logit_error": 1.9123e-06, "ms_per_image": 0.41234}
        check = SelfCheck(**{**passed, "runtime": runtime, **changes})
        return KitResult(kit=name, folder=Path(f"{FOLDER}/kits/mnist-{name}"), size_bytes=4_480_000, check=check)

    rows = [kit("python", "onnxruntime", version="1.31.1"), kit("node", "onnxruntime-node", version="1.30.0")]
    absent = {"status": "not-run", "vectors": 0, "max_abs_logit_error": None, "ms_per_image": None}
    return [kits_table([*rows, kit("cpp", "onnxruntime", **absent, reason="there is no cmake")])]


def _quickstart() -> list[RenderableType]:
    row = _bench_row("ort", 1, p50=0.4821).to_json()
    result = {
        "accuracy": {"accuracy": 0.993, "accuracy_ci95": [0.9856, 0.9966], "count": 1_000},
        "selftest": {"passed": True, "vectors": 16},
        "parity": {
            "passed": True,
            "reference": "pytorch-float64",
            "bound": 7.2e-05,
            "rows": [{"max_abs_logit_error": 1.9e-06}],
        },
        "bench": {"rows": [row, {**row, "batch": 256, "stable": False}]},
        "files": {"run": f"{FOLDER}/runs/mnist-fast-s0-20261128-073931", "model": MODEL},
    }
    return quickstart_screen(result)


def _training() -> list[RenderableType]:
    confusion = tuple(tuple(1_234 if row == column else row for column in range(10)) for row in range(10))
    report = AccuracyReport(dataset="fashion-mnist", count=12_745, correct=12_340, confusion=confusion)
    names = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
    return [layer_table(RECIPES["fast"].network.layer_shapes()), confusion_table(report, names)]


def _runtimes() -> list[RenderableType]:
    def engine(name: str, **changes: Any) -> RuntimeRow:
        known: dict[str, Any] = {
            "runtime": name, "package": name, "installed": True, "distribution": "onnxruntime-gpu", "version": "1.31.1",
            "devices": ("cpu", "cuda", "tensorrt", "openvino"), "executes": "file", "is_reference": False,
            "install": "pip install onnxruntime-gpu",
        }  # fmt: skip
        return RuntimeRow(**{**known, **changes})

    absent = {"installed": False, "distribution": None, "version": None, "devices": ("cpu",)}
    install = "pip install 'onnx-parity-toolkit[runtimes]'"
    private = engine("mnn", **absent, install="toolkit runtimes install mnn")
    return [runtimes_table([engine("ort"), engine("tract", **absent, install=install), private])]


def _doctor(*, every: bool) -> list[RenderableType]:
    def row(name: str, status: str = "absent", **changes: Any) -> DoctorRow:
        return DoctorRow(**{"name": name, "kind": "provider", "version": "1.31.1", "status": status, **changes})

    loader = "cannot open shared object file: No such file or directory"
    joined = f"{CUDA_PACKAGES}, and {DRIVER}"
    rows = (
        row("onnxruntime installation", "pass", kind="installation", version="onnxruntime-gpu 1.31.1"),
        row("ort/cpu", "pass", opens=True, runs=True, placement={"cpu": 4}),
        row("ort/cuda", reason=f"provider cuda is not active: libcublasLt.so.13: {loader}", mend=joined),
        row("ort/tensorrt", reason=f"provider tensorrt is not active: libnvinfer.so.10: {loader}", mend=joined),
        row("torch/cpu", "pass", opens=True, runs=True, version="2.13.0+cpu"),
        row("torch/cuda", reason="torch 2.13.0+cpu is a build without CUDA", mend="pip install 'torch>=2.11'"),
        row("openvino/cpu", "fail", kind="runtime", version="2026.4.1", reason="the worker was killed by SIGSEGV"),
        row("tvm/cpu", kind="runtime", version=None, reason="runtime tvm is not installed"),
        row("cuBLAS", kind="library", reason=f"libcublas.so.13: {loader}", mend=CUDA_PACKAGES),
        row("cuDNN", kind="library", reason=f"libcudnn.so.9: {loader}", mend=CUDA_PACKAGES),
        row("GPU", kind="gpu", version=None, reason="no NVIDIA driver answers on this machine", mend=DRIVER),
    )
    machine = {"cpu": {"model": "AMD EPYC", "logical_cores": 2}, "gpus": []}
    machine["platform"] = {"system": "Linux", "machine": "x86_64"}
    return render_doctor(DoctorReport(command="toolkit doctor", environment=machine, rows=rows), every=every)


def _runs() -> list[RenderableType]:
    accuracy = Accuracy(value=0.9931, correct=9_931, count=10_000, ci95=(0.99128, 0.99454))
    seen: dict[str, Any] = {"data": "fashion-mnist", "time": "", "size_bytes": 26_798_453, "state": "done"}
    name, folder = "mnist-fast+learning_rate=0.002-s0-20261128-073931", Path(FOLDER)

    def run(called: str, **changes: Any) -> ListedRun:
        return ListedRun(**{"name": called, "path": folder / "runs" / called, "recipe": "fast", **seen, **changes})

    changes = {"learning_rate": (0.004, 0.002), "label_smoothing": (0.05, 0.1), "hidden_units": (1024, 64)}
    changed = {"recipe": "fast+learning_rate=0.002+2-more", "base": "fast", "changes": changes}
    runs = (
        run(name, is_latest=True, accuracy=accuracy, **changed),
        run("half", state="unfinished", reason="8 of 20 epochs; go on with: toolkit train --resume half"),
        run(
            "half+much",
            state="unfinished",
            reason=f"8 of 20 epochs; go on with: toolkit train --resume {name}-and-more-of-it",
        ),
        run("broken", state="damaged", data="", reason=f"{folder / 'runs' / 'broken'} is not a run folder"),
        run("new", base="fast"),
    )
    file = folder / "models" / f"{name}.onnx"
    models = (ListedModel(name=file.name, path=file, accuracy=accuracy, precision="fp32", recipe="fast", **seen),)
    return [*render_runs(RunList(root=folder, runs=runs, models=models))]


def _contract() -> list[RenderableType]:
    inputs = "one input `images`, uint8, [batch, height, width] or [batch, height, width, 3], batch symbolic"
    seen = {inputs: "images uint8 ['batch', 28, 28]", "one file, no external data": "everything inside"}
    return [contract_table(Clause(name=name, met=name == inputs, seen=words) for name, words in seen.items())]


def _recipes() -> list[RenderableType]:
    best = RECIPES["best"]
    table = recipes_table(RECIPES.values(), summaries=SUMMARIES)
    return [*table, *render_recipe(best, list_fields(best), summary=SUMMARIES["best"])]


SCREENS: dict[str, Callable[[], list[RenderableType]]] = {
    "bench": _bench,
    "bench-devices": _bench_of_devices,
    "compare": _comparison,
    "contract": _contract,
    "doctor": lambda: _doctor(every=False),
    "doctor-all": lambda: _doctor(every=True),
    "kits": _kits,
    "learning-curve": _learning_curve,
    "parity": _parity,
    "predict": _predictions,
    "quickstart": _quickstart,
    "recipes": _recipes,
    "runs": _runs,
    "runtimes": _runtimes,
    "training": _training,
    "tune": _tune,
}
