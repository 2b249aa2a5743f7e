"""ONNX Runtime's IO binding: inputs and outputs in a device's memory, allocated once for each shape."""

from __future__ import annotations

__all__ = ["BoundSession"]

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toolkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from toolkit.runtimes.base import Arrays
    from toolkit.runtimes.ort.api import OrtApi

# A caller that changes its shapes all the time must not fill the device.
MOST_SHAPES = 8
# Memory into which ONNX Runtime's Python interface cannot put anything: every run copies its inputs from the host.
HOST_FED = ("webgpu",)
# ONNX Runtime's CUDA provider: a run with this entry captures or replays the graph of that number; -1 does neither.
GRAPH_KEY, NO_GRAPH = "gpu_graph_id", "-1"
# Runs until a graph is captured for sure: the first are made without it, for what they allocate.
GRAPH_WARM_UP = 3


class _Bound(NamedTuple):
    """A binding and what it reads from."""

    binding: Any
    inputs: dict[str, Any]
    run: Callable[[], object]

    def copy_in(self, feeds: Arrays) -> None:
        """Write other values to the same addresses."""
        for name, array in feeds.items():
            self.inputs[name].update_inplace(np.ascontiguousarray(array))


class BoundSession:
    """Runs a session on buffers of a device; one thread at a time.

    Without it every call would allocate the inputs and the outputs there anew.

    Args:
        session: an opened `InferenceSession`.
        outputs: names of its outputs, in the order of the answers.
        device: ONNX Runtime's name of the device: `cuda`, `webgpu`, or `cpu` for a rehearsal.
        api: makes values in the device's memory.
        has_graphs: the session captures CUDA graphs: one for each shape, under a number of its own.
    """

    def __init__(
        self, session: Any, outputs: Sequence[str], *, device: str, api: OrtApi, has_graphs: bool = False
    ) -> None:
        self._session, self._outputs = session, list(outputs)
        self._device, self._api, self._has_graphs = device, api, has_graphs
        self._bound: dict[Any, _Bound] = {}
        self._graphs = 0

    def run(self, feeds: Arrays) -> list[NDArray[Any]]:
        """Copy the inputs there, run, and copy the outputs back; host arrays that nobody else writes to."""
        key = _key(feeds)
        bound = self._bound.get(key)
        if bound is None:
            bound = self._bind(feeds)
            if len(self._bound) == MOST_SHAPES:
                self._bound.pop(next(iter(self._bound)))
            self._bound[key] = bound
        else:
            bound.copy_in(feeds)
        bound.run()
        return [np.array(value) for value in bound.binding.copy_outputs_to_cpu()]

    def resident(self, feeds: Arrays) -> Callable[[], object]:
        """Return a call that reads inputs which lie in the device's memory already and leaves its outputs there.

        Raises:
            UsageError: inputs cannot be put there.
        """
        if self._device in HOST_FED:
            raise UsageError(
                f"ONNX Runtime's Python interface cannot put inputs into the memory of {self._device}, nor wait for "
                "outputs that stay there; use --boundary host"
            )
        self.run(feeds)
        return self._bound[_key(feeds)].run

    def time_phases(self, feeds: Arrays, now_ns: Callable[[], int], *, calls: int) -> dict[str, float]:
        """Time the parts of a call apart.

        Args:
            feeds: every input by name.
            now_ns: tells the time in nanoseconds.
            calls: how often, at least once.

        Returns:
            Medians in milliseconds: `copy_in` to the device, `compute` there, `copy_out`, and `host`: what the whole
            call takes beyond the three.
        """
        self.run(feeds)
        bound = self._bound[_key(feeds)]
        rows: list[tuple[int, int, int, int]] = []
        for _ in range(calls):
            start = now_ns()
            bound.copy_in(feeds)
            copied = now_ns()
            bound.run()
            bound.binding.copy_outputs_to_cpu()
            first = now_ns()
            # A device may still be computing when the call is over, and the first copy waits for it.
            bound.binding.copy_outputs_to_cpu()
            out = now_ns()
            self.run(feeds)
            whole = now_ns() - out
            copy_out = out - first
            parts = (copied - start, max(first - copied - copy_out, 0), copy_out)
            rows.append((*parts, max(whole - sum(parts), 0)))
        medians_ms = (np.median(rows, axis=0) / 1e6).tolist()
        return dict(zip(("copy_in", "compute", "copy_out", "host"), medians_ms, strict=True))

    def _bind(self, feeds: Arrays) -> _Bound:
        binding = self._session.io_binding()
        home = "cpu" if self._device in HOST_FED else self._device
        inputs = {name: self._api.device_value(np.array(array, order="C"), home) for name, array in feeds.items()}
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            binding.bind_output(name, self._device)
        # One run tells the outputs' shapes; what it allocated for them is kept for all that follow. It is not captured:
        # a graph holds addresses, and the outputs have none of their own yet.
        first = (self._api.run_options({GRAPH_KEY: NO_GRAPH}),) if self._has_graphs else ()
        self._session.run_with_iobinding(binding, *first)
        for name, value in zip(self._outputs, binding.get_outputs(), strict=True):
            binding.bind_ortvalue_output(name, value)
        run = self._make_run(binding)
        for _ in range(GRAPH_WARM_UP if self._has_graphs else 0):
            run()
        return _Bound(binding, inputs, run)

    def _make_run(self, binding: Any) -> Callable[[], object]:
        if not self._has_graphs:
            return functools.partial(self._session.run_with_iobinding, binding)
        self._graphs += 1
        options = self._api.run_options({GRAPH_KEY: str(self._graphs)})
        return functools.partial(self._session.run_with_iobinding, binding, options)


def _key(feeds: Arrays) -> tuple[Any, ...]:
    return tuple((name, array.shape, array.dtype.str) for name, array in sorted(feeds.items()))
