"""A file is described from its bytes: operators wherever they stand, types, what it states; no engine opens it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hostile_graphs import EXTERNAL, GRAPHS
from onnx import TensorProto, helper, numpy_helper
from strangers import STRANGERS, make_stranger
from tiny_models import save_split

from toolkit.cli.app import app
from toolkit.errors import ExternalDataError, ModelError
from toolkit.evaluation.inspect import InspectReport, inspect_model
from toolkit.onnx_file.external_data import look_beside
from toolkit.onnx_file.facts import FileFacts, ShapeClaim, state_risks
from toolkit.onnx_file.reading import find_shape_claims, read_facts
from toolkit.onnx_file.source import ModelSource
from toolkit.onnx_file.vetting import vet_model
from toolkit.plain import from_plain, to_plain
from toolkit.runtimes import engine_tables
from toolkit.runtimes.contract import check_contract
from toolkit.runtimes.engine_tables import NO_TABLE, TABLES, EngineTable, TableReader
from toolkit.runtimes.workers.probe import Examination

FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL


def value(name: str, kind: int = FLOAT, shape: list[int | str] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def build(nodes: list[onnx.NodeProto], *, opset: int = 18, domains: tuple[str, ...] = (), **parts: Any) -> bytes:
    """Return a file with these nodes, from `x` to `y` where nothing else is said."""
    inputs = parts.get("inputs", [value("x", shape=["n", 4])])
    outputs = parts.get("outputs", [value("y")])
    graph = helper.make_graph(nodes, "g", inputs, outputs, parts.get("weights", []))
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return model


def facts_of(data: bytes) -> FileFacts:
    return read_facts(data, name="m.onnx")


def stranger(name: str) -> bytes:
    data: bytes = STRANGERS[name]().SerializeToString()
    return data


def words_of(data: bytes) -> str:
    """Return what people are told of a file, read in this process and shown to no engine's table."""
    examined = Examination(facts_of(data), find_shape_claims(data, name="m.onnx"))
    source = ModelSource.in_memory(data, Path("m.onnx"))
    clauses = tuple(check_contract(examined.facts, examined.facts.summary))
    report = InspectReport(
        source=source, examined=examined, beside=(), engines=(), clauses=clauses, unproven="", card=None
    )
    return "\n".join(report.describe())


def refuse(*_: Any, **__: Any) -> Any:
    raise AssertionError("an engine was opened")


def counted(facts: FileFacts) -> dict[str, int]:
    return {use.full_name: use.nodes for use in facts.operators}


def test_operators_in_branches_bodies_and_functions_count() -> None:
    assert counted(facts_of(stranger("branches"))) == {"ReduceSum": 1, "Greater": 1, "If": 1, "Exp": 1, "Sigmoid": 1}
    assert counted(facts_of(stranger("loop"))) == {"Loop": 1, "MatMul": 1, "Tanh": 1, "Identity": 1}
    own = facts_of(stranger("own function"))
    assert counted(own) == {"mine.Double": 1, "Add": 1, "MatMul": 1}
    assert [use.full_name for use in own.operators if use.is_local] == ["mine.Double"]
    assert own.num_functions == 1


def test_a_domain_that_is_imported_and_not_used_is_not_used() -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    facts = facts_of(build([relu], domains=("com.microsoft", "ai.onnx.ml")))
    assert facts.used_domains == ("",)
    assert facts.unused_imports == ("com.microsoft", "ai.onnx.ml")
    assert facts.opsets == {"": 18, "com.microsoft": 1, "ai.onnx.ml": 1}
    words = words_of(build([relu], domains=("ai.onnx.ml",)))
    assert "opset ai.onnx 18, ai.onnx.ml 1 (imported and not used: ai.onnx.ml), IR 10" in words


def test_operators_of_a_domain_that_is_not_imported_are_said_to_be() -> None:
    facts = facts_of(build([helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")]))
    assert facts.operators[0].version is None
    assert state_risks(facts) == ("it has operators of com.microsoft and does not import it",)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (helper.make_tensor_type_proto(TensorProto.BFLOAT16, ["n"]), "bfloat16"),
        (helper.make_tensor_type_proto(TensorProto.FLOAT8E4M3FN, ["n"]), "float8_e4m3fn"),
        (helper.make_tensor_type_proto(TensorProto.INT4, ["n"]), "int4"),
        (helper.make_tensor_type_proto(TensorProto.STRING, ["n"]), "string"),
        (helper.make_sparse_tensor_type_proto(FLOAT, ["n"]), "sparse float32"),
        (helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None)), "sequence(float32)"),
        (helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, ["n"])), "optional(float32)"),
        (
            helper.make_sequence_type_proto(
                helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(FLOAT, []))
            ),
            "sequence(map(int64, float32))",
        ),
        (onnx.TypeProto(), "undeclared"),
    ],
)
def test_inputs_and_outputs_are_told_as_they_are_declared(kind: onnx.TypeProto, words: str) -> None:
    item = helper.make_value_info("x", kind)
    data = build([helper.make_node("Identity", ["x"], ["y"])], inputs=[item], outputs=[value("y", shape=["n", 0, -1])])
    facts = facts_of(data)
    assert facts.inputs[0].dtype == words
    assert facts.outputs[0].shape == ("n", 0, -1)
    assert any("[n, 0, -1], and 0 or less stands for an open size" in line for line in state_risks(facts))


def test_a_rank_that_is_not_declared_is_no_scalar(tmp_path: Path) -> None:
    source = ModelSource.read(make_stranger(tmp_path / "m.onnx", "unknown rank"))
    report = inspect_model(source, opener=refuse)
    assert [item["shape"] for item in report.to_json()["outputs"]] == [None, None]
    assert any("values float32 of any rank; best int64 of any rank" in line for line in report.describe())


def test_weights_count_wherever_they_lie() -> None:
    """In the main graph, in a branch, sparse, and as Constant nodes of every spelling."""
    inner = numpy_helper.from_array(np.zeros((3, 5), np.float16), "inner")
    branch = helper.make_graph([helper.make_node("Identity", ["inner"], ["b"])], "branch", [], [value("b")], [inner])
    bfloat = helper.make_tensor("bf", TensorProto.BFLOAT16, [7], np.ones(7))
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.zeros((2, 2), np.int8))),
        helper.make_node("Constant", [], ["f"], value_floats=[1.0, 2.0, 3.0]),
        helper.make_node("Constant", [], ["i"], value_int=1),
        helper.make_node("Constant", [], ["s"], value_string="a"),
        helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch),
    ]
    model = onnx.ModelProto.FromString(build(nodes, weights=[numpy_helper.from_array(np.array(True), "yes"), bfloat]))
    sparse = model.graph.sparse_initializer.add(dims=[100])
    sparse.values.CopyFrom(numpy_helper.from_array(np.ones(2), "few"))
    weights = {item.dtype: (item.tensors, item.numbers) for item in facts_of(model.SerializeToString()).weights}
    assert weights == {
        "bool": (1, 1),
        "bfloat16": (1, 7),
        "float64": (1, 2),
        "int8": (1, 4),
        "float32": (1, 3),
        "int64": (1, 1),
        "string": (1, 1),
        "float16": (2, 30),
    }


def test_vetting_sees_operators_and_weights_wherever_they_lie() -> None:
    """By which parity takes a file for one of 8 bits, or of float16."""
    summary = vet_model(stranger("branches"), name="m", allow_foreign=True)
    assert set(summary["operators"]) == {"ReduceSum", "Greater", "If", "Exp", "Sigmoid"}
    half = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.zeros((2, 2), np.float16)))
    assert vet_model(build([half]), name="m", allow_foreign=True)["weight_types"] == {"float16": 4}


def normalisation(outputs: int, **attributes: Any) -> onnx.NodeProto:
    names = ["y", "m", "v", "sm", "sv"][:outputs]
    return helper.make_node("BatchNormalization", ["x", "a", "b", "c", "d"], names, **attributes)


def dropout(mode: str = "", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node("Dropout", ["x", "", mode] if mode else ["x"], ["y"], **attributes)


TRUE, FALSE = (numpy_helper.from_array(np.array(kind), "mode") for kind in (True, False))


@pytest.mark.parametrize(
    ("node", "opset", "weights", "words"),
    [
        (normalisation(1, training_mode=1), 15, [], "BatchNormalization with training_mode=1"),
        (normalisation(1), 15, [], None),
        (normalisation(5), 9, [], "BatchNormalization with its statistics among its outputs (opset 9)"),
        (normalisation(1), 9, [], None),
        (normalisation(1), 6, [], "BatchNormalization without is_test=1 (opset 6)"),
        (normalisation(1, is_test=1), 6, [], None),
        (dropout(), 6, [], "Dropout without is_test=1 (opset 6)"),
        (dropout(), 10, [], None),
        (dropout("mode"), 13, [TRUE], "Dropout with training_mode=true"),
        (dropout("mode"), 13, [FALSE], None),
        (dropout("mode"), 13, [], "Dropout with its training_mode decided by 'mode'"),
    ],
)
def test_training_mode_is_named_by_the_operator_that_is_in_it(
    node: onnx.NodeProto, opset: int, weights: list[onnx.TensorProto], words: str | None
) -> None:
    facts = facts_of(build([node, node], opset=opset, weights=weights))
    assert facts.training == ({} if words is None else {words: 2})
    told = state_risks(facts)
    assert bool(told) == (words is not None)
    assert not told or told[0].startswith(f"2 {words}: it ")


def test_a_mode_in_a_constant_node_is_read() -> None:
    constant = helper.make_node("Constant", [], ["mode"], value=TRUE)
    assert facts_of(build([constant, dropout("mode")], opset=13)).training == {"Dropout with training_mode=true": 1}


def test_random_operators_are_told_with_and_without_a_seed() -> None:
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["a"]),
        helper.make_node("Bernoulli", ["a"], ["y"], seed=1.0),
    ]
    told = state_risks(facts_of(build(nodes)))
    assert told == (
        "RandomNormalLike without a seed: every run draws others",
        "Bernoulli with a seed: engines draw others from the same seed",
    )


def test_a_shape_that_lies_is_told() -> None:
    lying = build([helper.make_node("Relu", ["x"], ["y"])], outputs=[value("y", shape=["n"])])
    assert find_shape_claims(lying, name="m") == (ShapeClaim("y", ("n",), ("n", 4)),)
    assert "output 'y' is declared [n], and its nodes make [n, 4]" in words_of(lying)
    wrong_size = build([helper.make_node("Relu", ["x"], ["y"])], outputs=[value("y", shape=["n", 5])])
    assert find_shape_claims(wrong_size, name="m") == (ShapeClaim("y", ("n", 5), ("n", 4)),)
    for shape in (["batch", 4], [2, 4], ["n", -1], ["n", 0], None):
        true = build([helper.make_node("Relu", ["x"], ["y"])], outputs=[value("y", shape=shape)])
        assert find_shape_claims(true, name="m") == ()


def test_few_bits_are_told_before_anybody_computes_in_them() -> None:
    assert state_risks(facts_of(stranger("half"))) == (
        "weights in few bits (128 float16): engines differ in whether they compute in them",
    )


def test_facts_travel_between_processes() -> None:
    for name in STRANGERS:
        facts = facts_of(stranger(name))
        assert from_plain(FileFacts, json.loads(json.dumps(to_plain(facts)))) == facts


@pytest.mark.parametrize("case", ["opset 999", "an unknown domain", "IR version 999", "a cycle", "dims of 10^10"])
def test_what_no_engine_runs_is_described_and_says_so(case: str) -> None:
    words = words_of(GRAPHS[case]().SerializeToString())
    assert " nodes: " in words
    assert ("no engine is given it: m.onnx" in words) == (case in {"opset 999", "dims of 10^10"})


def test_what_ends_the_reader_is_the_files_fault(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"not a model at all")
    with pytest.raises(ModelError, match=r"m\.onnx is not an ONNX model"):
        inspect_model(ModelSource.read(tmp_path / "m.onnx"))


def lacking(*nodes: onnx.NodeProto, **parts: Any) -> dict[str, tuple[str, ...] | None]:
    facts = facts_of(build(list(nodes), **parts))
    with TableReader() as reader:
        return {table.runtime: table.lacks and tuple(table.lacks) for table in reader.read(facts)}


def test_engines_are_asked_by_their_tables_what_they_lack() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("FusedMatMul", ["a", "a"], ["b"], domain="com.microsoft"),
        helper.make_node("Nonsense", ["b"], ["c"]),
        helper.make_node("Det", ["c"], ["y"]),
    ]
    told = lacking(*nodes, domains=("com.microsoft",))
    assert told["ort"] == ("Nonsense (opset 18)",)
    assert told["onnx"] == ("Nonsense (opset 18)", "com.microsoft.FusedMatMul (opset 1)")
    assert told["openvino"] == ("Det (opset 18)", "Nonsense (opset 18)")
    assert {name for name, lacks in told.items() if lacks is None} >= {"tract"}


def test_operators_of_ours_count_for_the_evaluator() -> None:
    uses = facts_of(build([helper.make_node("MaxRoiPool", ["x", "x"], ["y"], pooled_shape=[1, 1])])).operators
    assert TABLES["onnx"](onnx, list(uses)) == ()
    with pytest.raises(NotImplementedError):
        onnx.reference.ops.load_op("", "MaxRoiPool", 18)


def test_an_operator_that_onnx_runtime_knows_and_has_no_kernel_for_is_told() -> None:
    uses = facts_of(build([helper.make_node("ImageDecoder", ["x"], ["y"])], opset=20)).operators
    assert TABLES["ort"](onnxruntime, list(uses)) == ("ImageDecoder (opset 20)",)


def test_an_opset_that_onnx_runtime_is_too_old_for_is_told() -> None:
    told = lacking(helper.make_node("Relu", ["x"], ["y"]), opset=99)
    assert told["ort"] == ("opset 99",)


def test_a_table_that_ends_its_reader_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_tables, "TABLES_S", 0.001)
    with TableReader() as reader:
        tables = {table.runtime: table for table in reader.read(facts_of(stranger("half")))}
    assert all(tables[name].lacks is None for name in TABLES)
    assert "hung for 0.001 s" in tables["ort"].reason
    assert tables["tract"] == EngineTable("tract", "", None, NO_TABLE)


@pytest.mark.parametrize("name", sorted(set(EXTERNAL) - {"external data beside"}))
def test_external_data_is_named_wherever_it_hides_and_never_opened(name: str) -> None:
    facts = facts_of(EXTERNAL[name]().SerializeToString())
    assert len(facts.beside) == 1
    assert not facts.refusal


def inspect_json(path: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    app(args=["inspect", str(path), *words, "--json"], standalone_mode=False)
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def test_what_lies_beside_a_file_is_looked_at_and_not_opened(tmp_path: Path) -> None:
    def look(path: Path) -> tuple[str, int | None]:
        (found,) = look_beside(path, facts_of(path.read_bytes()).beside)
        assert found.file.tensors == 1
        assert found.file.ends_at == 56
        return found.state, found.size_bytes

    path = save_split(tmp_path)
    (tmp_path / "weights.bin").chmod(0)
    assert look(path) == ("present", 56)
    (tmp_path / "weights.bin").chmod(0o600)
    (tmp_path / "weights.bin").write_bytes(b"short")
    assert look(path) == ("short", 5)
    (tmp_path / "weights.bin").unlink()
    assert look(path) == ("missing", None)
    (tmp_path / "weights.bin").mkdir()
    assert look(path) == ("no file", None)
    for location in ("../weights.bin", "/etc/passwd", "", "a\0b"):
        assert look(save_split(tmp_path / "a", location)) == ("outside", None)


def test_with_its_weights_read_the_file_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save_split(tmp_path)
    alone, whole = inspect_json(path, capsys), inspect_json(path, capsys, "--allow-external-data")
    place = {"location": "weights.bin", "tensors": 1, "ends_at": 56, "size_bytes": 56, "state": "present"}
    assert alone["beside"] == [place]
    assert not alone["clauses"][0]["met"]
    assert whole["beside"] == []
    assert whole["model"]["size_bytes"] > alone["model"]["size_bytes"] - 60
    assert whole["model"]["sha256"] != alone["model"]["sha256"]
    with pytest.raises(ModelError, match="outside the model's own folder"):
        app(args=["inspect", str(save_split(tmp_path / "a", "../w")), "--allow-external-data"], standalone_mode=False)


QUICK = {
    "parity": ["--runtime", "ort", "--threads", "1", "--optimisation", "all"],
    "bench": ["--batch", "1", "--seconds", "0.1"],
}


@pytest.mark.parametrize(
    "command", ["selftest", *(pytest.param(name, marks=pytest.mark.slow) for name in ("parity", "bench"))]
)
def test_every_command_for_strangers_names_its_own_option_and_has_it(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "artifacts"))
    words = [command, str(save_split(tmp_path)), *QUICK.get(command, [])]
    with pytest.raises(ExternalDataError, match=r"python -c '.*'; or read them from its own folder: --allow-external"):
        app(args=words, standalone_mode=False)
    app(args=[*words, "--allow-external-data", "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out).get("passed", True)


def test_the_words_that_make_one_file_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shlex
    import subprocess
    import sys

    path = save_split(tmp_path).rename(tmp_path / "a 'b'.onnx")
    with pytest.raises(ExternalDataError) as caught:
        vet_model(path.read_bytes(), name=path.name, allow_foreign=True)
    command = shlex.split(str(caught.value).partition("in its folder: ")[2])
    assert command[:2] == ["python", "-c"]
    subprocess.run([sys.executable, *command[1:]], cwd=tmp_path, check=True)
    (tmp_path / "weights.bin").unlink()
    assert not facts_of((tmp_path / "a 'b'-one.onnx").read_bytes()).beside


@pytest.mark.slow
def test_a_sample_of_a_file_with_weights_beside_it_is_replayed_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "artifacts"))
    words = ["parity", str(save_split(tmp_path)), *QUICK["parity"], "--allow-external-data", "--json"]
    app(args=words, standalone_mode=False)
    replay = json.loads(capsys.readouterr().out)["rows"][0]["worst_files"]["replay"]
    with pytest.raises(ExternalDataError, match=r"in weights\.bin; or read them from its own folder: --allow-external"):
        app(args=["parity", "--replay", replay], standalone_mode=False)
    app(args=["parity", "--replay", replay, "--allow-external-data", "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["passed"]
