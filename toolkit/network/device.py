"""Where torch computes: the thin layer that asks torch, and the strict choice made from its answers."""

from __future__ import annotations

__all__ = ["TorchMachine", "has_fast_bfloat16", "select_device"]

from toolkit.errors import ProviderError, first_line, require_known
from toolkit.nvidia import explain_no_gpu

DEVICE_NAMES = ("auto", "cpu", "cuda", "mps")
# What PyPI serves for Linux and Windows from torch 2.11 on.
CUDA_BUILD = "pip install --force-reinstall 'torch>=2.11'"


class TorchMachine:
    """What the choice needs to know, asked of torch; tests give a fake."""

    def cuda_problem(self) -> str | None:
        """Return None after running one kernel on the first CUDA device, else the reason it cannot."""
        import torch

        if torch.version.cuda is None:
            return f"torch {torch.__version__} is a build without CUDA; get it with: {CUDA_BUILD}"
        if not torch.cuda.is_available():
            return f"torch {torch.__version__} (CUDA {torch.version.cuda}) sees no GPU; get it with: {explain_no_gpu()}"
        try:
            torch.zeros(1, device="cuda").add_(1).item()
        except RuntimeError as error:
            return f"a first CUDA kernel failed: {first_line(error)}"
        return None

    def cuda_capability(self) -> tuple[int, int]:
        """Return the compute capability of the first CUDA device."""
        import torch

        major, minor = torch.cuda.get_device_capability()
        return major, minor

    def mps_problem(self) -> str | None:
        """Return None where Metal is usable, else why not."""
        import torch

        return None if torch.backends.mps.is_available() else "torch reports no Metal device (Apple GPUs only)"

    def cpu_capabilities(self) -> dict[str, object]:
        """Return torch's CPU feature table, e.g. `{"avx512_bf16": True, ...}`."""
        import torch

        return dict(torch.cpu.get_capabilities()) if hasattr(torch.cpu, "get_capabilities") else {}


def select_device(name: str, *, machine: TorchMachine) -> str:
    """Return `cpu`, `cuda` or `mps`; only `auto` may choose for itself.

    Raises:
        UsageError: the name is unknown.
        ProviderError: the device asked for does not work here.
    """
    require_known(name, DEVICE_NAMES, what="device", meant="cuda" if name.lower() == "gpu" else "")
    problems = {"cuda": machine.cuda_problem, "mps": machine.mps_problem}
    if name == "auto":
        return next((device for device, problem in problems.items() if problem() is None), "cpu")
    reason = problems[name]() if name in problems else None
    if reason is not None:
        raise ProviderError(f"device {name} is not available: {reason}; or use --device cpu")
    return name


def has_fast_bfloat16(device: str, *, machine: TorchMachine) -> bool:
    """Say whether bfloat16 has units of its own: CUDA from sm_80 (Ampere), CPUs with AMX or AVX-512 BF16."""
    if device == "cuda":
        return machine.cuda_capability() >= (8, 0)
    features = machine.cpu_capabilities()
    return device == "cpu" and bool(features.get("amx_bf16") or features.get("avx512_bf16"))
