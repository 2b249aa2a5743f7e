"""The model file keeps its contract."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from broken_models import damaging
from idx_files import write_idx

from exporters import ExportError, ExportSpec, export_torch, finish_model
from toolkit.artifacts import ArtifactStore
from toolkit.card import CARD_KEY, Card, card_beside
from toolkit.data.dataset import Split
from toolkit.data.load import load_mini
from toolkit.errors import CheckFailedError, DataError, UsageError
from toolkit.exporting import export as export_module
from toolkit.exporting import model_file
from toolkit.exporting.config import ExportConfig
from toolkit.exporting.export import export_run
from toolkit.exporting.model_file import FileMaker, Proven, prove_model
from toolkit.exporting.reference import ProbeImages, choose_golden, float64_logits, synthetic_images
from toolkit.exporting.report import CrossCheck
from toolkit.network.cnn import CNN
from toolkit.network.config import NetworkConfig
from toolkit.onnx_file.source import ModelSource
from toolkit.render.export import cross_check_words, describe_golden
from toolkit.runs.checkpoint import read_checkpoint
from toolkit.runs.run import read_run


@pytest.fixture(scope="module")
def mini() -> Any:
    return load_mini()


@pytest.fixture(scope="module")
def model(model_path: Path) -> onnx.ModelProto:
    return onnx.load_from_string(model_path.read_bytes())


@pytest.fixture(scope="module")
def card(model: onnx.ModelProto) -> Card:
    return Card.loads({item.key: item.value for item in model.metadata_props}[CARD_KEY])


@pytest.fixture(scope="module")
def maker(trained_run: Path, mini: Any) -> FileMaker:
    run = read_run(trained_run)
    return FileMaker(
        run=run, checkpoint=read_checkpoint(run.checkpoint_path), data=mini, config=ExportConfig(), name="m"
    )


@pytest.fixture(scope="module")
def proven(maker: FileMaker, model: onnx.ModelProto) -> Proven:
    return maker.prove(model, precision="fp32")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Spinning threads take more of the processor's time than these networks have work for."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_file_is_one_opset_18_default_domain_and_small(model: onnx.ModelProto, model_path: Path) -> None:
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 18)]
    assert model.ir_version <= 10
    assert {node.domain for node in model.graph.node} == {""}
    assert not any(item.data_location == onnx.TensorProto.EXTERNAL for item in model.graph.initializer)
    assert model_path.stat().st_size < 4_700_000
    onnx.checker.check_model(model, full_check=True)


def test_inputs_and_outputs_are_the_contracts(model: onnx.ModelProto) -> None:
    def describe(item: onnx.ValueInfoProto) -> tuple[str, int, list[object]]:
        kind = item.type.tensor_type
        return item.name, kind.elem_type, [dim.dim_param or dim.dim_value for dim in kind.shape.dim]

    assert [describe(item) for item in model.graph.input] == [("images", onnx.TensorProto.UINT8, ["batch", 28, 28])]
    assert [describe(item) for item in model.graph.output] == [
        ("logits", onnx.TensorProto.FLOAT, ["batch", 10]),
        ("probabilities", onnx.TensorProto.FLOAT, ["batch", 10]),
        ("label", onnx.TensorProto.INT64, ["batch"]),
    ]


def test_nothing_private_or_dated_is_in_the_file(model_path: Path) -> None:
    data = model_path.read_bytes()
    assert not re.findall(rb"[\w/]+\.py\b", data)
    assert str(Path.home()).encode() not in data
    assert b"site-packages" not in data
    card_text = card_beside(model_path).read_text()
    assert not re.search(r"20\d\d-\d\d-\d\d", card_text)


def test_the_card_beside_is_the_card_inside(model_path: Path, card: Card) -> None:
    assert Card.loads(card_beside(model_path).read_bytes()) == card


def test_the_card_tells_the_truth(card: Card, model_path: Path, trained_run: Path, mini: Any) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(model_path.read_bytes(), providers=["CPUExecutionProvider"])
    labels = session.run(["label"], {"images": mini.test.images})[0]
    assert card.test_accuracy is not None
    assert card.test_accuracy["correct"] == int((labels == mini.test.labels).sum())
    assert card.test_accuracy["count"] == 1000
    assert card.data["sha256"] == mini.sha256
    assert card.data["train_count"] == 4000
    assert card.checkpoint_sha256 == json.loads((trained_run / "checkpoints" / "last.json").read_text())["sha256"]
    assert card.network["parameters"] == 11_978
    assert card.classes == tuple("0123456789")
    assert (card.input.polarity, card.input.fit) == ("light-on-dark", "mnist")


def test_golden_vectors_cover_every_class_and_come_from_the_validation_split(card: Card, mini: Any) -> None:
    golden = card.golden
    assert golden is not None
    assert (golden.origin, golden.split, card.guard["calibration"]["split"]) == ("data", "validation", "validation")
    images = np.frombuffer(golden.images, np.uint8).reshape(golden.shape)
    assert len(images) == 16
    assert len(base64.b64encode(golden.images)) < 256 << 10
    held_out = {
        image.tobytes(): int(label)
        for image, label in zip(mini.train.images[-1000:], mini.train.labels[-1000:], strict=True)
    }
    assert {held_out[image.tobytes()] for image in images} == set(range(10))


def test_run_on_all_data_calls_no_image_held_out(maker: FileMaker, model: onnx.ModelProto) -> None:
    """What calibrates was trained on there: card and lines say so."""
    run = replace(maker.run, training={**maker.run.training, "all_data": True})
    maker = replace(maker, run=run)
    card = maker._make_card(maker.prove(model, precision="fp32"))
    assert card.golden is not None
    assert (card.golden.split, card.guard["calibration"]["split"]) == ("training", "training")
    assert describe_golden(card, asked=None) == "golden vectors: 16 training images"
    assert "validation" not in card.dumps()
    check = CrossCheck(
        exporters=("torch dynamo", "torch TorchScript"),
        images=1000,
        split=run.probe_split,
        batch_sizes=(1,),
        bound=1e-4,
        max_abs_logit_errors=(0.0, 0.0),
        max_abs_difference=0.0,
        labels_differing=0,
        operators=(1, 1),
    )
    assert "passed on 1,000 training images" in cross_check_words(check)


def test_run_that_went_on_with_other_data_vouches_for_no_held_out_image(trained_run: Path) -> None:
    run = read_run(trained_run)
    assert run.probe_split == "validation"
    drift = ["seed was 0, is 1", "data was 1234, is 5678"]
    assert replace(run, training={**run.training, "drift": drift}).probe_split == "training"
    assert replace(run, training={**run.training, "drift": drift[:1]}).probe_split == "validation"


def test_a_second_export_gives_the_same_bytes_and_says_unchanged(
    trained: Path, trained_run: Path, model_path: Path, mini: Any
) -> None:
    before = model_path.read_bytes()
    report = export_run(trained_run, mini, config=ExportConfig(), store=ArtifactStore(root=trained))
    assert report.unchanged
    assert report.model == model_path
    assert model_path.read_bytes() == before


def test_another_file_is_not_overwritten_without_force(
    trained_run: Path, maker: FileMaker, proven: Proven, tmp_path: Path, mini: Any
) -> None:
    output = tmp_path / "mine.onnx"
    output.write_bytes(b"precious")
    store = ArtifactStore(root=tmp_path)
    with pytest.raises(UsageError, match="--force"):
        maker.put(proven, output)
    assert output.read_bytes() == b"precious"
    report = export_run(
        trained_run, mini, config=ExportConfig(output=output, force=True, golden="synthetic", author="me"), store=store
    )
    assert report.card.golden is not None
    assert report.card.golden.origin == "synthetic"
    assert report.card.author == "me"
    assert len(output.read_bytes()) == report.size_bytes
    real = {image.tobytes() for image in mini.train.images}
    size = 28 * 28
    golden = report.card.golden.images
    assert not any(golden[start : start + size] in real for start in range(0, len(golden), size))


def test_data_that_the_run_was_not_trained_on_is_refused(trained_run: Path, tmp_path: Path, mini: Any) -> None:
    for name, split in (("train", mini.train), ("t10k", mini.test)):
        write_idx(tmp_path / f"{name}-images-idx3-ubyte", split.images[:200])
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte", split.labels[:200].astype(np.uint8))
    from toolkit.data import load_dataset

    with pytest.raises(DataError, match="--data"):
        export_run(trained_run, load_dataset(str(tmp_path)), config=ExportConfig(), store=ArtifactStore(root=tmp_path))


def test_a_file_whose_answers_differ_is_never_written(
    trained_run: Path, tmp_path: Path, mini: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "export_torch", damaging(export_module.export_torch, "bias dropped"))
    with pytest.raises(CheckFailedError, match="differs from the float64 reference"):
        export_run(trained_run, mini, config=ExportConfig(), store=ArtifactStore(root=tmp_path))
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("fault", ["softmax over the batch", "label from the smallest logit"])
def test_proof_judges_every_output(fault: str, model_path: Path, card: Card, mini: Any) -> None:
    """Right logits alone are no proof: the other outputs are what an application reads."""
    from broken_models import broken

    assert card.golden is not None
    images = np.frombuffer(card.golden.images, np.uint8).reshape(card.golden.shape)
    logits, bound = np.array(card.golden.logits), card.golden.tolerance
    facts: dict[str, Any] = {"golden_count": 16, "precision": "fp32", "split": "validation", "guard": {}}
    probe = ProbeImages(images=images, logits=logits, bound=bound, **facts)
    test = Split(images=mini.test.images[:9], labels=mini.test.labels[:9])
    with pytest.raises(CheckFailedError, match=r"differs from the float64 reference at batch 1: `(prob|label)"):
        prove_model(ModelSource.in_memory(broken(model_path.read_bytes(), fault), Path("m")), test, probe=probe)


ALONE = """
import sys
class Only:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"toolkit", "exporters", "torch", "onnx", "PIL", "onnxscript", "safetensors"}:
            raise ImportError(name + " is not here")
sys.meta_path.insert(0, Only())
import numpy, onnxruntime, json
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
card = json.loads(session.get_modelmeta().custom_metadata_map["toolkit.card"])
raw = open(sys.argv[1], "rb").read()
images = numpy.frombuffer(raw, numpy.uint8).reshape(-1, 28, 28)
labels = numpy.frombuffer(open(sys.argv[2], "rb").read(), numpy.uint8)
right = int((session.run(["label"], {"images": images})[0] == labels).sum())
print(right, card["test_accuracy"]["correct"])
"""


def test_the_file_alone_in_an_empty_folder_gives_its_stated_accuracy(
    model_path: Path, tmp_path: Path, mini: Any
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model_path.read_bytes())
    (tmp_path / "images").write_bytes(mini.test.images.tobytes())
    (tmp_path / "labels").write_bytes(mini.test.labels.astype(np.uint8).tobytes())
    command = [sys.executable, "-P", "-c", ALONE, str(tmp_path / "images"), str(tmp_path / "labels")]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    right, stated = done.stdout.split()
    assert right == stated


def test_golden_choice_takes_the_smallest_margins_and_every_class() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), 30)
    logits = random.standard_normal((600, 20))
    chosen = choose_golden(labels, logits, image_bytes=784)
    margins = np.diff(np.sort(logits, axis=1)[:, -2:], axis=1)[:, 0]
    assert set(np.argsort(margins)[:3]) <= set(chosen.tolist())
    assert set(labels[chosen]) == set(range(20))
    assert len(chosen) == len(set(chosen.tolist())) == 23
    assert len(choose_golden(labels, logits, image_bytes=64 << 10)) == 3


@pytest.mark.parametrize("shift", [0, 1])
def test_no_more_images_are_answered_at_once_where_each_has_five_views(shift: int) -> None:
    network = CNN(NetworkConfig(conv1_channels=2, conv2_channels=2, hidden_units=0, test_shift_pixels=shift)).eval()
    seen: list[int] = []
    network.stages[0].register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    assert float64_logits(network, np.zeros((700, 28, 28), np.uint8)).shape == (700, 10)
    assert max(seen) == 500


def test_synthetic_images_are_the_same_every_time() -> None:
    first, second = synthetic_images((8, 9, 3), count=6), synthetic_images((8, 9, 3), count=6)
    assert np.array_equal(first, second)
    assert (first[0] == 0).all()
    assert (first[1] == 255).all()


def test_the_exporter_prints_nothing_and_reports_what_it_cannot_export(capfd: pytest.CaptureFixture[str]) -> None:
    class Untraceable(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images if images.sum().item() > len(str(images)) else images + 1

    with pytest.raises(ExportError, match="could not export"):
        export_torch(Untraceable(), (torch.zeros(2, 4, 4),), spec=ExportSpec(output_names=("logits",)))
    assert capfd.readouterr() == ("", "")


def test_finish_refuses_what_the_spec_forbids(model: onnx.ModelProto) -> None:
    spec = ExportSpec()
    foreign = onnx.ModelProto()
    foreign.CopyFrom(model)
    foreign.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    renamed = onnx.ModelProto()
    renamed.CopyFrom(model)
    renamed.graph.output[0].name = "scores"
    for wrong, words in ((foreign, "com.microsoft"), (fixed, "open axes"), (renamed, "scores")):
        with pytest.raises(ExportError, match=words):
            finish_model(wrong, spec, metadata={}, producer="x")
    with pytest.raises(ExportError, match="opset"):
        finish_model(model, ExportSpec(opset=17), metadata={}, producer="x")


def test_finish_leaves_the_graph_that_it_is_given_as_it_is(model: onnx.ModelProto) -> None:
    before = model.SerializeToString(deterministic=True)
    finished = finish_model(model, ExportSpec(), metadata={"a": "b"}, producer="x")
    assert b"\x0a\x01a\x12\x01b" in finished.model
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "a\\b"])
def test_names_that_are_no_file_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        ExportConfig(name=name)


def test_an_unknown_kind_of_golden_vectors_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'synthetic'"):
        ExportConfig(golden="synthetics")


def test_a_users_own_images_do_not_leak_under_a_catalogue_name(tmp_path: Path, mini: Any, trained: Path) -> None:
    """A folder called `mnist` with other images is not MNIST: what is public is judged by content."""
    from toolkit.data.load import is_public

    assert is_public(mini)
    assert not is_public(replace(mini, train=mini.train.take(np.arange(100))))


def test_a_card_beside_is_not_overwritten_without_force(maker: FileMaker, proven: Proven, tmp_path: Path) -> None:
    output = tmp_path / "x.onnx"
    card_beside(output).write_text("precious")
    with pytest.raises(UsageError, match=r"card\.json exists"):
        maker.put(proven, output)
    assert card_beside(output).read_text() == "precious"
    assert not output.exists()


def test_images_too_large_for_the_card_leave_the_golden_vectors_out() -> None:
    labels, logits = np.arange(4), np.eye(4)
    assert len(choose_golden(labels, logits, image_bytes=300_000)) == 0
    assert len(synthetic_images((8, 8), count=2)) == 2


def test_an_output_that_no_command_would_know_as_a_model_is_refused() -> None:
    with pytest.raises(UsageError, match=r"\.onnx"):
        ExportConfig(output=Path("model.txt"))


def test_a_file_that_breaks_its_contract_is_never_written(
    maker: FileMaker, proven: Proven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_file, "Card", lambda **fields: Card(**{**fields, "classes": ("a", "b"), "golden": None}))
    with pytest.raises(CheckFailedError, match="breaks its contract"):
        maker.put(proven, tmp_path / "models" / "m.onnx")
    assert not (tmp_path / "models").exists()


def test_a_run_is_not_executed_in_the_name_of_another_runs_file(trained_run: Path, model_path: Path) -> None:
    from toolkit.errors import ModelError
    from toolkit.runs.origin import require_origin

    card = Card.loads(card_beside(model_path).read_bytes())
    require_origin(trained_run, {CARD_KEY: card.dumps()}, name="m")

    with pytest.raises(ModelError, match="--run"):
        require_origin(trained_run, {CARD_KEY: replace(card, checkpoint_sha256="0" * 64).dumps()}, name="m")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a\\b"])
def test_a_name_that_no_file_can_have_is_refused_with_those_that_can(name: str) -> None:
    with pytest.raises(UsageError, match=r"cannot name a file; expected one without / and \\, and no dot in front"):
        ExportConfig(name=name)
