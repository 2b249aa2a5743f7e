"""Where torch computes: the strict choice, made from a fake machine's answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from toolkit.errors import ProviderError, UsageError
from toolkit.network.device import TorchMachine, has_fast_bfloat16, select_device
from toolkit.nvidia import DRIVER


@dataclass
class FakeMachine(TorchMachine):
    cuda: str | None = "torch 2.13.0+cpu is a build without CUDA; install torch's CUDA build"
    mps: str | None = "torch reports no Metal device (Apple GPUs only)"
    features: dict[str, object] = field(default_factory=dict)
    capability: tuple[int, int] = (9, 0)

    def cuda_problem(self) -> str | None:
        return self.cuda

    def mps_problem(self) -> str | None:
        return self.mps

    def cuda_capability(self) -> tuple[int, int]:
        return self.capability

    def cpu_capabilities(self) -> dict[str, object]:
        return self.features


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(None, None, "cuda"), (None, "no", "cuda"), ("no", None, "mps"), ("no", "no", "cpu")],
)
def test_auto_takes_the_best_device_that_works(cuda: str | None, mps: str | None, expected: str) -> None:
    assert select_device("auto", machine=FakeMachine(cuda=cuda, mps=mps)) == expected


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_named_device_that_does_not_work_is_refused_with_the_reason(name: str) -> None:
    machine = FakeMachine()
    reason = {"cuda": machine.cuda, "mps": machine.mps}[name]
    with pytest.raises(ProviderError) as caught:
        select_device(name, machine=machine)
    assert str(caught.value) == f"device {name} is not available: {reason}; or use --device cpu"


@pytest.mark.parametrize("name", ["cpu", "cuda", "mps"])
def test_named_device_that_works_is_taken_even_where_another_is_better(name: str) -> None:
    assert select_device(name, machine=FakeMachine(cuda=None, mps=None)) == name


def test_unknown_device_is_a_usage_error_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"unknown device 'cudda' \(did you mean 'cuda'\?\)"):
        select_device("cudda", machine=FakeMachine())
    with pytest.raises(UsageError, match=r"unknown device 'GPU' \(did you mean 'cuda'\?\)"):
        select_device("GPU", machine=FakeMachine())


@pytest.mark.parametrize(
    ("device", "features", "fast"),
    [
        ("cuda", {}, True),
        ("cpu", {"amx_bf16": True}, True),
        ("cpu", {"avx512_bf16": True}, True),
        ("cpu", {"avx512_bf16": False, "avx2": True}, False),
        ("cpu", {}, False),
        ("mps", {"amx_bf16": True}, False),
    ],
)
def test_bfloat16_is_fast_only_where_instructions_for_it_are(
    device: str, features: dict[str, object], fast: bool
) -> None:
    assert has_fast_bfloat16(device, machine=FakeMachine(features=features)) is fast


def test_real_machine_explains_a_missing_gpu() -> None:
    problem = TorchMachine().cuda_problem()
    if problem is None:
        pytest.skip("a CUDA device works here: there is nothing to explain")
    assert problem.startswith(("torch 2", "a first CUDA kernel failed"))


def test_real_machine_tells_cpu_features() -> None:
    assert isinstance(TorchMachine().cpu_capabilities(), dict)
    assert TorchMachine().mps_problem() is None or "Metal" in str(TorchMachine().mps_problem())


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_bfloat16_is_fast_on_cuda_from_ampere_on(capability: tuple[int, int], fast: bool) -> None:
    assert has_fast_bfloat16("cuda", machine=FakeMachine(cuda=None, capability=capability)) is fast


@pytest.mark.parametrize(
    ("words", "told", "mend"),
    [
        ("Found no NVIDIA driver on your system. Please check that you have one", "Found no NVIDIA driver", DRIVER),
        ("No CUDA GPUs are available", "No CUDA GPUs are available", "a GPU that the driver sees"),
        (
            "Unexpected error from cudaGetDeviceCount(). Error 34: CUDA driver is a stub library (Triggered internally)",
            "sees no GPU: Error 34: CUDA driver is a stub library; get it with",
            "take its folder out of LD_LIBRARY_PATH",
        ),
        (
            "The NVIDIA driver on your system is too old (found version 12080). Please update",
            "12080);",
            "a newer NVIDIA",
        ),
        (
            "CUDA unknown error - this may be due to an incorrectly set up environment",
            "CUDA unknown error;",
            "a restart",
        ),
    ],
)
def test_what_cuda_answers_torch_is_told_with_what_helps(
    monkeypatch: pytest.MonkeyPatch, words: str, told: str, mend: str
) -> None:
    def refuse() -> None:
        raise RuntimeError(words)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.version.cuda", "13.0")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.init", refuse)
    problem = TorchMachine().cuda_problem()
    assert problem is not None
    assert told in problem
    assert mend in problem
    assert "Please" not in problem
