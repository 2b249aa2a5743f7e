"""Plain C: the file written out as C source (emx-onnx-cgen) and compiled by the system's compiler."""

from __future__ import annotations

__all__ = ["PlainCRuntime"]

import ctypes
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ModelError, ResourceError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.source import ModelSource
from toolkit.programs import run_program
from toolkit.runtimes.base import Arrays, Runtime

NAME = "model"
# Contractions off: what is measured is the C that was written, not fused multiply-adds of one machine.
FLAGS = ("-O3", "-std=c11", "-ffp-contract=off", "-shared", "-fPIC")


class PlainCRuntime(Runtime):
    """A file as a C function of one image, called for each image of a batch."""

    name: ClassVar[str] = "plain-c"

    def _open(self, source: ModelSource) -> None:
        compiler = _find_compiler()
        info = self._describe_file(source, version=version("emx-onnx-cgen"), details={"compiler": compiler})
        symbols = dict.fromkeys(size for spec in info.inputs for size in spec.shape if isinstance(size, str))
        self.info = replace(info, native_batch=not symbols)
        closed = [spec.name for spec in info.outputs if not spec.shape or isinstance(spec.shape[0], int)]
        if symbols and closed:
            raise ModelError(
                f"plain C is written for one item, and output {closed[0]!r} has no batch axis to join them"
            )
        fixed = [part for name in symbols for part in ("--input-dim", f"{name}=1")]
        # Not the working folder, which is the user's where no worker runs it: every source in there would be compiled.
        with tempfile.TemporaryDirectory(prefix="toolkit-plain-c-", ignore_cleanup_errors=True) as folder:
            self._build(source.model, Path(folder), compiler=compiler, fixed=fixed)

    def _build(self, model: bytes, folder: Path, *, compiler: str, fixed: list[str]) -> None:
        (folder / "model.onnx").write_bytes(model)
        generate = [sys.executable, "-P", "-m", "emx_onnx_cgen", "compile", *fixed]
        generate += ["--emit-data-file", "model.onnx", f"{NAME}.c"]
        if words := run_program(generate, folder=folder):
            raise ModelError(f"emx-onnx-cgen refuses the model: {words[-1]}")
        sources = sorted(path.name for path in folder.glob("*.c"))
        if words := run_program([compiler, *FLAGS, *sources, "-o", f"{NAME}.so", "-lm"], folder=folder):
            raise ModelError(f"{compiler} refuses the C source: {words[-1]}")
        library = ctypes.CDLL(str(folder / f"{NAME}.so"))
        self._function = getattr(library, NAME)
        if hasattr(library, f"{NAME}_load"):  # where the weights are too large for a source file
            load = getattr(library, f"{NAME}_load")
            load.restype = ctypes.c_bool
            if not load(os.fsencode(folder / f"{NAME}.bin")):
                raise ModelError(f"the C source cannot load its weights from {NAME}.bin")

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Call the function once for each image, or once where no size is open; see `Runtime.compute`."""
        if self.info.native_batch:
            return self._compute_one(feeds)
        count = len(next(iter(feeds.values())))
        results = [self._compute_one({name: array[index] for name, array in feeds.items()}) for index in range(count)]
        return {spec.name: np.concatenate([result[spec.name] for result in results]) for spec in self.info.outputs}

    def _compute_one(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        inputs = [np.asarray(feeds[spec.name], order="C") for spec in self.info.inputs]
        outputs = {spec.name: _room_for_one(spec) for spec in self.info.outputs}
        self._function(*(ctypes.c_void_p(array.ctypes.data) for array in (*inputs, *outputs.values())))
        return outputs


def _room_for_one(spec: TensorSpec) -> NDArray[Any]:
    return np.zeros([size if isinstance(size, int) else 1 for size in spec.shape], spec.dtype)


def _find_compiler() -> str:
    names = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    found = next((name for name in names if name and shutil.which(name)), None)
    if found is None:
        raise ResourceError("there is no C compiler (cc, gcc, clang); get one with: apt-get install gcc libc6-dev")
    return found
