"""The doctor: what works, what is absent and what is broken, each told apart; nothing here may raise."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from fake_engine import FakeEngine, make_info
from fake_ort import FakeOrtApi
from rich.console import Console

from toolkit.doctor import torch_devices
from toolkit.doctor.checks import run_doctor
from toolkit.doctor.convolution import OUTPUT, build_model, check_answer, make_images, make_weights
from toolkit.doctor.cuda import (
    CudaVersions,
    check_cuda_versions,
    check_gpu,
    check_libraries,
    needed_libraries,
    read_cuda_versions,
)
from toolkit.doctor.report import DoctorReport, DoctorRow
from toolkit.doctor.torch_devices import ask_torch, check_torch, probe_torch
from toolkit.errors import ModelError, ProviderError, ResourceError, ToolkitError, UsageError, WorkerError
from toolkit.network.device import TorchMachine
from toolkit.nvidia import DRIVER
from toolkit.onnx_file.source import ModelSource
from toolkit.render.doctor import render_doctor
from toolkit.runtimes.base import RuntimeSettings

NOT_ACTIVE = ProviderError(
    "provider cuda is not active: libcublasLt.so.13: cannot open shared object file; "
    "get it with: pip install 'onnxruntime-gpu[cuda,cudnn]'"
)
SURROUNDINGS = {"cpu": {"model": "Some CPU", "logical_cores": 2}, "gpus": None}
GOOD_TORCH = {"version": "2.13.0", "cuda": None, "devices": {"cpu": {"opens": True, "runs": True, "reason": ""}}}


def _answer() -> np.ndarray[Any, Any]:
    windows = np.lib.stride_tricks.sliding_window_view(make_images().astype(np.float32), (3, 3), (1, 2))
    return np.maximum(np.einsum("nhwij,fij->nfhw", windows, make_weights()[:, 0]), 0)


def _examine(behaviour: dict[str, Any] | None = None, *, api: Any = None, torch: Any = None) -> DoctorReport:
    def open_engine(_: ModelSource, settings: RuntimeSettings, **__: Any) -> Any:
        good = FakeEngine(make_info(settings.provider), outputs={OUTPUT: _answer()})
        found = (behaviour or {}).get(settings.provider, good)
        if isinstance(found, Exception):
            raise found
        return found

    def probe() -> dict[str, Any]:
        if isinstance(torch, Exception):
            raise torch
        return torch or GOOD_TORCH

    return run_doctor(
        engines=("all",),
        opener=open_engine,
        torch_probe=probe,
        api=lambda: api or FakeOrtApi(),
        environment=SURROUNDINGS,
    )


# --- the convolution ---------------------------------------------------------------------------------------------


def test_right_answer_passes_also_when_rounded_to_bfloat16() -> None:
    answer = _answer()
    assert check_answer(answer) is None
    rounded = (answer.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)
    assert check_answer(rounded) is None


@pytest.mark.parametrize(("change", "message"), [
    (lambda maps: maps * 1.05, "off by"),
    (np.zeros_like, "off by"),
    (lambda maps: maps * np.nan, "off by nan"),
    (lambda maps: maps[:, :1], "has shape"),
])  # fmt: skip
def test_wrong_answer_is_told(change: Any, message: str) -> None:
    assert message in str(check_answer(change(_answer())))


def test_convolution_is_a_valid_model() -> None:
    import onnx

    model = onnx.ModelProto.FromString(build_model())
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node].count("Conv") == 1


# --- providers ---------------------------------------------------------------------------------------------------


def test_machine_where_everything_works_passes() -> None:
    report = _examine()
    assert all(row.status == "pass" for row in report.rows if row.kind == "provider")
    cuda = report.find("cuda")
    assert (cuda.opens, cuda.runs, cuda.placement) == (True, True, {"cuda": 3})


def test_missing_library_is_absent_with_its_mend_apart() -> None:
    row = _examine({"cuda": NOT_ACTIVE}).find("cuda")
    assert (row.status, row.opens, row.runs) == ("absent", False, None)
    assert row.reason == "provider cuda is not active: libcublasLt.so.13: cannot open shared object file"
    assert row.mend == "pip install 'onnxruntime-gpu[cuda,cudnn]'"


def test_provider_that_opens_and_cannot_convolve_is_broken() -> None:
    engine = FakeEngine(make_info("cuda"), run_error=ModelError("ONNX Runtime failed: CUDNN_STATUS_NOT_INITIALIZED"))
    row = _examine({"cuda": engine}).find("cuda")
    assert (row.status, row.opens, row.runs) == ("fail", True, False)
    assert "CUDNN_STATUS_NOT_INITIALIZED" in row.reason
    assert "cudnn" in row.mend


def test_provider_with_a_wrong_answer_is_broken() -> None:
    engine = FakeEngine(make_info("openvino"), outputs={OUTPUT: _answer() + 100})
    row = _examine({"openvino": engine}).find("openvino")
    assert (row.status, row.runs) == ("fail", False)
    assert "off by 100" in row.reason


def test_nodes_placed_elsewhere_are_told() -> None:
    engine = FakeEngine(make_info("cuda", placement={"cuda": 3, "cpu": 1}), outputs={OUTPUT: _answer()})
    row = _examine({"cuda": engine}).find("cuda")
    assert row.status == "fail"
    assert "{'cpu': 1}" in row.reason


def test_crash_is_a_failed_row_with_its_log_and_the_rest_goes_on() -> None:
    report = _examine({"cuda": WorkerError("the engine crashed with SIGSEGV during 'run'", log="last words")})
    row = report.find("cuda")
    assert (row.status, row.log) == ("fail", "last words")
    assert report.find("openvino").status == "pass"
    assert report.to_json()["passed"] is False


def test_model_error_from_an_engine_is_a_failed_row() -> None:
    assert _examine({"cpu": ModelError("refuses the model")}).find("cpu").status == "fail"


# --- installation ------------------------------------------------------------------------------------------------


def test_both_wheels_are_broken_by_name_with_the_mend() -> None:
    row = _examine(api=FakeOrtApi(installed={"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"})).rows[0]
    assert (row.name, row.status) == ("onnxruntime installation", "fail")
    assert "onnxruntime 1.32.0 and onnxruntime-gpu 1.31.1" in row.reason
    assert row.mend.startswith("pip uninstall -y onnxruntime onnxruntime-gpu")


def test_half_overwritten_wheel_is_broken_with_both_versions() -> None:
    row = _examine(api=FakeOrtApi(module_version="1.32.0")).rows[0]
    assert row.status == "fail"
    assert "1.31.1" in row.reason
    assert "1.32.0" in row.reason


def test_package_that_cannot_be_imported_is_broken_with_the_mend() -> None:
    def broken() -> Any:
        raise ImportError("libcudart.so.12: cannot open shared object file")

    row = run_doctor(opener=lambda *_, **__: _raise(NOT_ACTIVE), torch_probe=lambda: GOOD_TORCH, api=broken).rows[0]
    assert row.status == "fail"
    assert "libcudart.so.12" in row.reason
    assert row.mend.startswith("pip install")


def _raise(error: Exception) -> Any:
    raise error


# --- torch -------------------------------------------------------------------------------------------------------


def test_torch_devices_are_told_apart() -> None:
    devices = {
        "cpu": {"opens": True, "runs": True, "reason": ""},
        "cuda": {"opens": True, "runs": False, "reason": "a convolution failed: no kernel image"},
        "mps": {"opens": False, "runs": None, "reason": "device mps is not available: no Metal"},
    }
    report = _examine(torch={"version": "2.13.0", "cuda": "13.0", "devices": devices})
    assert [report.find(f"torch/{name}").status for name in devices] == ["pass", "fail", "absent"]


@pytest.mark.parametrize(
    ("error", "status", "mend"),
    [
        (
            ResourceError("torch cannot be imported: no module; install it with: pip install torch"),
            "absent",
            "pip install torch",
        ),
        (WorkerError("torch crashed with SIGILL", log="words"), "fail", ""),
    ],
)
def test_torch_that_is_missing_or_crashes_is_one_row(error: ToolkitError, status: str, mend: str) -> None:
    row = _examine(torch=error).find("torch")
    assert (row.status, row.mend) == (status, mend)


@pytest.mark.parametrize(
    ("built_for", "mend"), [(None, "pip install --force-reinstall 'torch>=2.11'"), ("13.0", DRIVER)]
)
def test_torch_without_a_gpu_is_told_apart_from_a_build_without_cuda(
    monkeypatch: pytest.MonkeyPatch, built_for: str | None, mend: str
) -> None:
    import torch

    monkeypatch.setattr(torch.version, "cuda", built_for)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    row = _examine(torch=probe_torch(compiled=False)).find("torch/cuda")
    assert (row.status, row.mend.startswith(mend)) == ("absent", True)
    assert "get it with" not in row.reason


class _Machine(TorchMachine):
    def __init__(self, *, cuda: str | None, mps: str | None) -> None:
        self._cuda, self._mps = cuda, mps

    def cuda_problem(self) -> str | None:
        return self._cuda

    def mps_problem(self) -> str | None:
        return self._mps

    def cpu_capabilities(self) -> dict[str, object]:
        return {}


def test_torch_probe_runs_a_convolution_on_the_cpu_and_explains_the_rest() -> None:
    answer = probe_torch(_Machine(cuda="no GPU", mps="no Metal"), compiled=False)
    assert answer["devices"]["cpu"] == {"opens": True, "runs": True, "reason": ""}
    assert answer["devices"]["cuda"]["opens"] is False
    assert "no GPU" in answer["devices"]["cuda"]["reason"]
    json.dumps(answer)


def test_torch_probe_tells_a_convolution_that_fails_from_a_device_that_is_absent() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("a CUDA device works here: the convolution would not fail")
    answer = probe_torch(_Machine(cuda=None, mps="no Metal"), compiled=False)["devices"]["cuda"]
    assert (answer["opens"], answer["runs"]) == (True, False)
    assert answer["reason"]


def test_torch_process_that_dies_hangs_or_babbles_is_an_error_of_its_own_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(script))
    cases = {
        "kill -SEGV $$": (WorkerError, "torch crashed with SIGSEGV"),
        "exec sleep 600": (WorkerError, "torch hung for 1 s"),
        "echo babble": (WorkerError, "torch left with exit code 0 without an answer"),
        "echo \"ModuleNotFoundError: No module named 'torch'\" >&2; exit 1": (ResourceError, "pip install torch"),
    }
    for body, (kind, message) in cases.items():
        script.write_text(f"#!/bin/sh\necho alive; echo ready\n{body}\n")
        script.chmod(0o755)
        monkeypatch.setattr(torch_devices, "ANSWER_S", 1.0 if "sleep" in body else 120.0)
        with pytest.raises(kind, match=message):
            ask_torch()
    script.unlink()
    with pytest.raises(WorkerError, match="cannot start"):
        ask_torch()


# --- CUDA and the GPU --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("torch", "ort", "status"),
    [
        ("13.0", "13.0", "pass"),
        ("13.1", "13.0", "pass"),
        ("12.6", "13.0", "fail"),
        (None, "13.0", "pass"),
        ("12.8", None, "pass"),
    ],
)
def test_different_cuda_majors_in_one_environment_are_broken(torch: str | None, ort: str | None, status: str) -> None:
    row = check_cuda_versions(CudaVersions(torch, ort))
    assert row.status == status
    assert (row.mend != "") == (status == "fail")


def test_cuda_versions_are_read_without_importing_anything() -> None:
    import onnxruntime
    import torch

    versions = read_cuda_versions()
    assert versions.torch == torch.version.cuda
    assert (versions.ort is not None) == ("CUDAExecutionProvider" in onnxruntime.get_available_providers())


def _gpu(capability: str | None, driver: str = "580.65.06") -> list[dict[str, Any]]:
    return [{"name": "GPU", "driver": driver, "compute_capability": capability, "memory_mib": 1}]


@pytest.mark.parametrize("capability", ["7.5", "9.0", "12.0", None])
def test_gpu_of_turing_or_newer_is_served(capability: str | None) -> None:
    assert check_gpu(_gpu(capability)).status == "pass"


@pytest.mark.parametrize("capability", ["6.1", "7.0"])
def test_older_gpu_is_told_the_last_set_that_serves_it(capability: str) -> None:
    row = check_gpu(_gpu(capability))
    assert row.status == "fail"
    assert f"compute capability {capability} is below 7.5" in row.reason
    assert "onnxruntime-gpu==1.26" in row.mend
    assert "untried" in row.reason


def test_old_driver_is_told_and_a_driver_without_a_number_is_not_judged() -> None:
    assert "driver 535 is older than 580" in check_gpu(_gpu("9.0", "535.129")).reason
    assert check_gpu(_gpu(None, "NVRM version: NVIDIA UNIX")).status == "pass"


def test_machine_without_a_gpu_says_absent() -> None:
    assert check_gpu(None).status == "absent"


# --- libraries ---------------------------------------------------------------------------------------------------

CUDA_13 = CudaVersions("13.0", "13.0")


def _libraries(tmp_path: Path, files: tuple[str, ...], problems: dict[str, str]) -> dict[str, DoctorRow]:
    for name in files:
        (tmp_path / name).write_bytes(b"")
    api = FakeOrtApi(library_problems=problems)
    return {row.name: row for row in check_libraries(CUDA_13, lambda: api, folders=[tmp_path, tmp_path / "gone"])}


def test_libraries_that_load_are_there(tmp_path: Path) -> None:
    rows = _libraries(tmp_path, ("libcudnn.so.9", "libcublas.so.13.1.2"), {})
    assert {row.status for row in rows.values()} == {"pass"}
    assert "libcudnn.so.9" in (rows["cuDNN"].version or "")
    assert list(rows) == [
        "NVIDIA driver", "CUDA runtime", "cuBLAS", "cuBLASLt", "cuRAND", "cuFFT", "NVRTC", "cuDNN", "TensorRT",
        "TensorRT's ONNX parser",
    ]  # fmt: skip


def test_library_of_the_wrong_major_is_told_apart_from_one_that_is_missing(tmp_path: Path) -> None:
    gone = "cannot open shared object file: No such file or directory"
    problems = {name: f"{name}: {gone}" for name in ("libcublasLt.so.13", "libcudnn.so.9", "libcuda.so.1")}
    rows = _libraries(tmp_path, ("libcublasLt.so.12",), problems)
    wrong, missing, driver = rows["cuBLASLt"], rows["cuDNN"], rows["NVIDIA driver"]
    assert wrong.status == "fail"
    assert "onnxruntime wants libcublasLt.so.13; on this machine lies major version 12" in wrong.reason
    assert "pip install 'onnxruntime-gpu[cuda,cudnn]'" in wrong.mend
    assert (missing.status, missing.reason) == ("absent", f"libcudnn.so.9: {gone}")
    assert "nvidia-cudnn-cu13" in str(missing.version)
    assert driver.mend == DRIVER
    assert rows["TensorRT"].status == "pass"


def test_library_that_is_here_and_does_not_load_says_what_the_loader_says(tmp_path: Path) -> None:
    rows = _libraries(tmp_path, ("libnvinfer.so.10",), {"libnvinfer.so.10": "libnvinfer.so.10: file too short"})
    assert rows["TensorRT"].status == "fail"
    assert "is here and does not load: libnvinfer.so.10: file too short" in rows["TensorRT"].reason
    assert "tensorrt-cu13>=10,<11" in rows["TensorRT"].mend


def test_build_without_cuda_wants_no_libraries() -> None:
    assert check_libraries(CudaVersions(None, None), FakeOrtApi) == []


def test_majors_are_those_that_the_installed_wheel_names() -> None:
    capi = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_tensorrt.so"
    built = read_cuda_versions().ort
    if not capi.exists() or built is None:
        pytest.skip("this onnxruntime is a build without CUDA")
    data = capi.read_bytes()
    for library in needed_libraries(int(built.split(".")[0])):
        if library.stem in {"curand", "cufft", "nvrtc"}:  # what `preload_dlls` opens
            assert library.soname in {path[-1] for path in onnxruntime._get_nvidia_dll_paths(is_windows=False)}
        elif library.stem not in {"cuda", "cublasLt"}:  # wanted by another file of the wheel
            assert library.soname.encode() in data, library


# --- engines -----------------------------------------------------------------------------------------------------


def test_every_engine_that_opens_a_file_has_a_row_and_what_is_not_installed_says_how() -> None:
    report = _examine()
    rows = {row.name: row for row in report.rows if row.kind == "runtime"}
    assert {"openvino/cpu", "iree/cpu", "ort-node/cpu", "tinygrad/cpu"} <= rows.keys()
    assert not {"ort/cpu", "torch/cpu", "torch-compile/cpu"} & rows.keys()
    for row in rows.values():
        assert row.status == "pass" or (row.status == "absent" and row.mend), row
    assert report.find("openvino/cpu").name == "openvino/cpu"


def test_engine_that_crashes_is_a_broken_row_with_its_log() -> None:
    crash = WorkerError("the engine crashed with SIGSEGV during 'load'", log="last words")
    rows = [row for row in _examine({"cpu": crash}).rows if row.kind == "runtime" and row.status != "absent"]
    assert {(row.status, row.log) for row in rows} == {("fail", "last words")}


def test_compiled_torch_is_a_row_of_its_own() -> None:
    broken = {"opens": True, "runs": False, "reason": "a convolution failed: no C++ compiler"}
    row = _examine(torch={**GOOD_TORCH, "compiled": broken}).find("torch-compile")
    assert (row.name, row.status, row.mend) == ("torch-compile/cpu", "fail", "install a C++ compiler: apt install g++")


def test_compiled_torch_that_fails_for_another_reason_is_told_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(function: Any) -> Any:
        raise RuntimeError("backend='inductor' raised:\nCppCompileError: no header\n\nSet TORCHDYNAMO_VERBOSE=1")

    monkeypatch.setattr("torch.compile", fail)
    found = probe_torch(_Machine(cuda="no GPU", mps="no Metal"), compiled=True)["compiled"]
    row = _examine(torch={**GOOD_TORCH, "compiled": found}).find("torch-compile")
    assert row.reason == "a convolution failed: backend='inductor' raised: CppCompileError: no header"
    assert row.mend == ""


# --- report ------------------------------------------------------------------------------------------------------


def test_requirement_that_holds_is_silent() -> None:
    _examine().require("cuda")


def test_requirement_that_fails_names_the_library_and_the_mend() -> None:
    report = _examine({"cuda": NOT_ACTIVE})
    with pytest.raises(
        ProviderError, match=r"ort/cuda is required.*libcublasLt\.so\.13.*get it with: pip install"
    ) as caught:
        report.require("cuda")
    assert caught.value.exit_code == 5
    report.require("torch")


def test_unknown_requirement_is_a_usage_error_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"nothing called 'cudda' \(did you mean 'cuda'\?\)"):
        _examine().require("cudda")


def test_report_is_clean_json_of_its_schema() -> None:
    value = _examine({"cuda": NOT_ACTIVE}).to_json()
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert value["schema"] == "toolkit/doctor/1"
    assert value["passed"] is True  # absent is not broken


def test_table_shows_reasons_and_mends_with_their_brackets() -> None:
    console = Console(width=200, file=io.StringIO())
    broken = DoctorReport(
        command="c", environment=SURROUNDINGS, rows=(DoctorRow(name="x", kind="gpu", status="fail", reason="old"),)
    )
    for report in (_examine({"cuda": NOT_ACTIVE}), broken):
        console.print(*render_doctor(report, every=True), sep="\n", markup=False)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "provider cuda is not active: libcublasLt.so.13" in text
    assert "pip install 'onnxruntime-gpu[cuda,cudnn]'" in text
    assert "FAIL" in text
    assert "x: old" in text
    assert "Some CPU, 2 cores, no GPU" in text


# --- this machine ------------------------------------------------------------------------------------------------


def test_real_examination_finds_the_cpu_working_and_imports_no_torch() -> None:
    code = (
        "import json, sys; from toolkit.doctor.checks import run_doctor; report = run_doctor(engines=('ort', 'onnx'));"
        "print(json.dumps([report.to_json(), sorted({'torch', 'matplotlib'} & set(sys.modules))]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    report, imported = json.loads(done.stdout)
    assert imported == []
    rows = {row["name"]: row for row in report["rows"]}
    assert (rows["ort/cpu"]["status"], rows["ort/cpu"]["runs"], rows["ort/cpu"]["placement"]) == (
        "pass",
        True,
        {"cpu": 4},
    )
    assert rows["onnx/cpu"]["status"] == "pass"
    assert rows["onnxruntime installation"]["status"] == "pass"
    for row in rows.values():
        assert row["status"] == "pass" or row["reason"]


@pytest.mark.slow
def test_real_torch_runs_a_convolution_eager_and_compiled() -> None:
    rows = {row.name: row for row in check_torch(partial(ask_torch, compiled=True))}
    assert rows["torch/cpu"].status == "pass"
    assert rows["torch-compile/cpu"].status in {"pass", "fail"}
    assert rows["torch-compile/cpu"].status == "pass" or rows["torch-compile/cpu"].reason


def test_a_missing_driver_is_told_once_with_all_that_waits_for_it(tmp_path: Path) -> None:
    words = "libcuda.so.1: cannot open shared object file"
    error = ProviderError(f"provider cuda is not active: {words}; get it with: {DRIVER}")
    devices = {"cuda": {"opens": False, "runs": None, "reason": f"torch sees no GPU; get it with: {DRIVER}"}}
    torch = {"version": "2.13.0", "cuda": "13.0", "devices": devices}
    api = FakeOrtApi(library_problems={"libcuda.so.1": words})
    report = _examine({"cuda": error, "tensorrt": error}, torch=torch, api=api)
    libraries = check_libraries(CUDA_13, lambda: api, folders=[])
    whole = DoctorReport(command="", environment=SURROUNDINGS, rows=(*report.rows, *libraries))
    notes = [str(note) for note in render_doctor(whole)]
    assert len([note for note in notes if DRIVER in note]) == 1
    assert any(note.startswith("CUDA does not work: no NVIDIA driver answers") for note in notes)
    assert "TensorRT does not work: it waits for what is told above." in notes
    assert not [note for note in notes if "libcuda.so.1" in note]
    assert not [note for note in notes if "pip install" in note]


def test_the_verdict_comes_first_in_sentences_and_no_row_is_needed_to_read_it() -> None:
    lines = [str(line) for line in render_doctor(_examine({"cuda": NOT_ACTIVE}))]
    assert lines[0].startswith("The CPU works: ONNX Runtime")
    assert [line for line in lines if line.startswith("CUDA does not work")]
    assert lines[-1] == "This release ran on Linux x86-64; not on Windows, macOS, arm64 or an NVIDIA GPU."


def test_a_part_that_what_works_does_not_use_is_no_cause() -> None:
    row = partial(DoctorRow, kind="provider", version="1.31")
    rows = [row(name="ort/cpu"), row(name="ort/cuda"), row(name="torch/cuda", status="absent", reason="without CUDA")]
    rows.append(DoctorRow(name="cuDNN", kind="library", status="absent", reason="libcudnn.so.9: none"))
    lines = render_doctor(DoctorReport(command="", environment=SURROUNDINGS, rows=tuple(rows)))
    assert lines[1] == "CUDA works: ONNX Runtime 1.31; not PyTorch 1.31: without CUDA."
    assert not [line for line in lines if "cuDNN" in str(line) or "libcudnn" in str(line)]


def test_what_opens_and_gives_wrong_answers_is_told_as_broken() -> None:
    rows = (
        DoctorRow(name="ort/cpu", kind="provider", version="1.31", status="fail", reason="a convolution is wrong"),
        DoctorRow(name="openvino/cpu", kind="runtime", status="fail", reason="it crashed", mend="pip install openvino"),
        DoctorRow(name="ncnn/cpu", kind="runtime", status="absent", reason="runtime ncnn is not installed"),
    )
    lines = [str(line) for line in render_doctor(DoctorReport(command="", environment=SURROUNDINGS, rows=rows))]
    assert lines[0] == "The CPU does not work: a convolution is wrong."
    assert "openvino/cpu: it crashed." in lines
    assert "Not installed: ncnn; what brings each: toolkit runtimes list" in lines
