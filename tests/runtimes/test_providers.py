"""Every decision about a provider: offered, refused, silently replaced, missing, broken; and the real refusals here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_ort import FakeOrtApi

from toolkit.doctor.convolution import INPUT, OUTPUT, build_model, check_answer, make_images
from toolkit.durable import sha256_bytes
from toolkit.errors import ModelError, ProviderError, ResourceError, UsageError
from toolkit.nvidia import DRIVER
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.ort.api import OrtApi, find_wheels
from toolkit.runtimes.ort.runtime import OrtRuntime
from toolkit.runtimes.ort.sessions import check_installation, explain_missing, open_session
from toolkit.runtimes.providers import PROVIDERS, find_provider
from toolkit.runtimes.workers.client import WorkerRuntime

CUDA = "CUDAExecutionProvider"
CUDA_PACKAGES = "pip install 'onnxruntime-gpu[cuda,cudnn]'"
NO_CUBLAS = "libcublasLt.so.13: cannot open shared object file: No such file or directory"
CUDA_LIBRARY = "libonnxruntime_providers_cuda.so"


def _source() -> ModelSource:
    model = build_model()
    return ModelSource(model=model, sha256=sha256_bytes(model), path=Path("convolution.onnx"))


def _real_problem(provider: str) -> str | None:
    try:
        with WorkerRuntime(_source(), RuntimeSettings(provider=provider)):
            return None
    except ProviderError as error:
        return str(error)


@pytest.fixture(scope="module")
def cuda_problem() -> str | None:
    return _real_problem("cuda")


@pytest.fixture(scope="module")
def openvino_problem() -> str | None:
    return _real_problem("openvino")


# --- what is asked for -------------------------------------------------------------------------------------------


def test_unknown_provider_is_a_usage_error_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"unknown provider 'cudaa' \(did you mean 'cuda'\?\)"):
        find_provider("cudaa")


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_every_provider_opens_where_the_machine_has_it(name: str) -> None:
    api = FakeOrtApi(compiled=[PROVIDERS[name].ort_name])
    opened = open_session(b"model", RuntimeSettings(provider=name), api=api)
    assert opened.provider == name
    assert not opened.fallback
    assert opened.placement == {name: 3}
    # Of a provider that tells only part of it, a second session records where the nodes are.
    assert [entry.providers[0][0] for entry in api.sessions] == [PROVIDERS[name].ort_name] * (
        2 if name == "webgpu" else 1
    )


@pytest.mark.parametrize("name", sorted(set(PROVIDERS) - {"cpu"}))
def test_cpu_fallback_is_disabled_for_every_provider_but_the_cpu(name: str) -> None:
    api = FakeOrtApi(compiled=[PROVIDERS[name].ort_name])
    # WebGPU has no kernel for the pixels of our own files: there one has to ask.
    open_session(
        b"model", RuntimeSettings(provider=name, require_all_nodes=True if name == "webgpu" else None), api=api
    )
    assert api.sessions[0].entries["session.disable_cpu_ep_fallback"] == "1"
    assert len(api.sessions[0].providers) == 1  # listing the CPU beside it conflicts with that key


def test_cpu_session_does_not_ask_for_a_fallback_key() -> None:
    api = FakeOrtApi()
    open_session(b"model", RuntimeSettings(), api=api)
    assert "session.disable_cpu_ep_fallback" not in api.sessions[0].entries


def test_placement_is_always_recorded() -> None:
    api = FakeOrtApi(nodes={CUDA: 14, "CPUExecutionProvider": 2, "Strange": 1})
    opened = open_session(b"model", RuntimeSettings(provider="cuda"), api=api)
    assert api.sessions[0].entries["session.record_ep_graph_assignment_info"] == "1"
    assert opened.placement == {"cuda": 14, "cpu": 2, "Strange": 1}


@pytest.mark.parametrize(("tf32", "value"), [(False, "0"), (True, "1")])
def test_tf32_is_explicit_and_recorded(tf32: bool, value: str) -> None:
    api = FakeOrtApi()
    opened = open_session(b"model", RuntimeSettings(provider="cuda", tf32=tf32), api=api)
    options = api.sessions[0].providers[0][1]
    assert options == {
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": value,
        "prefer_nhwc": "0",
        "enable_cuda_graph": "0",
    }
    assert opened.details["provider_options"] == options


@pytest.mark.parametrize(
    ("level", "ort_level"),
    [
        ("all", "ORT_ENABLE_ALL"),
        ("extended", "ORT_ENABLE_EXTENDED"),
        ("basic", "ORT_ENABLE_BASIC"),
        ("none", "ORT_DISABLE_ALL"),
    ],
)
def test_threads_and_optimisation_reach_the_session(level: str, ort_level: str) -> None:
    api = FakeOrtApi()
    opened = open_session(b"model", RuntimeSettings(threads=3, optimisation=level), api=api)
    assert api.sessions[0].options == {"graph_optimization_level": ort_level, "intra_op_num_threads": 3}
    assert opened.details["optimisation"] == level


@pytest.mark.parametrize(("name", "loads"), [("cpu", 0), ("cuda", 1), ("tensorrt", 1), ("openvino", 0)])
def test_nvidia_libraries_are_loaded_first_only_where_they_are_needed(name: str, loads: int) -> None:
    api = FakeOrtApi()
    open_session(b"model", RuntimeSettings(provider=name), api=api)
    assert api.preloads == loads


# --- refusals ----------------------------------------------------------------------------------------------------


def test_missing_library_is_named_in_the_loaders_own_words() -> None:
    api = FakeOrtApi(
        refusals={CUDA: RuntimeError("Fail: node not placed\nmore")}, library_problems={CUDA_LIBRARY: NO_CUBLAS}
    )
    with pytest.raises(ProviderError) as caught:
        open_session(b"model", RuntimeSettings(provider="cuda"), api=api)
    assert str(caught.value) == f"provider cuda is not active: {NO_CUBLAS}; get it with: {CUDA_PACKAGES}"


def test_silent_fallback_to_the_cpu_is_refused() -> None:
    api = FakeOrtApi(silent_fallback=True, library_problems={CUDA_LIBRARY: NO_CUBLAS})
    with pytest.raises(ProviderError, match=r"libcublasLt\.so\.13"):
        open_session(b"model", RuntimeSettings(provider="cuda"), api=api)


def test_silent_fallback_with_every_library_present_names_where_it_runs() -> None:
    with pytest.raises(ProviderError, match=r"the session runs on \['CPUExecutionProvider'\]"):
        open_session(b"model", RuntimeSettings(provider="cuda"), api=FakeOrtApi(silent_fallback=True))


def test_engines_first_line_is_the_reason_when_every_library_loads() -> None:
    api = FakeOrtApi(refusals={CUDA: RuntimeError("CUDA failure 35: driver is too old\nstack")})
    with pytest.raises(ProviderError, match=r"not active: CUDA failure 35: driver is too old; get it with") as caught:
        open_session(b"model", RuntimeSettings(provider="cuda"), api=api)
    assert "stack" not in str(caught.value)
    assert api.loads == list(PROVIDERS["cuda"].libraries)


STUB = "the driver's own libcuda.so.1: CUDA's stub for linking was found; take its folder out of LD_LIBRARY_PATH"
NEWER = "a newer NVIDIA driver: >= 580"
NO_DEVICE = "a GPU that the driver sees: nvidia-smi -L (in a container: docker run --gpus all)"
RESTART = "a restart of the machine, as after an update of the driver; nvidia-smi tells more"
NO_DRIVER = "libcuda.so.1: cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("name", "missing", "mend"),
    [
        ("cuda", {"libcuda.so.1": NO_DRIVER}, DRIVER),
        ("cuda", {CUDA_LIBRARY: NO_DRIVER, "libcuda.so.1": NO_DRIVER}, DRIVER),
        ("cuda", {CUDA_LIBRARY: NO_CUBLAS}, CUDA_PACKAGES),
        ("cuda", {"libcudnn.so.9": "libcudnn.so.9: missing"}, CUDA_PACKAGES),
        ("cuda", {CUDA_LIBRARY: "libcudart.so.13: missing"}, CUDA_PACKAGES),
        ("cuda", {CUDA_LIBRARY: NO_CUBLAS, "libcuda.so.1": NO_DRIVER}, f"{CUDA_PACKAGES}, and {DRIVER}"),
        ("tensorrt", {"libnvinfer.so.10": "libnvinfer.so.10: missing"}, "pip install 'tensorrt-cu13>=10,<11'"),
        ("tensorrt", {"libcuda.so.1": NO_DRIVER}, DRIVER),
    ],
)
def test_advice_is_by_the_library_that_is_missing(name: str, missing: dict[str, str], mend: str) -> None:
    reason = explain_missing(PROVIDERS[name], api=FakeOrtApi(library_problems=missing), otherwise="unused")
    assert reason.partition("; get it with: ")[2] == mend
    assert all(words.partition(":")[0] in reason for words in missing.values())


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        ("CUDA failure 34: CUDA driver is a stub library", STUB),
        ("CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version", NEWER),
        ("CUDA failure 100: no CUDA-capable device is detected", NO_DEVICE),
        ("CUDA failure 999: unknown error", RESTART),
        ("CUDA failure 2: out of memory", ""),
        ("CUDNN_STATUS_NOT_INITIALIZED", CUDA_PACKAGES),
        ("only 3 of 16 nodes run there; elsewhere: Cast", ""),
    ],
)
def test_where_every_library_loads_the_engines_words_decide_the_advice(words: str, mend: str) -> None:
    reason = explain_missing(PROVIDERS["cuda"], api=FakeOrtApi(), otherwise=words)
    assert reason == f"provider cuda is not active: {words}" + (f"; get it with: {mend}" if mend else "")


def test_what_the_driver_answers_is_told_beside_a_library_that_is_missing() -> None:
    api = FakeOrtApi(library_problems={"libcudnn.so.9": "libcudnn.so.9: missing"})
    reason = explain_missing(PROVIDERS["cuda"], api=api, otherwise="CUDA failure 100: no CUDA-capable device")
    assert "CUDA failure 100: no CUDA-capable device; and libcudnn.so.9: missing" in reason
    assert reason.endswith(f"get it with: {NO_DEVICE}, and {CUDA_PACKAGES}")


def test_a_gpu_that_is_hidden_is_not_called_a_missing_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    words = "CUDA failure 100: no CUDA-capable device is detected"
    reason = explain_missing(PROVIDERS["cuda"], api=FakeOrtApi(), otherwise=words)
    assert "another CUDA_VISIBLE_DEVICES: '' hides every GPU" in reason
    assert "driver" not in reason


def test_wrong_cuda_major_is_named_by_the_library_that_the_build_asks_for() -> None:
    # A machine with CUDA 12 has libcublasLt.so.12; the build asks for .13, and that is what the loader misses.
    api = FakeOrtApi(silent_fallback=True, library_problems={CUDA_LIBRARY: NO_CUBLAS})
    reason = explain_missing(PROVIDERS["cuda"], api=api, otherwise="unused")
    assert "libcublasLt.so.13" in reason
    assert "onnxruntime-gpu[cuda,cudnn]" in reason


def test_tensorrt_library_is_asked_for_before_the_provider_that_needs_it() -> None:
    api = FakeOrtApi(
        silent_fallback=True,
        library_problems={"libnvinfer.so.10": "libnvinfer.so.10: missing", "libcuda.so.1": "libcuda.so.1: missing"},
    )
    with pytest.raises(ProviderError, match=r"libnvinfer\.so\.10: missing; nor does it open libcuda"):
        open_session(b"model", RuntimeSettings(provider="tensorrt"), api=api)


def test_build_without_the_provider_says_what_it_has() -> None:
    api = FakeOrtApi(compiled=["CPUExecutionProvider"])
    with pytest.raises(ProviderError, match=r"not part of this onnxruntime build \(it has CPUExecutionProvider\)"):
        open_session(b"model", RuntimeSettings(provider="cuda"), api=api)
    assert api.sessions == []


def test_model_that_the_cpu_refuses_is_a_model_error() -> None:
    api = FakeOrtApi(refusals={"CPUExecutionProvider": RuntimeError("INVALID_GRAPH: no such operator")})
    with pytest.raises(ModelError, match="refuses the model: INVALID_GRAPH"):
        open_session(b"model", RuntimeSettings(), api=api)


def test_session_without_any_provider_is_refused() -> None:
    api = FakeOrtApi()
    api.create_session = lambda *_, **__: type("Empty", (), {"get_providers": lambda _: []})()  # type: ignore[method-assign]
    with pytest.raises(ProviderError, match=r"runs on \[\]"):
        open_session(b"model", RuntimeSettings(provider="cuda"), api=api)


# --- fallback ----------------------------------------------------------------------------------------------------


def test_allowed_fallback_runs_on_the_cpu_and_is_marked_with_the_reason() -> None:
    api = FakeOrtApi(refusals={CUDA: RuntimeError("no")}, library_problems={CUDA_LIBRARY: NO_CUBLAS})
    opened = open_session(b"model", RuntimeSettings(provider="cuda", allow_fallback=True), api=api)
    assert (opened.provider, opened.fallback) == ("cpu", True)
    assert "libcublasLt.so.13" in opened.details["fallback_reason"]
    assert opened.placement == {"cpu": 3}


def test_allowed_fallback_is_not_taken_where_the_provider_works() -> None:
    opened = open_session(b"model", RuntimeSettings(provider="cuda", allow_fallback=True), api=FakeOrtApi())
    assert (opened.provider, opened.fallback, "fallback_reason" in opened.details) == ("cuda", False, False)


def test_fallback_shows_in_the_runtimes_info() -> None:
    api = FakeOrtApi(silent_fallback=True, library_problems={CUDA_LIBRARY: NO_CUBLAS})
    with OrtRuntime(_source(), RuntimeSettings(provider="cuda", allow_fallback=True), api=api) as runtime:
        assert runtime.info.fallback
        assert runtime.info.provider_active == "cpu"
        assert "libcublasLt.so.13" in runtime.info.details["fallback_reason"]
        assert runtime.info.metadata == {"key": "value"}
        outputs = runtime.run({"images": np.zeros((3, 2), np.uint8)})
    np.testing.assert_array_equal(outputs["logits"], np.ones((3, 2), np.float32))


def test_fallback_does_not_hide_a_broken_installation() -> None:
    api = FakeOrtApi(installed={"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"})
    with pytest.raises(ResourceError, match="both installed"):
        open_session(b"model", RuntimeSettings(provider="cuda", allow_fallback=True), api=api)


# --- installation ------------------------------------------------------------------------------------------------


def test_both_wheels_are_refused_by_name_with_the_mend() -> None:
    api = FakeOrtApi(installed={"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"})
    with pytest.raises(ResourceError) as caught:
        check_installation(api)
    assert "onnxruntime 1.32.0 and onnxruntime-gpu 1.31.1 are both installed" in str(caught.value)
    assert "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu" in str(caught.value)
    assert caught.value.exit_code == 5


def test_half_overwritten_wheel_is_refused_with_both_versions() -> None:
    with pytest.raises(ResourceError, match=r"onnxruntime-gpu 1\.31\.1 is installed but its module says 1\.32\.0"):
        check_installation(FakeOrtApi(module_version="1.32.0"))


@pytest.mark.parametrize("wheels", [{"onnxruntime": "1.31.1"}, {"onnxruntime-gpu": "1.31.1"}, {}])
def test_one_whole_wheel_or_a_build_of_ones_own_passes(wheels: dict[str, str]) -> None:
    check_installation(FakeOrtApi(installed=wheels))


def test_wheels_are_found_beside_the_module_and_no_other_package_is_taken_for_one(tmp_path: Path) -> None:
    for name in ("onnxruntime-1.32.0", "onnxruntime_gpu-1.31.1+cu13", "onnxruntime_ep_openvino-1.8.1", "onnx-1.23.2"):
        (tmp_path / f"{name}.dist-info").mkdir()
    assert find_wheels(tmp_path) == {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1+cu13"}


def test_the_installed_wheel_is_found() -> None:
    api = OrtApi()
    assert api.version() in api.wheels().values()


# --- plug-in -----------------------------------------------------------------------------------------------------


def test_plugin_that_is_not_installed_names_the_extra() -> None:
    api = FakeOrtApi(plugin=ModuleNotFoundError("No module named 'onnxruntime_ep_openvino'"))
    with pytest.raises(ProviderError, match=r"not installed.*pip install 'onnx-parity-toolkit\[openvino\]'"):
        open_session(b"model", RuntimeSettings(provider="openvino"), api=api)


def test_plugin_whose_library_cannot_be_loaded_says_why() -> None:
    api = FakeOrtApi(plugin=RuntimeError("undefined symbol: OrtGetApi\nmore"))
    with pytest.raises(ProviderError, match="cannot be loaded: undefined symbol: OrtGetApi; get it again with"):
        open_session(b"model", RuntimeSettings(provider="openvino"), api=api)


def test_plugin_without_a_device_says_so_and_opens_nothing() -> None:
    api = FakeOrtApi(plugin=[])
    with pytest.raises(ProviderError, match="offers no device on this"):
        open_session(b"model", RuntimeSettings(provider="openvino"), api=api)
    assert api.sessions == []


def test_plugin_session_takes_exactly_one_device() -> None:
    api = FakeOrtApi(plugin=["GPU.0", "CPU"])
    opened = open_session(b"model", RuntimeSettings(provider="openvino"), api=api)
    assert api.sessions[0].devices == ["GPU.0"]
    assert opened.provider == "openvino"


def test_plugin_provider_need_not_be_compiled_in() -> None:
    api = FakeOrtApi(compiled=["CPUExecutionProvider"])
    assert open_session(b"model", RuntimeSettings(provider="openvino"), api=api).provider == "openvino"


# --- the real ONNX Runtime ---------------------------------------------------------------------------------------


def test_real_cpu_session_places_every_node_on_the_cpu_and_is_right() -> None:
    with WorkerRuntime(_source(), RuntimeSettings()) as runtime:
        assert runtime.info.placement == {"cpu": 4}
        assert check_answer(runtime.run({INPUT: make_images()})[OUTPUT]) is None


def test_real_api_reports_a_library_that_does_not_exist() -> None:
    problem = OrtApi().load_problem("libno-such-library.so.1")
    assert problem is not None
    assert "libno-such-library.so.1" in problem


def test_real_cuda_is_refused_naming_the_missing_library(cuda_problem: str | None) -> None:
    if cuda_problem is None:
        pytest.skip("a CUDA device works here: the refusal cannot be seen")
    if "not part of this onnxruntime build" in cuda_problem:
        pytest.skip("this onnxruntime is a build without CUDA: no library is missing")
    assert "lib" in cuda_problem.partition("not active: ")[2]
    assert ".so." in cuda_problem
    assert "get it with: pip install" in cuda_problem


def test_real_tensorrt_is_refused_naming_the_missing_library() -> None:
    problem = _real_problem("tensorrt")
    if problem is None:
        pytest.skip("TensorRT works here: the refusal cannot be seen")
    assert "libnvinfer.so.10" in problem or "not part of this onnxruntime build" in problem or "libcuda.so.1" in problem


def test_real_cuda_fallback_is_marked_and_still_right(cuda_problem: str | None) -> None:
    if cuda_problem is None:
        pytest.skip("a CUDA device works here: there is nothing to fall back from")
    with WorkerRuntime(_source(), RuntimeSettings(provider="cuda", allow_fallback=True)) as runtime:
        assert runtime.info.fallback
        assert runtime.info.provider_active == "cpu"
        assert check_answer(runtime.run({INPUT: make_images()})[OUTPUT]) is None


def test_real_openvino_places_every_node_on_itself(openvino_problem: str | None) -> None:
    if openvino_problem is not None:
        pytest.skip(openvino_problem)
    with WorkerRuntime(_source(), RuntimeSettings(provider="openvino")) as runtime:
        assert runtime.info.provider_active == "openvino"
        assert set(runtime.info.placement) == {"openvino"}
        assert check_answer(runtime.run({INPUT: make_images()})[OUTPUT]) is None


def test_real_openvino_refusal_says_what_to_do(openvino_problem: str | None) -> None:
    if openvino_problem is None:
        pytest.skip("OpenVINO's plug-in works here: the refusal cannot be seen")
    assert "offers no device" in openvino_problem or "onnx-parity-toolkit[openvino]" in openvino_problem
