"""One engine in its own process, spoken to in frames.

Verbs: `load` (the model's bytes), `run` (feeds), `measure` (feeds and a plan), `stop`; without an engine, `describe`
(the model's bytes) and `infer` (its shapes); `beat`, which answers that it lives.
"""

from __future__ import annotations

__all__ = ["main"]

import os
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.environment import claim_process
from toolkit.errors import ModelError, ToolkitError
from toolkit.onnx_file.source import ModelSource
from toolkit.plain import from_plain, to_plain
from toolkit.runtimes.base import Runtime, RuntimeSettings
from toolkit.runtimes.engine_words import sum_up
from toolkit.runtimes.registry import find_runtime, import_engine, open_runtime
from toolkit.runtimes.webgpu_adapter import find_adapter
from toolkit.runtimes.workers.frames import Frame, read_frame, write_frame
from toolkit.runtimes.workers.helper_start import READY

MESSAGE_CAP = 600
# What a pipe holds: most calls are one read, and most answers one write.
PIPE_BYTES = 64 << 10


class _Worker:
    def __init__(self) -> None:
        self._runtime: Runtime | None = None
        self._model, self._name = b"", ""

    def answer(self, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Frame:
        verbs = {
            "load": self._load,
            "run": self._run,
            "measure": self._measure,
            "count": self._count,
            "describe": self._describe,
            "infer": self._infer,
            "beat": lambda *_: ({}, {}),
        }
        told, answers = verbs[header["verb"]](header, arrays)
        return {**told, **self._passed_over()}, answers

    def _passed_over(self) -> dict[str, Any]:
        opened = self._runtime
        return {"notes": opened.notes if opened else [], "left_out": opened.left_out if opened else {}}

    def _load(self, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Frame:
        _limit_memory(header["memory_limit_bytes"])
        settings = from_plain(RuntimeSettings, header["settings"])
        source = ModelSource(
            model=arrays["model"].tobytes(),
            sha256=header["sha256"],
            path=Path(header["path"]),
            run=Path(header["run"]) if header["run"] else None,
        )
        summary = header["vetted"] or _vet(source, allow_foreign=header["allow_foreign"])
        if summary["zero_inputs"]:
            source = _open_zero_sizes(source)
        self._model, entry = source.model, find_runtime(settings.runtime)
        if entry.needs_run and source.run is not None:
            from toolkit.runs.origin import require_origin

            require_origin(source.run, summary["metadata"], name=source.path.name)
        if settings.runtime != "ort" and not entry.needs_run:
            import onnx  # noqa: F401 - names and shapes are read from the file for most engines: no part of their start
        start = time.perf_counter_ns()
        import_engine(entry)
        imported = time.perf_counter_ns()
        self._runtime = open_runtime(source, settings)
        loaded = time.perf_counter_ns()
        if self._runtime.info.provider_active == "webgpu":
            self._runtime.info = replace(self._runtime.info, device=find_adapter())
        self._runtime.declared = {name: tuple(sizes) for name, sizes in summary["output_sizes"].items()}
        for name in summary["zero_inputs"]:
            self._runtime.note(f"input {name!r} declares a size of 0, which is taken for an open one")
        cold = {"import_ms": (imported - start) / 1e6, "load_ms": (loaded - imported) / 1e6}
        return {"info": to_plain(self._runtime.info), "model": summary, "cold": cold}, {}

    def _describe(self, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Frame:
        from toolkit.onnx_file.reading import read_facts

        _limit_memory(header["memory_limit_bytes"])
        self._model, self._name = arrays["model"].tobytes(), header["name"]
        return {"facts": to_plain(read_facts(self._model, name=self._name))}, {}

    def _infer(self, _: dict[str, Any], __: dict[str, NDArray[Any]]) -> Frame:
        from toolkit.onnx_file.reading import find_shape_claims

        return {"claims": find_shape_claims(self._model, name=self._name)}, {}

    def _run(self, _: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Frame:
        return {}, self._opened().run(arrays)

    def _measure(self, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Frame:
        from toolkit.onnx_file.multiply_adds import count_multiply_adds
        from toolkit.runtimes.timing.loop import measure
        from toolkit.runtimes.timing.plan import MeasurePlan

        plan = MeasurePlan(**header["plan"])
        window = measure(self._opened(), arrays, plan=plan)
        facts = dict(window.facts)
        if plan.phase_calls:
            counted = count_multiply_adds(self._model, {name: array.shape for name, array in arrays.items()})
            facts |= {"multiply_adds": counted.number, "uncounted": counted.reason}
        told = {"first_run_ns": window.first_run_ns, "facts": facts}
        lags = {} if window.lags_ns is None else {"lags_ns": window.lags_ns}
        return told, {"samples_ns": window.samples_ns, "gaps_ns": window.gaps_ns, **lags}

    def _count(self, header: dict[str, Any], _: dict[str, NDArray[Any]]) -> Frame:
        from toolkit.onnx_file.multiply_adds import count_multiply_adds

        return {"multiply_adds": count_multiply_adds(self._model, header["shapes"]).number}, {}

    def _opened(self) -> Runtime:
        if self._runtime is None:
            raise ModelError("no model was loaded into this worker")
        return self._runtime


def main() -> None:
    """Serve frames on standard input and output until `stop` or the end of the stream."""
    claim_process()
    tempfile.tempdir = str(Path.cwd())  # the parent clears its folder, also of one that was killed
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that the user called decides what Ctrl-C means
    requests = os.fdopen(os.dup(0), "rb", buffering=PIPE_BYTES)
    answers = os.fdopen(os.dup(1), "wb", buffering=PIPE_BYTES)
    os.dup2(2, 1)  # engines print to stdout; the frames must stay clean
    answers.write(READY)
    answers.flush()
    worker = _Worker()
    while (frame := read_frame(requests)) is not None and frame[0]["verb"] != "stop":
        try:
            header, arrays = worker.answer(*frame)
        except ToolkitError as error:
            if error.__cause__ is not None:
                sys.stderr.write(f"{type(error.__cause__).__name__}: {error.__cause__}\n")  # the log
            header, arrays = _refuse(str(error), type(error).__name__), {}
        except MemoryError as error:
            header, arrays = _refuse(f"the model needs more memory than its limit: {error}"), {}
        except Exception as error:  # noqa: BLE001 - whatever an engine raises is an answer, not the worker's end
            traceback.print_exc()  # into the log; the message is one line
            header, arrays = _refuse(f"the engine failed: {type(error).__name__}: {sum_up(error)}"), {}
        write_frame(answers, header, arrays=arrays)


def _vet(source: ModelSource, *, allow_foreign: bool) -> dict[str, Any]:
    """Return what the file says of itself, its inputs among it, once nothing in it must be kept from an engine."""
    from toolkit.onnx_file.vetting import parse_model, vet_parsed
    from toolkit.runtimes.synthetic_inputs.reading import read_inputs

    name = source.path.name
    model = parse_model(source.model, name=name)
    summary = vet_parsed(model, name=name, allow_foreign=allow_foreign)
    if summary["zero_inputs"]:
        model = parse_model(_open_zero_sizes(source).model, name=name)
    return {**summary, "inputs": [to_plain(item) for item in read_inputs(model)]}


def _open_zero_sizes(source: ModelSource) -> ModelSource:
    """Return the file with every size of an input that it declares as 0 left open."""
    import onnx

    model = onnx.ModelProto.FromString(source.model)
    for item in model.graph.input:
        for dim in item.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and not dim.dim_value:
                dim.ClearField("dim_value")
    return replace(source, model=model.SerializeToString())


def _refuse(message: str, kind: str = "ModelError") -> dict[str, Any]:
    return {"error": {"type": kind, "message": _one_line(message)}}


def _one_line(message: str) -> str:
    """Return an engine's words without line breaks, and their beginning where they are a dump of the whole model."""
    words = " ".join(message.split())
    return words if len(words) <= MESSAGE_CAP else words[:MESSAGE_CAP] + " ..."


def _limit_memory(limit_bytes: int | None) -> None:
    """Lower the soft limit of address space where the system has one; macOS and Windows have none that works."""
    if limit_bytes is None or not sys.platform.startswith("linux"):
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if __name__ == "__main__":
    # An engine may look at the arrays' flags: NumPy is imported here so that its time is nobody's.
    np.zeros(1)
    main()
    # The interpreter's own end would take engines and libraries apart, for nobody: what was answered is written, the
    # parent clears the folder and ends what an engine started.
    sys.stderr.flush()
    os._exit(0)
