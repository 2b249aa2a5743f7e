from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from machine import skip_where_cuda_works
from onnx import TensorProto, helper, numpy_helper
from tiny_models import add_card, build_card, build_model, save_model

from toolkit import artifacts
from toolkit.errors import ModelError, ProviderError, ResourceError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.registry import RUNTIMES
from toolkit.runtimes.workers import client, probe
from toolkit.runtimes.workers.probe import ensure_probed, probe_folder

SETTINGS = RuntimeSettings(provider="cpu", threads=1)


def check(path: Path, *, settings: RuntimeSettings = SETTINGS) -> None:
    ensure_probed(ModelSource.read(path), settings)


def save(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files for which a worker was started."""
    started: list[Path] = []
    original = client.WorkerRuntime.__init__

    def counted(self: Any, source: ModelSource, *args: Any, **kwargs: Any) -> None:
        started.append(source.path)
        original(self, source, *args, **kwargs)

    monkeypatch.setattr(client.WorkerRuntime, "__init__", counted)
    return started


def test_good_file_is_tried_once_and_remembered(tmp_path: Path, starts: list[Path]) -> None:
    path = save_model(tmp_path / "m.onnx")
    check(path)
    check(path)
    check(path.rename(tmp_path / "renamed.onnx"))
    assert starts == [tmp_path / "m.onnx"]
    (record,) = (tmp_path / "cache" / "probed").iterdir()
    assert json.loads(record.read_text())["settings"]["provider"] == "cpu"


def test_changed_file_is_tried_again(tmp_path: Path, starts: list[Path]) -> None:
    check(save_model(tmp_path / "m.onnx"))
    check(save_model(tmp_path / "m.onnx", author="someone else"))
    assert len(starts) == 2


@pytest.mark.parametrize(
    "change",
    [{"runtime": "openvino"}, {"precision": "bf16"}, {"threads": 2}, {"optimisation": "none"}, {"runs_at_once": 2}],
)
def test_what_one_engine_opened_is_tried_again_before_another_opens_it(
    tmp_path: Path, starts: list[Path], monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    path = save_model(tmp_path / "m.onnx")
    check(path)
    monkeypatch.setattr(probe, "_try_in_worker", lambda source, *_, **__: starts.append(source.path) or "cpu")
    check(path, settings=replace(SETTINGS, **change))
    check(path, settings=replace(SETTINGS, **change))
    assert len(starts) == 2


def test_other_packages_or_pins_are_tried_again(
    tmp_path: Path, starts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_model(tmp_path / "m.onnx")
    monkeypatch.setattr(probe, "_try_in_worker", lambda source, *_, **__: starts.append(source.path) or "cpu")
    private = replace(SETTINGS, runtime="mnn")
    for settings in (SETTINGS, private):
        check(path, settings=settings)
    (tmp_path / "site" / "some_engine-2.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "site")
    check(path)
    assert len(starts) == 3
    check(path, settings=private)
    monkeypatch.setitem(RUNTIMES, "mnn", RUNTIMES["mnn"]._replace(pip=("mnn==0.0",)))
    check(path, settings=private)
    check(path, settings=private)
    assert len(starts) == 5


def test_fallback_is_remembered_as_the_provider_that_ran(tmp_path: Path, starts: list[Path]) -> None:
    skip_where_cuda_works()
    starts.clear()
    path = save_model(tmp_path / "m.onnx")
    cuda = replace(SETTINGS, provider="cuda", allow_fallback=True)
    check(path, settings=cuda)
    check(path, settings=cuda)
    assert len(starts) == 2
    check(path)
    assert len(starts) == 2


def test_strict_provider_error_passes_through_and_is_not_remembered(tmp_path: Path) -> None:
    skip_where_cuda_works()
    with pytest.raises(ProviderError, match="cuda"):
        check(save_model(tmp_path / "m.onnx"), settings=RuntimeSettings(provider="cuda"))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", ["", "{}", "[", '{"schema": "toolkit/probed/1"}'])
def test_damaged_record_is_tried_again(tmp_path: Path, starts: list[Path], content: str) -> None:
    path = save_model(tmp_path / "m.onnx")
    check(path)
    (record,) = probe_folder().iterdir()
    record.write_text(content)
    check(path)
    assert len(starts) == 2


def test_cache_that_cannot_be_written_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "file"))
    check(save_model(tmp_path / "m.onnx"))


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOOLKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert probe_folder() == Path("/xdg/onnx-parity-toolkit/probed")
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "of-the-working-folder")
    assert probe_folder() == Path("/home/someone/.cache/onnx-parity-toolkit/probed")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert probe_folder() == Path("/home/someone/.cache/onnx-parity-toolkit/probed")


def test_without_a_home_nothing_is_remembered_and_the_working_folder_is_not_asked(
    tmp_path: Path, starts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_model(tmp_path / "m.onnx")
    monkeypatch.delenv("TOOLKIT_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(artifacts.os.path, "expanduser", lambda text: text)  # what it does where there is none
    monkeypatch.chdir(tmp_path)
    check(path)
    check(path)
    assert len(starts) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.onnx"]
    with pytest.raises(ResourceError, match="no home folder; name a folder with TOOLKIT_CACHE="):
        probe_folder()


def test_file_without_a_card_is_refused_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"carries no 'toolkit.card'.*toolkit export"):
        check(save(tmp_path / "m.onnx", build_model()))


def test_broken_card_is_refused(tmp_path: Path) -> None:
    model = build_model()
    helper.set_model_props(model, {"toolkit.card": "{}"})
    with pytest.raises(ModelError, match="schema None"):
        check(save(tmp_path / "m.onnx", model))


@pytest.mark.parametrize(
    ("changes", "card_changes", "said"),
    [
        ({"input_name": "x"}, {}, r"one input `images`.*it has x uint8"),
        ({"input_type": TensorProto.FLOAT}, {}, "one input `images`.*it has images float32"),
        ({"height": 9}, {}, r"the card's input is the graph's; it has \[9, 8\] and \[8, 8\]"),
        ({"channels": 3}, {}, r"the card's input is the graph's; it has \[8, 8, 3\] and \[8, 8\]"),
        ({"classes": 4}, {}, r"output `logits`.*\[batch, 3\]; it has logits float32 \['batch', 4\]"),
        ({}, {"classes": ("a", "b")}, r"output `logits`.*\[batch, 2\]; it has logits float32 \['batch', 3\]"),
        ({"batch": 2}, {}, r"batch symbolic; it has images uint8 \[2, 8, 8\]"),
    ],
)
def test_graph_that_disagrees_with_its_card_is_refused(
    tmp_path: Path, changes: dict[str, Any], card_changes: dict[str, Any], said: str
) -> None:
    path = save(tmp_path / "m.onnx", build_model(**changes, card=build_card(**card_changes)))
    with pytest.raises(ModelError, match=said):
        check(path)
    assert not (tmp_path / "cache").exists()


def test_extra_output_is_refused(tmp_path: Path) -> None:
    model = build_model(card=build_card())
    model.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["batch", 64]))
    with pytest.raises(ModelError, match="no further outputs; it has flat"):
        check(save(tmp_path / "m.onnx", model))


def test_size_that_the_graph_leaves_open_is_refused(tmp_path: Path) -> None:
    model = build_model(classes=4)
    for output in model.graph.output[:2]:
        output.type.tensor_type.shape.dim[1].dim_param = "anything"
    # The size of what Compress keeps follows from data only.
    model.graph.initializer.append(numpy_helper.from_array(np.ones(4, bool), "all"))
    model.graph.node[2].output[0] = "raw"
    model.graph.node.insert(3, helper.make_node("Compress", ["raw", "all"], ["logits"], axis=1))
    with pytest.raises(ModelError, match=r"output `logits`.*\['batch', 'anything'\]"):
        check(save(tmp_path / "m.onnx", add_card(model, build_card())))


def test_foreign_domain_is_refused(tmp_path: Path) -> None:
    model = build_model(card=build_card())
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(ModelError, match=r"com\.microsoft"):
        check(save(tmp_path / "m.onnx", model))


def test_bytes_that_are_no_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x09garbage" * 50)
    with pytest.raises(ModelError, match="not an ONNX model"):
        check(tmp_path / "m.onnx")


def fake_engine(folder: Path, body: str) -> str:
    """Return a folder for PYTHONPATH in which the engine misbehaves as it is imported."""
    folder.mkdir()
    (folder / "onnxruntime.py").write_text(body)
    return str(folder)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import os; os.kill(os.getpid(), 11)", "crashed with SIGSEGV"),
        ("import time; time.sleep(600)", "hung for 3 s"),
        ("import os; os._exit(7)", "exit code 7"),
    ],
)
def test_engine_that_dies_or_hangs_is_the_models_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    # The worker puts the package's folder first and the caller's PYTHONPATH after it, before site-packages.
    engine = fake_engine(tmp_path / "engine", body)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (engine, os.environ.get("PYTHONPATH", "")))))
    source = ModelSource.read(save_model(tmp_path / "m.onnx"))
    with pytest.raises(ModelError, match=said):
        ensure_probed(source, SETTINGS, timeout_s=3 if "sleep" in body else 120)
    assert not (tmp_path / "cache").exists()
