"""Tests on a device that is there: WebGPU on whatever Vulkan driver this machine has, a software one included."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
_problem: list[str] = []


def _find_problem() -> str:
    """Return why nothing of this folder can be run here, in the words of the toolkit; empty where it can."""
    from toolkit.errors import ToolkitError
    from toolkit.runtimes.installed import is_installed
    from toolkit.runtimes.webgpu_adapter import find_adapter

    if "TOOLKIT_RUNTIMES" not in os.environ or not is_installed("ort-webgpu"):
        return "TOOLKIT_RUNTIMES names no folder with ort-webgpu; run by: make test-device"
    try:
        device = find_adapter()
    except ToolkitError as error:
        return str(error)
    return "" if device["adapter"] else f"no device for WebGPU: {device['reason']}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and skip it where there is no device."""
    mine = [item for item in items if HERE in item.path.parents]
    if not mine:
        return
    if not _problem:
        _problem.append(_find_problem())
    for item in mine:
        item.add_marker(pytest.mark.device)
        if _problem[0]:
            item.add_marker(pytest.mark.skip(reason=_problem[0]))
