"""Options of devices: one object, the providers' own keys, placement that is told or demanded, graphs, phases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from fake_ort import BindingSession, FakeOrtApi, FakeValue

from toolkit.data.load import load_mini
from toolkit.errors import ModelError, ProviderError, UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.plain import from_plain, to_plain
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.ort.api import OrtApi
from toolkit.runtimes.ort.binding import BoundSession
from toolkit.runtimes.ort.runtime import OrtRuntime
from toolkit.runtimes.ort.sessions import open_session
from toolkit.runtimes.providers import DeviceOptions, parse_device_options

IMAGES = load_mini().test.images
CPU_LEFT = RuntimeError(
    "This session contains graph nodes that are assigned to the default CPU EP, but fallback to CPU EP has been "
    "explicitly disabled by the user."
)


def _options(options: DeviceOptions, name: str = "cuda", **given: Any) -> dict[str, str]:
    return options.for_provider(name, **{"tf32": False, "precision": "fp32", "threads": 0, **given})


def test_every_cuda_option_is_written_out() -> None:
    options = DeviceOptions(
        algorithm_search="exhaustive",
        nhwc=True,
        cuda_graph=True,
    )
    assert _options(options, tf32=True) == {
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "use_tf32": "1",
        "prefer_nhwc": "1",
        "enable_cuda_graph": "1",
    }


def test_tensorrt_is_asked_for_float16_where_a_row_states_it() -> None:
    assert _options(DeviceOptions(), "tensorrt") == {"trt_fp16_enable": "0"}
    assert _options(DeviceOptions(), "tensorrt", precision="fp16") == {"trt_fp16_enable": "1"}


def test_openvino_is_asked_for_the_precision_and_threads_that_a_row_states() -> None:
    plain = json.loads(_options(DeviceOptions(), "openvino")["load_config"])
    assert plain == {"CPU": {"INFERENCE_PRECISION_HINT": "f32"}}
    other = json.loads(_options(DeviceOptions(), "openvino", precision="bf16", threads=3)["load_config"])
    assert other == {"CPU": {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": "3"}}
    assert _options(DeviceOptions(), "cpu") == {}


def test_plugin_gets_its_options_with_its_device() -> None:
    api = FakeOrtApi()
    open_session(b"model", RuntimeSettings(provider="openvino", precision="bf16"), api=api)
    ((_, options),) = api.sessions[0].providers
    assert "bf16" in options["load_config"]


def test_real_openvino_plugin_computes_in_what_it_is_asked_for(model_path: Path) -> None:
    source = ModelSource.read(model_path)
    with OrtRuntime(source, RuntimeSettings()) as cpu:
        expected = cpu.run({"images": IMAGES[:64]})["logits"]
    errors = {}
    for precision in ("fp32", "bf16"):
        try:
            with OrtRuntime(source, RuntimeSettings(provider="openvino", precision=precision)) as runtime:
                errors[precision] = float(np.abs(runtime.run({"images": IMAGES[:64]})["logits"] - expected).max())
        except ProviderError as error:
            pytest.skip(str(error))
    assert errors["fp32"] < 1e-4
    assert errors["bf16"] < 0.5  # more than float32's error only where the processor has such arithmetic


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["nhwc=true"], DeviceOptions(nhwc=True)),
        (["nhwc=off", "algorithm_search=default"], DeviceOptions(algorithm_search="default")),
    ],
)
def test_options_are_read_from_the_command_line(texts: list[str], expected: DeviceOptions) -> None:
    assert parse_device_options(texts, DeviceOptions()) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nwhc=true", "did you mean 'nhwc'"),
        ("nhwc", "expected NAME=VALUE"),
        ("nhwc=maybe", "expected true or false"),
        ("algorithm_search=heuristics", "did you mean 'heuristic'"),
    ],
)
def test_options_that_nobody_knows_are_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_device_options([text], DeviceOptions())


def test_settings_travel_to_the_worker_and_back() -> None:
    settings = RuntimeSettings(provider="cuda", device=DeviceOptions(nhwc=True, cuda_graph=True), threads=2)
    assert from_plain(RuntimeSettings, json.loads(json.dumps(to_plain(settings)))) == settings


# --- placement ---------------------------------------------------------------------------------------------------


class PickyApi(FakeOrtApi):
    """Refuses a session that wants all nodes on its provider."""

    def create_session(self, model: bytes, **given: Any) -> Any:
        session = super().create_session(model, **given)
        if "session.disable_cpu_ep_fallback" in given["entries"]:
            raise CPU_LEFT
        return session


def test_nodes_elsewhere_are_listed_where_that_was_allowed() -> None:
    api = PickyApi(nodes={"CUDAExecutionProvider": 14, "CPUExecutionProvider": 2})
    opened = open_session(b"model", RuntimeSettings(provider="cuda", require_all_nodes=False), api=api)
    assert opened.placement == {"cuda": 14, "cpu": 2}
    assert opened.details["elsewhere"] == ["Conv node0 on cpu", "Conv node1 on cpu"]


def test_nodes_elsewhere_are_named_in_the_refusal() -> None:
    api = PickyApi(nodes={"CUDAExecutionProvider": 14, "CPUExecutionProvider": 2})
    with pytest.raises(ProviderError, match=r"only 14 of 16 nodes run there; elsewhere: Conv node0 on cpu, Conv node1"):
        open_session(b"model", RuntimeSettings(provider="cuda"), api=api)


def test_provider_that_is_active_and_took_no_node_is_refused() -> None:
    api = FakeOrtApi(nodes={"CPUExecutionProvider": 16})
    with pytest.raises(ProviderError, match="is active but took no node of this model"):
        open_session(b"model", RuntimeSettings(provider="cuda", require_all_nodes=False), api=api)


# --- graphs, phases, boundaries ----------------------------------------------------------------------------------


class GraphSession(BindingSession):
    """Notes the options of every run."""

    def __init__(self) -> None:
        super().__init__(["CUDAExecutionProvider"])
        self.graphs: list[Any] = []

    def run_with_iobinding(self, binding: Any, options: Any = None) -> None:
        super().run_with_iobinding(binding)
        self.graphs.append(options and options["gpu_graph_id"])


class GraphApi(FakeOrtApi):
    def device_value(self, array: Any, device: str) -> Any:
        return FakeValue(array, device)

    def run_options(self, entries: dict[str, str]) -> Any:
        return entries


def test_each_shape_is_captured_under_a_number_of_its_own_after_a_run_that_is_not() -> None:
    session = GraphSession()
    bound = BoundSession(session, ["logits"], device="cuda", api=GraphApi(), has_graphs=True)
    bound.run({"images": np.zeros((1, 2), np.uint8)})
    assert session.graphs == ["-1", "1", "1", "1", "1"]  # outputs get their place, three to warm up, the run itself
    bound.run({"images": np.zeros((8, 2), np.uint8)})
    bound.run({"images": np.zeros((1, 2), np.uint8)})
    assert session.graphs[5:] == ["-1", "2", "2", "2", "2", "1"]


def test_without_graphs_runs_have_no_options() -> None:
    session = GraphSession()
    BoundSession(session, ["logits"], device="cuda", api=GraphApi()).run({"images": np.zeros((1, 2), np.uint8)})
    assert session.graphs == [None, None]


def test_phases_are_timed_apart_and_their_sum_is_a_call() -> None:
    # Begun, copied in, computed and copied out, copied out once more, and a whole call after that: in milliseconds.
    ticks = iter(int(1e6 * (20 * call + at)) for call in range(3) for at in (0, 1, 7, 8, 18))
    bound = BoundSession(GraphSession(), ["logits"], device="cuda", api=GraphApi())
    phases = bound.time_phases({"images": np.zeros((1, 2), np.uint8)}, lambda: next(ticks), calls=3)
    assert phases == {"copy_in": 1, "compute": 5, "copy_out": 1, "host": 3}


def test_resident_call_copies_nothing_and_gives_the_same_answers(model_path: Path) -> None:
    session = onnxruntime.InferenceSession(model_path, providers=["CPUExecutionProvider"])
    bound = BoundSession(session, ["logits"], device="cpu", api=OrtApi())
    call = bound.resident({"images": IMAGES[:4]})
    call()
    expected = session.run(["logits"], {"images": IMAGES[:4]})[0]
    np.testing.assert_array_equal(bound.run({"images": IMAGES[:4]})[0], expected)


def test_device_boundary_is_refused_where_there_is_no_device(model_path: Path) -> None:
    with (
        OrtRuntime(ModelSource.read(model_path), RuntimeSettings()) as runtime,
        pytest.raises(UsageError, match="has no memory of its own"),
    ):
        runtime.prepare({"images": IMAGES[:1]}, boundary="device")


def test_a_graph_that_folds_to_a_constant_blames_no_provider() -> None:
    assert open_session(b"model", RuntimeSettings(), api=FakeOrtApi(nodes={})).placement == {}
    with pytest.raises(
        ModelError, match="nothing of this model is left to run on cuda: every node folds to a constant"
    ):
        open_session(b"model", RuntimeSettings(provider="cuda"), api=FakeOrtApi(nodes={}))
