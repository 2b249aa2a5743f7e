"""Which device WebGPU takes, by the list that another implementation gives, and which words mean which build."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from toolkit.bench.config import BenchConfig
from toolkit.bench.measuring.variants import expand_variants
from toolkit.errors import UsageError
from toolkit.parity.config import ParityConfig
from toolkit.parity.variants import expand_matrix
from toolkit.runtimes import webgpu_adapter
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.providers import describe_device, mark_software
from toolkit.runtimes.registry import settle_engine
from toolkit.runtimes.webgpu_adapter import find_adapter

BACKEND = {"darwin": "Metal", "win32": "D3D12"}.get(sys.platform, "Vulkan")


def _listed(device: str, kind: str, backend: str = BACKEND) -> dict[str, str]:
    vendor = {"vendor": "a driver", "description": "1.2"}
    return {"device": device, "adapter_type": kind, "backend_type": backend, **vendor}


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Let an interpreter answer with a list, or end."""

    def answer(found: list[dict[str, str]], *, code: int = 0, words: str = "") -> dict[str, Any]:
        script = tmp_path / "answer.py"
        script.write_text(
            f"import sys; print({json.dumps(json.dumps(found))}); sys.stderr.write({words!r}); sys.exit({code})"
        )
        real = subprocess.run
        monkeypatch.setattr(webgpu_adapter, "private_python", lambda _: sys.executable)
        monkeypatch.setattr(webgpu_adapter.subprocess, "run", lambda _, **how: real([sys.executable, script], **how))
        return find_adapter()

    return answer


def test_fastest_kind_of_the_system_s_own_way_is_named(listing: Any) -> None:
    found = [_listed("slow", "CPU"), _listed("small", "IntegratedGPU"), _listed("large", "DiscreteGPU")]
    found.append(_listed("other", "DiscreteGPU", "OpenGL"))
    device = listing([found[3], *found[:3]])
    assert device == {"adapter": "large", "driver": "a driver 1.2", "backend": BACKEND, "software": False}
    assert mark_software("webgpu", device) == "webgpu"
    assert describe_device(device) == f"large (a driver 1.2, {BACKEND})"


def test_a_cpu_in_a_gpu_s_place_is_software(listing: Any) -> None:
    device = listing([_listed("SwiftShader", "CPU")])
    assert device["software"] is True
    assert mark_software("webgpu", device) == "webgpu (software)"
    assert "its times say nothing about a GPU" in describe_device(device)


def test_without_a_name_the_reason_is_told_and_nothing_is_marked(listing: Any) -> None:
    device = listing([_listed("other", "CPU", "OpenGL")])
    assert (device["adapter"], device["software"]) == (None, None)
    assert device["reason"] == f"no device of {BACKEND} is listed"
    ended = listing([], code=3, words="Traceback\nImportError: wgpu")
    assert ended["reason"] == "it left with exit code 3: ImportError: wgpu"
    assert mark_software("webgpu", ended) == "webgpu"
    assert describe_device(ended).startswith("its device cannot be named: ")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("ort", "cpu"), ("ort", "cpu")),
        (("ort", "webgpu"), ("ort-webgpu", "webgpu")),
        (("ort-webgpu", "cpu"), ("ort-webgpu", "webgpu")),
        (("ort-node", "webgpu"), ("ort-node", "webgpu")),
        (("ort-node", "cpu"), ("ort-node", "cpu")),
        (("oip-http", "cpu"), ("oip-http", "remote")),
    ],
)
def test_words_mean_the_build_that_has_the_provider(words: tuple[str, str], meant: tuple[str, str]) -> None:
    assert settle_engine(*words) == meant


def test_a_build_is_measured_and_judged_where_its_provider_is_named_only() -> None:
    def measured(**axes: Any) -> set[tuple[str, str]]:
        return {(item.runtime, item.provider) for item in expand_variants(BenchConfig(**axes))}

    def judged(**axes: Any) -> set[tuple[str, str]]:
        rows = expand_matrix(ParityConfig(**axes), has_run=False)
        return {(row.settings.runtime, row.settings.provider) for row in rows}

    both = {("ort", "cpu"), ("ort-webgpu", "webgpu")}
    assert measured(providers=("cpu", "webgpu")) == judged(providers=("cpu", "webgpu")) == both
    assert "ort-webgpu" not in {name for name, _ in measured(runtimes=("all",)) | judged(runtimes=("all",))}
    assert ("ort-webgpu", "webgpu") in judged(runtimes=("ort-webgpu",))
    (named,) = expand_matrix(ParityConfig(providers=("webgpu",)), has_run=False)
    assert (named.settings.runtime, named.may_skip, named.was_named) == ("ort-webgpu", False, True)
    assert RuntimeSettings(provider="webgpu").runtime == "ort-webgpu"


def test_what_is_about_cuda_is_refused_on_it() -> None:
    with pytest.raises(UsageError, match="runtime ort-webgpu has no provider cuda"):
        expand_variants(BenchConfig(runtimes=("ort-webgpu",), providers=("cuda",)))
