"""Where torch computes: the thin layer that asks torch, and the strict choice made from its answers."""

from __future__ import annotations

__all__ = ["TorchMachine", "has_fast_bfloat16", "select_device"]

import re
import warnings

from toolkit.errors import ProviderError, first_line, require_known
from toolkit.nvidia import CUDA_BUILD, explain_no_gpu, mend_driver

DEVICE_NAMES = ("auto", "cpu", "cuda", "mps")
# torch tells of CUDA's own number behind more of its own words.
CUDA_ERROR = re.compile(r"Error \d+: [^(\n]*[^(\s]")


class TorchMachine:
    """What the choice needs to know, asked of torch; tests give a fake."""

    def cuda_problem(self) -> str | None:
        """Return None after running one kernel on the first CUDA device, else the reason it cannot."""
        import torch

        if torch.version.cuda is None:
            return f"torch {torch.__version__} is a build without CUDA; get it with: {CUDA_BUILD}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is told below
            if not torch.cuda.is_available():
                words = _ask_why()
                mend = mend_driver(f"CUDA {words}") or explain_no_gpu()
                build = f"torch {torch.__version__} (CUDA {torch.version.cuda})"
                return f"{build} sees no GPU{words and f': {words}'}; get it with: {mend}"
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


def _ask_why() -> str:
    """Return what CUDA answers torch, in a few words."""
    import torch

    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    except (RuntimeError, AssertionError) as error:
        told = CUDA_ERROR.search(str(error))
        # Behind its first words comes advice about torch's other builds.
        return told[0] if told else re.split(r"\. | - ", first_line(error))[0].rstrip(".")
    return ""


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
