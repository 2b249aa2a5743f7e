"""The thin layer that talks to ONNX Runtime and the dynamic loader; decisions are made elsewhere, tests give a fake."""

from __future__ import annotations

__all__ = ["WHEELS", "OrtApi", "find_wheels"]

import contextlib
import ctypes
import io
from importlib import import_module
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from toolkit.environment import is_own_process

WHEELS = ("onnxruntime-gpu", "onnxruntime", "onnxruntime-webgpu")

# The plug-ins' libraries that this process has registered: a second time is an error.
_registered: set[str] = set()


def find_wheels(folder: Path) -> dict[str, str]:
    """Return the ONNX Runtime distributions that were installed into a folder, with their versions.

    By the names of the folders that stand for them (`NAME-VERSION.dist-info`, `-` in a name written `_`):
    `importlib.metadata` would import a mail parser for it, and every command and every worker would wait for that.
    """
    found = (entry.name.removesuffix(".dist-info").partition("-") for entry in folder.glob("onnxruntime*.dist-info"))
    named = {name.replace("_", "-"): version for name, _, version in found}
    return {name: named[name] for name in WHEELS if name in named}


class OrtApi:
    """What the provider decisions ask of ONNX Runtime; a fake in tests."""

    def __init__(self) -> None:
        self._ort: Any = import_module("onnxruntime")
        # The C++ log goes to file descriptor 2 in many lines; failures are reported by us, in one. In a program that
        # embeds the library the log is the program's: there only our own sessions are silent.
        if is_own_process():
            self._ort.set_default_logger_severity(4)

    def wheels(self) -> dict[str, str]:
        """Return the installed ONNX Runtime distributions with their versions."""
        return find_wheels(Path(self._ort.__file__).parent.parent)

    def version(self) -> str:
        """Return the version that the imported module states."""
        return str(self._ort.__version__)

    def compiled_providers(self) -> list[str]:
        """Return the providers that the build knows; it says nothing about whether they work."""
        return list(self._ort.get_available_providers())

    def preload(self) -> None:
        """Load the NVIDIA libraries of the Python packages; what is missing shows when the provider is opened."""
        if hasattr(self._ort, "preload_dlls"):
            with contextlib.redirect_stdout(io.StringIO()):  # it prints what it cannot find
                self._ort.preload_dlls()

    def load_problem(self, library: str) -> str | None:
        """Return None where the dynamic loader opens a library, else the loader's own message.

        Args:
            library: a file name inside ONNX Runtime's own folder, or one that the loader searches.
        """
        folder = Path(self._ort.__file__).parent / "capi"
        own = folder / library
        try:
            if own.exists():
                # The provider libraries take symbols from this one; without it every load would fail.
                shared = folder / "libonnxruntime_providers_shared.so"
                if shared.exists():
                    ctypes.CDLL(str(shared), mode=ctypes.RTLD_GLOBAL)
            ctypes.CDLL(str(own) if own.exists() else library)
        except OSError as error:
            return str(error)
        return None

    def register_plugin(self, module: str, ep_name: str) -> list[Any]:
        """Register a plug-in provider's library once and return the devices that it offers.

        Raises:
            ImportError: the plug-in's package is not installed.
        """
        library = import_module(module).get_library_path()
        offered = [device for device in self._ort.get_ep_devices() if device.ep_name == ep_name]
        if not offered and library not in _registered:
            _registered.add(library)
            self._ort.register_execution_provider_library(module, library)
            offered = [device for device in self._ort.get_ep_devices() if device.ep_name == ep_name]
        return offered

    def create_session(
        self,
        model: bytes,
        *,
        entries: dict[str, str],
        options: dict[str, Any],
        providers: list[Any],
        devices: list[Any],
    ) -> Any:
        """Create an `InferenceSession` on a plug-in's `devices`, or on `providers`: names with their options."""
        session_options = self._ort.SessionOptions()
        level = options["graph_optimization_level"]
        session_options.graph_optimization_level = getattr(self._ort.GraphOptimizationLevel, level)
        session_options.intra_op_num_threads = options["intra_op_num_threads"]
        session_options.log_severity_level = 4
        for key, value in entries.items():
            session_options.add_session_config_entry(key, value)
        if devices:
            session_options.add_provider_for_devices(devices, providers[0][1])
            return self._ort.InferenceSession(model, session_options)
        # By default a session that cannot be made is made again on other providers.
        return self._ort.InferenceSession(model, session_options, providers=providers, enable_fallback=0)

    def device_value(self, array: NDArray[Any], device: str) -> Any:
        """Return an `OrtValue` with an array's values in a device's memory."""
        return self._ort.OrtValue.ortvalue_from_numpy(array, device, 0)

    def run_options(self, entries: dict[str, str]) -> Any:
        """Return the options of one run."""
        options = self._ort.RunOptions()
        for key, value in entries.items():
            options.add_run_config_entry(key, value)
        return options
