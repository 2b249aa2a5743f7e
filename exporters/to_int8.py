"""A float32 graph made int8: static quantisation with QuantizeLinear and DequantizeLinear, per channel.

In a process of its own: the quantiser loads onnxruntime, prints, and may run away. That process works in a folder where
`model.onnx`, `images.npy` and `setting.json` are; `int8.onnx` is left.
"""

from __future__ import annotations

__all__ = ["Int8Setting", "convert_to_int8", "main", "move_relu_first", "quantise_apart"]

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from .quiet import append_to
from .spec import DEFAULT_DOMAINS, HEAVY, ExportError, first_line

LARGEST_PIECE = 100
TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Setting:
    """One way to quantise. Weights are always int8, symmetric, one scale for each output channel; activations uint8.

    Attributes:
        percentile: share of a tensor's values, in %, that its range keeps inside; None for all that was seen.
        reduce_range: weights of 7 bits, for processors whose 16-bit sums would saturate.
    """

    percentile: float | None = None
    reduce_range: bool = False


def quantise_apart(
    model: onnx.ModelProto,
    images: NDArray[np.uint8],
    *,
    setting: Int8Setting,
    log: Path = Path(os.devnull),
    timeout_s: float = TIMEOUT_S,
) -> onnx.ModelProto:
    """Quantise a graph in another process; as `convert_to_int8`.

    Args:
        model: one image input, float32 inside; left unchanged.
        images: uint8 `[N, ...]`, for calibration.
        setting: how.
        log: what the quantiser prints is added to it.
        timeout_s: most seconds.

    Raises:
        ExportError: the quantiser cannot start, failed, crashed or hung; its last words stand in the log.
    """
    with tempfile.TemporaryDirectory(prefix="int8-process-") as name:
        folder = Path(name)
        onnx.save_model(model, folder / "model.onnx")
        np.save(folder / "images.npy", images, allow_pickle=False)
        (folder / "setting.json").write_text(json.dumps(asdict(setting)))
        code = _run(folder, log=log, timeout_s=timeout_s)
        if code is None:
            raise ExportError(f"the quantiser hung for {timeout_s:g} s and was ended")
        reason = folder / "error.txt"
        if code or reason.is_file():
            raise ExportError(reason.read_text() if reason.is_file() else f"the quantiser left with exit code {code}")
        return onnx.load(folder / "int8.onnx")


def main() -> None:
    """Quantise what lies in the working folder, in the seconds given as argument; a failure leaves `error.txt`."""
    if hasattr(signal, "alarm"):  # where the process that waits for this one is gone, nobody else ends it
        signal.alarm(math.ceil(float(sys.argv[1])) + 1)

    setting = Int8Setting(**json.loads(Path("setting.json").read_text()))
    try:
        model = convert_to_int8(onnx.load("model.onnx"), np.load("images.npy", allow_pickle=False), setting=setting)
    except Exception as error:  # the quantiser raises many unrelated classes
        Path("error.txt").write_text(first_line(error))
        raise
    onnx.save_model(model, "int8.onnx")


def convert_to_int8(model: onnx.ModelProto, images: NDArray[np.uint8], *, setting: Int8Setting) -> onnx.ModelProto:
    """Return an int8 copy of a graph, calibrated on images.

    What stands before the first product (standardisation) stays in float32, and so does the last product, which makes
    the logits, with all after it (softmax, argmax): the outputs keep their types and `label` is the argmax of the very
    logits that leave. Biases stay too: ONNX Runtime quantises them itself, and other engines refuse int32 ones. Loads
    onnxruntime: see `quantise_apart` for a process of its own.

    Args:
        model: one image input, float32 inside; left unchanged.
        images: uint8 `[N, ...]`, typical ones.
        setting: how.

    Raises:
        ExportError: an operator of another domain than ONNX's own would stay in the graph.
    """
    from onnxruntime import quantization as ort

    prepared = move_relu_first(model)
    method, extra = ort.CalibrationMethod.MinMax, {}
    if setting.percentile is not None:
        method, extra = ort.CalibrationMethod.Percentile, {"CalibPercentile": setting.percentile}
    with tempfile.TemporaryDirectory(prefix="to-int8-") as folder:
        path = Path(folder) / "int8.onnx"
        ort.quantize_static(
            prepared,
            path,
            _CalibrationReader(images, name=prepared.graph.input[0].name),
            quant_format=ort.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=setting.reduce_range,
            activation_type=ort.QuantType.QUInt8,
            weight_type=ort.QuantType.QInt8,
            nodes_to_exclude=_nodes_in_float(prepared),
            calibrate_method=method,
            extra_options={"QuantizeBias": False, **extra},
        )
        return _strip(onnx.load(path))


def move_relu_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which `MaxPool -> Relu` is `Relu -> MaxPool`.

    Both are monotone, so no value changes. A quantiser then sees what a convolution leaves after ReLU and spends all
    its steps on numbers that are kept; the other way half of them go to numbers that ReLU throws away.

    Args:
        model: left unchanged. A pooling whose output somebody else reads stays as it is.
    """
    moved = deepcopy(model)
    graph = moved.graph
    readers: dict[str, list[onnx.NodeProto]] = {item.name: [item] for item in graph.output}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in graph.node:
        following = readers.get(node.output[0], []) if node.op_type == "MaxPool" and len(node.output) == 1 else []
        if len(following) == 1 and getattr(following[0], "op_type", "") == "Relu":
            _exchange(node, following[0])
    del graph.value_info[:]
    return moved


def _run(folder: Path, *, log: Path, timeout_s: float) -> int | None:
    """Return the exit code of the process, None where it took too long."""
    root = str(Path(__file__).resolve().parents[__name__.count(".")])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    # The quantiser leaves temporary files behind when it is ended; in this folder they go with it.
    environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(folder)}
    command = [sys.executable, "-P", "-c", f"from {__name__} import main; main()", str(timeout_s)]
    with append_to(log) as stream:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        except OSError as error:
            raise ExportError(f"the quantiser cannot start with {sys.executable}: {error.strerror}") from error
        return done.returncode


def _exchange(pool: onnx.NodeProto, relu: onnx.NodeProto) -> None:
    """Let two nodes exchange what they do; their inputs and outputs stay, so the order of the graph does too."""
    relu.attribute.extend(pool.attribute)
    del pool.attribute[:]
    pool.op_type, relu.op_type = relu.op_type, pool.op_type
    pool.name, relu.name = relu.name, pool.name


class _CalibrationReader:
    """Hands calibration images over in batches; of one size, because histograms stack them."""

    def __init__(self, images: NDArray[np.uint8], *, name: str) -> None:
        size = max(size for size in range(1, LARGEST_PIECE + 1) if len(images) % size == 0)
        self._feeds = ({name: images[start : start + size]} for start in range(0, len(images), size))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next batch as feeds, None after the last."""
        return next(self._feeds, None)


def _nodes_in_float(model: onnx.ModelProto) -> list[str]:
    nodes = list(model.graph.node)
    heavy = [index for index, node in enumerate(nodes) if node.op_type in HEAVY]
    if not heavy:
        raise ExportError("the graph has no convolution and no matrix product: there is nothing to quantise")
    kept = [*nodes[: heavy[0]], *nodes[heavy[-1] :]]
    if any(not node.name for node in kept):
        raise ExportError("a node has no name, by which the quantiser would leave it in float32")
    return [node.name for node in kept]


def _strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop the imports of domains that no node uses; the quantiser adds its own whether it needs them or not."""
    foreign = sorted({node.domain for node in model.graph.node} - DEFAULT_DOMAINS)
    if foreign:
        raise ExportError(f"the quantiser left operators of {', '.join(foreign)}; only ONNX's own may stay")
    own = [entry for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS]
    del model.opset_import[:], model.graph.value_info[:]
    model.opset_import.extend(own)
    return model
