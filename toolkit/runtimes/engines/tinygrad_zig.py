"""tinygrad on the CPU, in a private environment with a C compiler of its own (its CPU device knows only clang)."""

from __future__ import annotations

__all__ = ["TinygradRuntime"]

import functools
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.engine_words import refusing

# Of every input, in the file's order.
Shapes = tuple[tuple[int, ...], ...]
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
        self.info = self._describe_file(source, version=version("tinygrad"), details=details)
        with refusing("tinygrad", tells_type=True):  # it has no exception of its own
            OnnxRunner(folder / "model.onnx")
        self._tensor: Any = Tensor

        @functools.cache
        def compile_for(_: Shapes) -> Any:
            runner = OnnxRunner(folder / "model.onnx")  # it keeps the first batch size it sees
            return TinyJit(lambda **tensors: {name: value.realize() for name, value in runner(tensors).items()})

        self._compile_for = compile_for

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Call the kernels of this batch size; see `Runtime.compute`."""
        shapes = tuple(feeds[spec.name].shape for spec in self.info.inputs)
        tensors = {name: self._tensor(np.ascontiguousarray(array)).realize() for name, array in feeds.items()}
        return {name: value.numpy() for name, value in self._compile_for(shapes)(**tensors).items()}
