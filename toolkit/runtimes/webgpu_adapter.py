"""The device that WebGPU computes on, by name: ONNX Runtime does not tell which one it took."""

from __future__ import annotations

__all__ = ["find_adapter"]

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from toolkit.programs import describe_exit
from toolkit.runtimes.installed import private_python

RUNTIME = "ort-webgpu"
# wgpu is another implementation of WebGPU than the one in ONNX Runtime: it lists the devices of every way to a GPU.
ASK = "import json, wgpu; print(json.dumps([dict(item.info) for item in wgpu.gpu.enumerate_adapters_sync()]))"
ASK_TIMEOUT_S = 60.0
# The way that ONNX Runtime's takes on each system, and its order: what is asked for is the fastest device.
BACKENDS = {"darwin": "Metal", "win32": "D3D12"}
KINDS = ("DiscreteGPU", "IntegratedGPU", "VirtualGPU", "Unknown", "CPU")


def find_adapter() -> dict[str, Any]:
    """Name the device that WebGPU takes on this machine; asked in a process of its own, whose end is nobody else's.

    Returns:
        `adapter`, its name; `driver`; `backend`; `software`: whether it computes on the CPU. Where nothing is found
        all are None, and there is a `reason`.

    Raises:
        ResourceError: the environment that can be asked is not installed.
    """
    python = private_python(RUNTIME) or sys.executable
    try:
        done = subprocess.run(
            [python, "-I", "-c", ASK], capture_output=True, text=True, check=False, timeout=ASK_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _describe((), reason=str(error))
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no words"])[-1]
        return _describe((), reason=f"it {describe_exit(done.returncode)}: {last}")
    return _describe(json.loads(done.stdout))


def _describe(found: Sequence[dict[str, Any]], *, reason: str = "") -> dict[str, Any]:
    backend = BACKENDS.get(sys.platform, "Vulkan")
    usable = [item for item in found if item["backend_type"] == backend]
    if not usable:
        nothing = dict.fromkeys(("adapter", "driver", "backend", "software"))
        return {**nothing, "reason": reason or f"no device of {backend} is listed"}
    best = min(usable, key=lambda item: KINDS.index(item["adapter_type"]) if item["adapter_type"] in KINDS else 3)
    driver = " ".join(filter(None, (best["vendor"], best["description"])))
    return {
        "adapter": best["device"],
        "driver": driver,
        "backend": backend,
        "software": best["adapter_type"] == "CPU",
    }
