"""ncnn: the file converted by pnnx, for one image at a time, in a private environment (pnnx asks for torch).

It has neither a cast from uint8 nor an argmax: those at the file's edges are taken out, and NumPy does them.
"""

from __future__ import annotations

__all__ = ["Edges", "NcnnRuntime", "cut_edges"]

import sys
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from toolkit.errors import ModelError, ResourceError
from toolkit.onnx_file.source import ModelSource
from toolkit.programs import run_program
from toolkit.runtimes.base import Arrays, Runtime

SHORT_TYPES = {"float32": "f32", "int32": "i32", "int64": "i64", "uint8": "u8", "int8": "i8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """A file without the operators at its edges, and what is to be done in their place.

    Attributes:
        model: the bytes of the rest.
        casts: for an input, the NumPy type that the rest takes it in.
        argmaxes: for an output, the output that its argmax is of, the axis, and whether that is kept.
        outputs: the outputs of the rest, in order.
    """

    model: bytes
    casts: dict[str, np.dtype[Any]]
    argmaxes: dict[str, tuple[str, int, bool]]
    outputs: tuple[str, ...]

    def describe(self) -> list[str]:
        """Return what NumPy does, for reports."""
        return [*(f"Cast of {name}" for name in self.casts), *(f"ArgMax to {name}" for name in self.argmaxes)]

    def enter(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Return the inputs of the rest."""
        return {name: array.astype(self.casts.get(name, array.dtype)) for name, array in feeds.items()}

    def leave(self, values: Arrays) -> dict[str, NDArray[Any]]:
        """Return the file's outputs from those of the rest."""
        found = dict(values)
        for name, (source, axis, keeps) in self.argmaxes.items():
            label: NDArray[Any] = values[source].argmax(axis, keepdims=keeps)
            found[name] = label.astype(np.int64)
        return found


def cut_edges(source: ModelSource) -> Edges:
    """Return a file without casts of its inputs and argmaxes of its outputs.

    Only what can be taken out without a trace is: an input that nothing but its cast reads, the argmax of a tensor that
    is an output too, and itself read by nothing. The others stay, and the engine refuses them.
    """
    model = onnx.ModelProto.FromString(source.model)
    graph = model.graph
    reads = Counter(name for node in graph.node for name in node.input)
    inputs, outputs = {item.name: item for item in graph.input}, {item.name: item for item in graph.output}
    casts: dict[str, np.dtype[Any]] = {}
    argmaxes: dict[str, tuple[str, int, bool]] = {}
    for node in list(graph.node):
        kind, first, result = node.op_type, next(iter(node.input), ""), next(iter(node.output), "")
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if kind == "Cast" and first in inputs and reads[first] == 1 and result not in outputs:
            casts[first] = helper.tensor_dtype_to_np_dtype(attributes["to"])
            inputs[first].type.tensor_type.elem_type = attributes["to"]
            _rename(graph, result, new=first)
        elif kind == "ArgMax" and first in outputs and not reads[result] and not attributes.get("select_last_index"):
            argmaxes[result] = (first, attributes.get("axis", 0), bool(attributes.get("keepdims", 1)))
            graph.output.remove(outputs[result])
        else:
            continue
        graph.node.remove(node)
    names = tuple(item.name for item in graph.output)
    return Edges(model=model.SerializeToString(), casts=casts, argmaxes=argmaxes, outputs=names)


class NcnnRuntime(Runtime):
    """A file as ncnn's graph of one image, called for each image of a batch, in float32."""

    name: ClassVar[str] = "ncnn"

    def _open(self, source: ModelSource) -> None:
        import ncnn  # later than elsewhere: how a file's edges are cut can be asked without it

        # pnnx writes what ncnn lacks all the same, loading such a file only returns -1, and a graph that was never
        # loaded answers with whatever lies in memory.
        self._edges = cut_edges(source)
        # Its own choice is every core, and they wait for each other after every layer of one small image: thirty times
        # slower on a busy machine.
        threads = self.settings.threads or 1
        details = {"threads": threads, "done_by_numpy": self._edges.describe(), "storage": "float32"}
        self.info = self._describe_file(source, version=version("ncnn"), details=details, native_batch=False)
        Path("model.onnx").write_bytes(self._edges.model)  # a worker's folder is its own
        self._convert()
        self._matrix, self._net = ncnn.Mat, ncnn.Net()
        for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
            setattr(self._net.opt, f"use_{option}", False)
        self._net.opt.num_threads = threads
        layers = {line.split()[0] for line in Path("model.ncnn.param").read_text().splitlines()[2:] if line.strip()}
        unknown = sorted(layer for layer in layers if ncnn.layer_to_index(layer) < 0)
        if unknown:
            raise ModelError(f"ncnn refuses the model: pnnx wrote what ncnn has no layer for: {', '.join(unknown)}")
        if self._net.load_param("model.ncnn.param") or self._net.load_model("model.ncnn.bin"):
            raise ModelError("ncnn refuses the model that pnnx wrote; its own words are in the log")

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Run the graph once for each image; see `Runtime.compute`."""
        inputs = self._edges.enter(feeds)
        count = len(next(iter(inputs.values())))
        images = [self._compute_one([inputs[spec.name][index] for spec in self.info.inputs]) for index in range(count)]
        columns = (np.stack(column) for column in zip(*images, strict=True))
        return self._edges.leave(dict(zip(self._edges.outputs, columns, strict=True)))

    def _compute_one(self, arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
        extractor = self._net.create_extractor()
        codes = [
            extractor.input(f"in{index}", self._matrix(np.ascontiguousarray(array)).clone())
            for index, array in enumerate(arrays)
        ]
        results = [extractor.extract(f"out{index}") for index in range(len(self._edges.outputs))]
        codes += [code for code, _ in results]
        if any(codes):
            raise ModelError(f"ncnn failed while running the model; inputs and outputs gave the codes {codes}")
        return [np.array(value) for _, value in results]

    def _convert(self) -> None:
        sizes = []
        for spec in self.info.inputs:
            dtype = str(self._edges.casts.get(spec.name, spec.dtype))
            if dtype not in SHORT_TYPES:
                raise ModelError(f"pnnx takes no {dtype}; it takes {', '.join(SHORT_TYPES)}")
            shape = ",".join(str(size) if isinstance(size, int) else "1" for size in spec.shape)
            sizes.append(f"[{shape}]{SHORT_TYPES[dtype]}")
        command = [_find_pnnx(), "model.onnx", f"inputshape={','.join(sizes)}", "fp16=0"]
        words = run_program(command)
        if words or not Path("model.ncnn.param").is_file():
            raise ModelError(f"pnnx refuses the model: {(words or ['it wrote none for ncnn'])[-1]}")


def _find_pnnx() -> str:
    """Return its program; the module around it imports torch, which it does not need for a file."""
    package = find_spec("pnnx")
    if package is None or package.origin is None:
        raise ResourceError("pnnx is not installed beside ncnn; mend it with: toolkit runtimes install ncnn")
    return str(Path(package.origin).with_name("pnnx.exe" if sys.platform == "win32" else "pnnx"))


def _rename(graph: onnx.GraphProto, old: str, *, new: str) -> None:
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new
