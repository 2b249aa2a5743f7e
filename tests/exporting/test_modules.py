"""One's own torch module through the same export, proof and parity."""

from __future__ import annotations

import copy
import json
import random
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from own_modules import Pairs, make_module
from torch import nn

from toolkit.artifacts import ArtifactStore
from toolkit.errors import ModelError, ToolkitError, UsageError
from toolkit.exporting.modules.config import ModuleExportConfig
from toolkit.exporting.modules.export import export_module
from toolkit.exporting.modules.report import ModuleExportReport
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.check import check_parity
from toolkit.parity.config import ParityConfig
from toolkit.parity.recording import load_recording

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


def test_the_module_and_the_process_are_left_as_they_were(pairs: Exported) -> None:
    after = state_of(pairs.module)
    for key in ("kinds", "training", "modes"):
        assert after.pop(key) == pairs.before[key]
    assert len(after["gradients"]) > 5
    torch.testing.assert_close(after, {key: pairs.before[key] for key in after}, rtol=0, atol=0)
    assert "training mode" in pairs.report.warnings[0]


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
    wide.shift = wide.shift.double()
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
    for module, example, config, kind, words in cases:
        with pytest.raises(kind, match=words):
            export(module, example, tmp_path, **config)
    assert not list(tmp_path.rglob("*.onnx"))
