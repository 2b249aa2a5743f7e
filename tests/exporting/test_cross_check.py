"""Two exporters, one network: equal answers or no file."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from broken_models import damaging

from toolkit.artifacts import ArtifactStore
from toolkit.data.load import load_mini
from toolkit.errors import CheckFailedError, ModelError
from toolkit.exporting import export as exporting
from toolkit.exporting.config import ExportConfig
from toolkit.exporting.export import export_run, judge_cross_check
from toolkit.exporting.model_file import FileMaker
from toolkit.runtimes.base import Arrays

REFERENCE = np.array([[2.0, 1.0], [1.0, 1.00005], [0.0, 3.0]])
BOUND = 1e-4


def answers(logits: Any = REFERENCE, labels: tuple[int, ...] = (0, 1, 1)) -> Arrays:
    shares = np.exp(REFERENCE) / np.exp(REFERENCE).sum(axis=1, keepdims=True)
    return {
        "logits": np.array(logits, np.float32),
        "probabilities": shares.astype(np.float32),
        "label": np.array(labels, np.int64),
    }


def test_equal_answers_pass_and_a_flip_at_a_hair_s_breadth_is_counted() -> None:
    assert judge_cross_check(answers(), answers(), reference=REFERENCE, bound=BOUND) == 0
    turned = REFERENCE.copy()
    turned[1] = turned[1, ::-1]
    assert judge_cross_check(answers(), answers(turned, labels=(0, 0, 1)), reference=REFERENCE, bound=BOUND) == 1


def test_a_flip_that_rounding_does_not_explain_fails() -> None:
    with pytest.raises(CheckFailedError, match=r"TorchScript exporter differs .*`label` is not the argmax"):
        judge_cross_check(answers(), answers(labels=(0, 1, 0)), reference=REFERENCE, bound=BOUND)


@pytest.mark.parametrize("value", [2.001, np.nan])
def test_an_error_beyond_the_bound_fails_and_names_the_exporter(value: float) -> None:
    wrong = REFERENCE.copy()
    wrong[0, 0] = value
    with pytest.raises(CheckFailedError, match="TorchScript exporter differs"):
        judge_cross_check(answers(), answers(wrong), reference=REFERENCE, bound=BOUND)
    with pytest.raises(CheckFailedError, match="dynamo exporter differs"):
        judge_cross_check(answers(wrong), answers(), reference=REFERENCE, bound=BOUND)


def test_a_network_that_the_older_exporter_cannot_write_is_said_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    class Untraceable(torch.nn.Module):
        def __init__(self, _: Any) -> None:
            super().__init__()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.fft.rfft2(images.float()).real

    monkeypatch.setattr(exporting, "ContractNetwork", Untraceable)
    log, unread = tmp_path / "export.log", SimpleNamespace()
    checkpoint, proven = SimpleNamespace(network=None), SimpleNamespace(probe=SimpleNamespace(bound=BOUND))
    maker = FileMaker(run=unread, checkpoint=checkpoint, data=load_mini(), config=ExportConfig(), name="m")  # type: ignore[arg-type]  # never reached
    with pytest.raises(ModelError, match=r"no cross-check of this network: .*; export without --cross-check") as caught:
        exporting.compare_exporters(maker, proven, log=log)  # type: ignore[arg-type]  # the bound alone is read
    assert str(log) in str(caught.value)
    assert "Traceback" in log.read_text()


@pytest.mark.slow
def test_a_disagreement_leaves_nothing(trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "export_torch_script", damaging(exporting.export_torch_script, "bias dropped"))
    with pytest.raises(CheckFailedError, match=r"cross-check: .* nothing was written"):
        export_run(trained_run, load_mini(), config=ExportConfig(cross_check=True), store=ArtifactStore(root=tmp_path))
    assert not (tmp_path / "models").exists()


@pytest.mark.slow
def test_both_exporters_give_equal_answers(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from toolkit.cli.app import app

    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / trained_run.name).symlink_to(trained_run)
    app(args=["export", trained_run.name, "--cross-check", "--json"], standalone_mode=False)
    out, err = capfd.readouterr()
    report = json.loads(out)
    check = report["cross_check"]
    assert check["images"] == 1000
    assert max(check["max_abs_logit_errors"]) <= check["bound"] == report["bound"]["logits"]
    assert check["max_abs_difference"] <= 2 * check["bound"]
    assert "cross-check with torch" in err
    assert "legacy TorchScript" not in err
    assert "legacy TorchScript" in Path(report["log"]).read_text()
