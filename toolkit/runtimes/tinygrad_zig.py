"""tinygrad on the CPU, in a private environment with a C compiler of its own (its CPU device knows only clang)."""

from __future__ import annotations

__all__ = ["TinygradRuntime"]

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ModelError, first_line
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.file_specs import describe_file
from toolkit.runtimes.source import ModelSource

# zig's C compiler is clang, and the package `ziglang` is all of it. It names targets in its own way, and adds checks
# that would need a library. tinygrad calls one word: a script.
SCRIPT = """#!/bin/sh
count=$#
while [ $count -gt 0 ]; do
  word=$1; shift; count=$((count - 1))
  case "$word" in --target=*) ;; *) set -- "$@" "$word" ;; esac
done
exec "{python}" -m ziglang cc -g0 -fno-sanitize=all -fno-stack-protector "$@"
"""


class TinygradRuntime(Runtime):
    """A file as tinygrad's kernels, compiled for each batch size when it first comes."""

    name: ClassVar[str] = "tinygrad"

    def _open(self, source: ModelSource) -> None:
        folder = Path.cwd()  # a worker's folder is its own
        (folder / "clang").write_text(SCRIPT.format(python=sys.executable))
        (folder / "clang").chmod(0o755)
        # Its cache of kernels outlives it and would bring back what another compiler wrote.
        os.environ |= {"CC": str(folder / "clang"), "CACHEDB": str(folder / "kernels.db"), "DEV": "CPU"}
        os.environ["ZIG_GLOBAL_CACHE_DIR"] = os.environ["ZIG_LOCAL_CACHE_DIR"] = str(folder / "zig")
        from tinygrad import Tensor, TinyJit
        from tinygrad.nn.onnx import OnnxRunner

        (folder / "model.onnx").write_bytes(source.model)
        details = {"compiler": f"zig {version('ziglang')}"}
        self.info = describe_file(source, runtime=self.name, version=version("tinygrad"), details=details)
        try:
            OnnxRunner(folder / "model.onnx")
        except Exception as error:  # whatever its importer raises; it has no exception of its own
            raise ModelError(f"tinygrad refuses the model: {type(error).__name__}: {first_line(error)}") from error
        self._tensor: Any = Tensor
        self._functions: dict[tuple[tuple[int, ...], ...], Any] = {}

        def compile_function() -> Any:
            runner = OnnxRunner(folder / "model.onnx")  # it keeps the first batch size it sees
            return TinyJit(lambda **tensors: {name: value.realize() for name, value in runner(tensors).items()})

        self._compile = compile_function

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Call the kernels of this batch size; see `Runtime.compute`."""
        shapes = tuple(feeds[spec.name].shape for spec in self.info.inputs)
        if shapes not in self._functions:
            self._functions[shapes] = self._compile()
        tensors = {name: self._tensor(np.ascontiguousarray(array)).realize() for name, array in feeds.items()}
        return {name: value.numpy() for name, value in self._functions[shapes](**tensors).items()}
