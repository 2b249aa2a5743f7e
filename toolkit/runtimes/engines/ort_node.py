"""ONNX Runtime for JavaScript, in the machine's `node`: the native package, and the one that browsers load."""

from __future__ import annotations

__all__ = ["OrtNodeRuntime", "OrtWebRuntime"]

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ModelError, ProviderError, ResourceError
from toolkit.onnx_file.source import ModelSource
from toolkit.programs import describe_exit, find_program
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.engine_words import sum_up
from toolkit.runtimes.installed import find_private_folder
from toolkit.runtimes.providers import PROVIDERS
from toolkit.runtimes.workers.frames import Frame, read_frame, write_frame

SCRIPT = Path(__file__).with_name("node_worker.mjs")


class OrtNodeRuntime(Runtime):
    """A file opened by onnxruntime-node in a process of its own."""

    name: ClassVar[str] = "ort-node"
    package: ClassVar[str] = "onnxruntime-node"
    place: ClassVar[str] = ""

    def _open(self, source: ModelSource) -> None:
        node = find_program("node", "apt-get install nodejs npm")
        folder = find_private_folder(self.name)
        try:
            self._process = subprocess.Popen(
                [node, str(SCRIPT), str(folder), self.package], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        except OSError as error:
            raise ResourceError(f"cannot start {node}: {error.strerror or error}") from error
        provider = self.settings.provider
        request = {
            "verb": "load",
            "provider": self.place or provider,
            "threads": self.settings.threads,
        }
        try:
            header, _ = self._ask(request, {"model": np.frombuffer(source.model, np.uint8)})
        except ModelError as error:
            if provider == "cpu":
                raise
            mend = PROVIDERS[provider].mend_device(str(error))
            words = f"; get it with: {mend}" if mend else ""
            raise ProviderError(f"provider {provider} is not active: {error}{words}") from error
        told = self._describe_file(source, version=header["version"], details={"node": header["node"]})
        self.info = replace(told, provider_active=provider)

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Send the inputs over and read the outputs; see `Runtime.compute`."""
        outputs: dict[str, NDArray[Any]] = self._ask({"verb": "run"}, feeds)[1]
        return outputs

    def close(self) -> None:
        """End the process; a second call does nothing."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
            self._process.wait()

    def _ask(self, header: dict[str, Any], arrays: Arrays) -> Frame:
        try:
            write_frame(cast("BinaryIO", self._process.stdin), header, arrays=arrays)
            frame = read_frame(cast("BinaryIO", self._process.stdout))
        except (OSError, EOFError) as error:
            raise ModelError(f"{self.package} ended without an answer: {error}") from error
        if frame is None:
            raise ModelError(f"{self.package} {describe_exit(self._process.wait())} without an answer")
        if "error" in frame[0]:
            raise ModelError(f"{self.package} failed: {sum_up(frame[0]['error'])}")
        return frame


class OrtWebRuntime(OrtNodeRuntime):
    """A file opened by onnxruntime-web's WebAssembly, as a browser would run it."""

    name: ClassVar[str] = "ort-web"
    package: ClassVar[str] = "onnxruntime-web"
    place: ClassVar[str] = "wasm"
