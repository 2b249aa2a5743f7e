"""One's own torch module through the same export, proof and parity."""

from __future__ import annotations

import copy
import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from own_modules import Encoder, Pairs, ResNet18, Sums, make_module
from torch import Tensor, nn

from toolkit.artifacts import ArtifactStore
from toolkit.cli.app import app
from toolkit.errors import CheckFailedError, ModelError, ToolkitError, UsageError
from toolkit.exporting.modules import export as export_file
from toolkit.exporting.modules import reference as own_reference
from toolkit.exporting.modules.borrowed import _list_by_mode
from toolkit.exporting.modules.config import ModuleExportConfig
from toolkit.exporting.modules.example import make_calls, read_example
from toolkit.exporting.modules.export import export_module
from toolkit.exporting.modules.report import ModuleExportReport
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.check import check_parity
from toolkit.parity.config import ParityConfig
from toolkit.parity.recording import load_recording
from toolkit.prediction.classifier import Classifier
from toolkit.render.runs import render_runs
from toolkit.training.listing import list_runs

X = torch.arange(8.0).reshape(2, 4) / 3 - 1


def export(module: nn.Module, example: Any, root: Path, **config: Any) -> ModuleExportReport:
    return export_module(module, example, config=ModuleExportConfig(**config), store=ArtifactStore(root=root))


class Exported(NamedTuple):
    module: nn.Module
    before: dict[str, Any]
    report: ModuleExportReport


def state_of(module: nn.Module) -> dict[str, Any]:
    """Return everything of a module and of the process that an export could touch."""
    return {
        "weights": {name: item.detach().clone() for name, item in module.state_dict().items()},
        "kinds": {name: f"{item.dtype} {item.device} {item.requires_grad}" for name, item in module.named_parameters()},
        "gradients": {name: item.grad.clone() for name, item in module.named_parameters() if item.grad is not None},
        "training": str([part.training for part in module.modules()]),
        "drawn": (torch.get_rng_state(), hash(random.getstate()), np.random.get_state()[1]),  # noqa: NPY002 - the global one
        "modes": f"{torch.get_default_dtype()} {torch.is_grad_enabled()} {torch.get_autocast_dtype('cpu')}",
    }


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.manual_seed(0)
    module = Pairs()
    module.norm.eval()  # a user may have frozen a part
    example = {"features": torch.randn(2, 3), "tokens": torch.randint(0, 50, (2, 5))}
    module(**example)["scores"].sum().backward()
    before = state_of(module)
    report = export(module, example, tmp_path_factory.mktemp("pairs"))
    return Exported(module, before, report)


def test_the_file_is_one_file_with_the_names_of_forward_and_nothing_private(pairs: Exported) -> None:
    report, model = pairs.report, onnx.load(pairs.report.model)
    assert report.model.name == "pairs.onnx"
    assert [item.name for item in model.graph.input] == ["tokens", "features"]
    assert [item.name for item in model.graph.output] == ["scores", "best"]
    assert [spec.shape for spec in report.inputs] == [("batch", 5), ("batch", 3)]
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 18)]
    assert model.ir_version <= 10
    assert not model.functions
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert b"own_modules" not in report.model.read_bytes()
    assert sorted(path.name for path in report.model.parent.iterdir()) == ["pairs.onnx", "pairs.parity"]
    assert report.proven == {"batch": (1, 2, 3, 17, 64)}
    assert 0 < report.max_abs_error <= report.bound
    json.dumps(report.to_json())


def test_it_is_listed_as_a_module_of_ones_own(pairs: Exported) -> None:
    listed = list_runs(ArtifactStore(root=pairs.report.model.parent.parent))
    assert [row.state for row in listed.models] == ["done"]
    assert "a torch module of your own" in "\n".join(render_runs(listed))


def test_the_module_and_the_process_are_left_as_they_were(pairs: Exported) -> None:
    after = state_of(pairs.module)
    for key in ("kinds", "training", "modes"):
        assert after.pop(key) == pairs.before[key]
    assert len(after["gradients"]) > 5
    torch.testing.assert_close(after, {key: pairs.before[key] for key in after}, rtol=0, atol=0)
    assert (pairs.report.by_mode, pairs.report.warnings) == (("Dropout",), ())
    assert "these parts were in training mode: Dropout" in str(pairs.report)


class Noisy(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.randn_like(x) if self.training else x


@pytest.mark.parametrize(
    ("parts", "kinds"),
    [
        ([nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.LayerNorm(8), nn.Dropout(0.0)], ()),
        ([nn.BatchNorm2d(1), nn.Dropout2d(0.5), nn.Dropout2d(0.1)], ("BatchNorm2d", "Dropout2d")),
        ([nn.InstanceNorm2d(1), nn.LSTM(3, 3)], ()),
        ([nn.InstanceNorm2d(1, track_running_stats=True), nn.LSTM(3, 3, 2, dropout=0.1)], ("InstanceNorm2d", "LSTM")),
        ([Noisy(), nn.RReLU()], ("Noisy", "RReLU")),
        ([nn.Sequential(nn.Dropout()).eval()], ()),
    ],
)
def test_parts_that_ask_for_the_mode_are_named_and_a_fresh_module_without_them_is_not_remarked(
    parts: list[nn.Module], kinds: tuple[str, ...]
) -> None:
    assert _list_by_mode(nn.Sequential(*parts)) == kinds


def test_its_answers_and_those_recorded_are_the_modules_in_eval_mode(pairs: Exported) -> None:
    session = onnxruntime.InferenceSession(pairs.report.model, providers=["CPUExecutionProvider"])
    tokens, features = torch.randint(0, 50, (9, 5)), torch.randn(9, 3)
    with torch.no_grad():
        known = copy.deepcopy(pairs.module).eval()(tokens, features)
    scores, best = session.run(None, {"tokens": tokens.numpy(), "features": features.numpy()})
    np.testing.assert_allclose(scores, known["scores"], atol=1e-5)
    np.testing.assert_array_equal(best, known["best"])
    reference = load_recording(pairs.report.recording).reference
    assert reference.kind == "pytorch-float64"
    wide = copy.deepcopy(pairs.module).eval().double()
    wide.mix = wide.mix.double()
    for entry in reference.suites:  # in float64 to the last digits: no float32 stands between
        fed = {name: torch.from_numpy(array) for name, array in entry.feeds.items()}
        with torch.no_grad():
            again = wide(fed["tokens"], fed["features"].double())["scores"]
        np.testing.assert_allclose(entry.outputs["scores"], again, rtol=1e-12)
    rows = [len(entry) for entry in reference.suites]
    assert rows == [2, 1, 2, 3, 17, 64]


def test_parity_judges_by_the_modules_answers(pairs: Exported) -> None:
    config = ParityConfig(runtimes=("ort",), threads=(0,), optimisations=("all",))
    report = check_parity(ModelSource.read(pairs.report.model), config)
    assert report.passed
    assert report.reference == "pytorch-float64"
    assert report.recorded_on


def test_what_does_not_fit_is_refused_before_anything_is_traced(tmp_path: Path) -> None:
    plain = make_module(lambda self, x: self.layer(x))
    with warnings.catch_warnings(action="ignore"):
        script = torch.jit.script(nn.Linear(4, 3))
    lazy, meta = nn.LazyLinear(3), nn.Linear(4, 3, device="meta")
    half_a_number = make_module(lambda self, x: {"a": self.layer(x), "b": "words"})
    random_still = make_module(lambda self, x: nn.functional.dropout(self.layer(x)))
    large = nn.Linear(4, 3)
    large.register_buffer("table", torch.empty(600_000_000))
    cases: list[tuple[nn.Module, Any, dict[str, Any], type[ToolkitError], str]] = [
        (plain, (X, X), {}, UsageError, r"does not fit forward\(x\): too many"),
        (plain, {"y": X}, {}, UsageError, "missing a required argument: 'x'"),
        (plain, ("a",), {}, UsageError, "'x' of the example is a str; expected a tensor"),
        (plain, X / 0, {}, UsageError, "not finite"),
        (plain, X.to(torch.complex64), {}, UsageError, "complex64; expected floats"),
        (plain, X, {"dynamic": {"z": {0: "b"}}}, UsageError, "no input is called 'z'"),
        (plain, X, {"dynamic": {"x": {2: "b"}}}, UsageError, "no axis 2 can stay open"),
        (plain, X, {"dynamic": {0: "b"}}, UsageError, "expected names of axes by input and dimension"),
        (plain, X, {"dynamic": {"x": {0: 1}}}, UsageError, "expected names of axes by input and dimension"),
        (plain, X, {"dynamic": {"x": {0: "n", 1: "n"}}}, UsageError, "size 2 in 'x' and 4 in 'x'"),
        (plain, X, {"input_names": ("a", "b")}, UsageError, "2 input names for the inputs x"),
        (plain, X, {"output_names": ("x",)}, UsageError, "x names two tensors"),
        (plain, X.double(), {}, ModelError, "does not answer its example: RuntimeError: .*Double.*x float64"),
        (half_a_number, X, {}, ModelError, "b is a str, not a tensor"),
        (make_module(lambda self, x: None), X, {}, ModelError, "returns no tensor"),
        (
            make_module(lambda self, x: torch.fft.fft(x)),
            X,
            {},
            ModelError,
            "'output' of own is torch.complex64, .* real numbers only",
        ),
        (random_still, X, {}, ModelError, "'output' .* draws at random"),
        (plain.__class__().bfloat16(), X, {}, ModelError, r"bfloat16; .*deepcopy\(module\).float"),
        (lazy, X, {}, ModelError, "weights without numbers"),
        (meta, X, {}, ModelError, "weights without numbers"),
        (large, X, {}, ModelError, "take 2.24 GiB; one .onnx file holds less than 2 GiB"),
        (script, X, {}, ModelError, "TorchScript"),
        (len, X, {}, UsageError, "no torch.nn.Module"),  # type: ignore[list-item]
    ]
    images = torch.zeros(2, 6, 5, 3, dtype=torch.uint8)
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(90, 3))
    known: dict[str, Any] = {"classes": ("a", "b"), "mean": (0.5,), "std": (0.25,)}
    cases += [
        (classifier, images, known, ModelError, r"the answer is \[2, 3\]; expected logits \[N, 2\]"),
        (classifier, images.float(), known, ModelError, "images are torch.float32 .* expected uint8 pixels"),
        (classifier, images, {**known, "std": ()}, UsageError, "do not normalise pixels"),
        (classifier, images, {**known, "std": (0.0,)}, UsageError, "those of std over 0"),
        (classifier, images, {**known, "classes": ()}, UsageError, "name its classes"),
        (classifier, images, {**known, "dynamic": {}}, UsageError, "names and open sizes are those of the contract"),
    ]
    for module, example, config, kind, words in cases:
        with pytest.raises(kind, match=words):
            export(module, example, tmp_path, **config)
    assert not list(tmp_path.rglob("*.onnx"))


def test_other_sizes_are_made_of_the_examples_own_numbers() -> None:
    module = make_module(lambda self, x, tokens, scale: self.layer(x) * scale)
    tokens = torch.tensor([[3, 1, 4, 1], [9, 2, 6, 5]])
    read = read_example(module, (X, tokens, torch.tensor(2.0)), config=ModuleExportConfig())
    assert read.dynamic == {"x": {0: "batch"}, "tokens": {0: "batch"}}
    calls = {feed.name: feed.arrays for feed in make_calls(read)}
    assert list(calls) == ["example", "batch 1", "batch 2", "batch 3", "batch 17", "batch 64"]
    large = calls["batch 17"]
    np.testing.assert_array_equal(large["x"][:2], X)
    np.testing.assert_array_equal(np.sort(large["tokens"][16]), [1, 1, 3, 4])
    assert len(np.unique(large["x"], axis=0)) > 10  # rows that an engine might mix up
    assert large["scale"] == 2
    kept = {feed.name: feed.arrays for feed in make_calls(read, shuffled=False)}
    np.testing.assert_array_equal(kept["batch 17"]["tokens"][15], tokens[1])
    flat = read_example(module, (torch.zeros(1, 4), tokens[:1], torch.tensor(2.0)), config=ModuleExportConfig())
    assert make_calls(flat)[1].arrays["x"].std() > 0.1


@pytest.mark.slow
def test_a_network_of_torchvisions_size_is_exported_and_its_parity_seen_by_engines_of_other_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    module = ResNet18()
    report = export(module, torch.randn(1, 3, 64, 64), tmp_path, output_names=("logits",))
    assert report.parameters == 11_689_512
    assert report.proven == {"batch": (1, 2, 3, 17, 64)}
    assert report.share_of_bound < 0.5
    assert capfd.readouterr() == ("", "")
    again = export(module, torch.randn(1, 3, 64, 64), tmp_path, output_names=("logits",))
    assert (again.model, again.unchanged) == (report.model, True)  # the same bytes
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path))
    for words in (
        ["parity", "--runtime", "ort,openvino,onnx", "--json"],
        ["bench", "--batch", "1", "--seconds", "0.2", "--json"],
        ["inspect", "--json"],
        ["selftest", "--json"],
    ):
        app(args=[words[0], str(report.model), *words[1:]], standalone_mode=False)
        told = json.loads(capfd.readouterr().out)
        if words[0] in {"parity", "selftest"}:
            assert told["reference"] == "pytorch-float64"
        if words[0] == "parity":
            assert {row["status"] for row in told["rows"]} == {"pass"}


@pytest.mark.slow
def test_a_length_stays_open_and_weights_may_be_shared(tmp_path: Path) -> None:
    torch.manual_seed(0)
    report = export(
        Encoder(), {"tokens": torch.randint(0, 30, (1, 7))}, tmp_path, dynamic={"tokens": {0: "batch", 1: "length"}}
    )
    assert report.proven == {"batch": (1, 2, 3, 17, 64), "length": (1, 2, 3, 7, 8, 14)}
    assert [(spec.name, spec.shape) for spec in report.outputs] == [("output", ("batch", "length", 30))]
    session = onnxruntime.InferenceSession(report.model, providers=["CPUExecutionProvider"])
    assert session.run(None, {"tokens": np.ones((5, 40), np.int64)})[0].shape == (5, 40, 30)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "example", "config", "outputs"),
    [
        (make_module(lambda self, x: Sums(x.sum(1), (x, self.layer(x)))), X, {}, ["total", "parts_0", "parts_1"]),
        (make_module(lambda self, *xs: [self.layer(x) for x in xs]), (X, X), {}, ["output_0", "output_1"]),
        (make_module(lambda self, x, mask=None: self.layer(x)), X.numpy(), {"output_names": ("y",)}, ["y"]),
        (make_module(lambda self, x: self.layer(x).mean()), X, {"input_names": ("pixels",)}, ["output"]),
        (make_module(lambda self, x: self.layer(x.float()) + torch.ones(3, dtype=torch.float32)), X, {}, ["output"]),
        (make_module(lambda self, x: torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,))), X, {}, ["output"]),
        (make_module(lambda self, x: self.layer(x)).half(), X.half(), {}, ["output"]),
        (make_module(lambda self, x: self.layer(x[:2].reshape(2, 4))), X, {"dynamic": {}}, ["output"]),
        (nn.DataParallel(nn.Linear(4, 3)), X, {}, ["output"]),
        (
            make_module(lambda self, x: self.recurrent(x), recurrent=nn.GRU(4, 3, batch_first=True)),
            X[None],
            {"dynamic": {"x": {0: "batch", 1: "length"}}},
            ["output_0", "output_1"],
        ),
    ],
    ids=[
        "dataclass",
        "any number",
        "array",
        "scalar",
        "float by name",
        "cond",
        "half",
        "fixed",
        "wrapped",
        "recurrent",
    ],
)
def test_whatever_forward_takes_and_returns(
    module: nn.Module, example: Any, config: dict[str, Any], outputs: list[str], tmp_path: Path
) -> None:
    report = export(module, example, tmp_path, **config)
    assert [spec.name for spec in report.outputs] == outputs
    assert report.share_of_bound <= 1
    assert report.precision == (
        "fp16" if example is not X and getattr(example, "dtype", None) == torch.float16 else "fp32"
    )
    if "recurrent" in vars(module).get("_modules", {}):  # torch writes the length that it saw
        assert report.outputs[0].shape == ("batch", "length", 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (lambda self, x: self.layer(x) if x.sum() > 0 else x, "data-dependent.*use torch.where or torch.cond"),
        (lambda self, x: torch.linalg.svd(x)[1], "aten._linalg_svd.*operations that ONNX has"),
        (lambda self, x: self.layer(x.reshape(2, 4)), r"static shape of 2.*dynamic=\{\}"),
    ],
)
def test_what_torch_cannot_export_is_told_with_the_step(
    forward: Callable[..., Any], words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=f"own cannot be exported: .*{words}.*what torch said is in"):
        export(make_module(forward), X, tmp_path)
    assert not list(tmp_path.rglob("*.onnx"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_file_that_answers_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = make_module(lambda self, x: self.layer(x))
    traced = export_file.export_torch

    def damage(*asked: Any, **how: Any) -> onnx.ModelProto:
        graph = traced(*asked, **how)
        bias = next(item for item in graph.graph.initializer if item.name.endswith("bias"))
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) * np.float32(1.0001), bias.name))
        return graph

    monkeypatch.setattr(export_file, "export_torch", damage)
    with pytest.raises(
        CheckFailedError, match=r"differs from the module itself in the call 'example': 'output' differs"
    ):
        export(module, X, tmp_path)
    assert not list(tmp_path.rglob("*.onnx"))


@pytest.mark.slow
def test_names_give_way_only_where_nobody_asked_for_them(tmp_path: Path) -> None:
    first, second = nn.Linear(4, 3), nn.Linear(4, 3)
    assert export(first, X, tmp_path).model.name == "linear.onnx"
    assert export(second, X, tmp_path).model.name == "linear-2.onnx"
    assert export(second, X, tmp_path).unchanged
    asked = tmp_path / "asked.onnx"
    export(first, X, tmp_path, output=asked)
    with pytest.raises(UsageError, match="exists"):
        export(second, X, tmp_path, output=asked)
    assert not export(second, X, tmp_path, output=asked, force=True).unchanged


@pytest.mark.slow
def test_what_takes_longer_than_the_budget_and_what_the_module_refuses_is_named(tmp_path: Path) -> None:
    report = export(make_module(lambda self, x: self.layer(x)), X, tmp_path, budget_s=1e-9)
    assert report.proven == {"batch": (2,)}
    assert "would take more than the budget of 1e-09 s or the memory" in report.warnings[0]

    def at_least_two(self: Any, x: Tensor) -> Tensor:
        torch._check(x.shape[0] > 1)
        return self.layer(x)  # type: ignore[no-any-return]

    report = export(make_module(at_least_two), X, tmp_path)
    assert report.proven == {"batch": (2, 3, 17, 64)}
    assert "not proven at batch 1: the module itself refuses it" in report.warnings[0]


@pytest.mark.slow
def test_parity_passes_over_the_answers_of_another_file(pairs: Exported, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    model = onnx.load(pairs.report.model)
    model.doc_string = "changed"
    onnx.save(model, other)
    (tmp_path / "other.parity").write_bytes(pairs.report.recording.read_bytes())
    config = ParityConfig(runtimes=("ort",), threads=(0,), optimisations=("all",))
    assert check_parity(ModelSource.read(other), config).reference == "onnx-float64"


@pytest.mark.slow
def test_a_classifier_of_images_is_a_model_of_ours_to_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 2))
    images = np.random.default_rng(0).integers(0, 256, (4, 12, 10, 3), np.uint8)
    known: dict[str, Any] = {"classes": ("cat", "dog"), "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    report = export(module, images, tmp_path, name="pets", **known)
    assert report.card is not None
    assert report.card.golden is not None
    assert report.card.golden.origin == "synthetic"  # the example's own pictures do not leave with the file
    assert images[0].tobytes() not in report.card.golden.images
    with torch.no_grad():
        pixels = (images.transpose(0, 3, 1, 2) / 255 - np.reshape(known["mean"], (3, 1, 1))) / np.reshape(
            known["std"], (3, 1, 1)
        )
        logits = module(torch.from_numpy(pixels.astype(np.float32)))
    with Classifier(report.model) as classifier:
        answers = classifier.predict(images)
    np.testing.assert_allclose(answers.probabilities, logits.softmax(1), atol=1e-6)

    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path))
    for words in (
        ["selftest"],
        ["parity", "--runtime", "ort,openvino"],
        ["export", "--kit", "python"],
        ["bench", "--batch", "1"],
    ):
        app(args=[words[0], str(report.model), *words[1:], "--json"], standalone_mode=False)
        told = json.loads(capfd.readouterr().out)
        assert told.get("reference", "pytorch-float64") in {"golden", "pytorch-float64"}
    app(args=["inspect", str(report.model)], standalone_mode=False)
    assert "it meets every clause of the contract" in capfd.readouterr().out
    report.recording.unlink()
    with pytest.raises(ModelError, match="judged by the answers of the module that it was exported from"):
        check_parity(ModelSource.read(report.model), ParityConfig())
    with pytest.raises(UsageError, match=r"does not tell what it was trained on; name .* --data"):
        app(args=["evaluate", str(report.model)], standalone_mode=False)


@pytest.mark.slow
def test_no_call_is_asked_that_memory_does_not_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        own_reference, "available_memory_bytes", lambda: 8 * 20 * 4 * 8
    )  # 20 rows of 4 numbers in float64
    report = export(make_module(lambda self, x: self.layer(x)), X, tmp_path)
    assert report.proven == {"batch": (1, 2, 3, 17)}
    assert "not proven at batch 64" in report.warnings[0]
