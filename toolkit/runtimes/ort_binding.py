"""ONNX Runtime's IO binding: inputs and outputs in a device's memory, allocated once for each shape."""

from __future__ import annotations

__all__ = ["DEVICES", "BoundSession"]

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from toolkit.runtimes.base import Arrays
    from toolkit.runtimes.ort_api import OrtApi

# Providers whose memory is not the host's, by the name that ONNX Runtime gives the device.
DEVICES = {"cuda": "cuda", "tensorrt": "cuda"}
# A caller that changes its shapes all the time must not fill the device.
MOST_SHAPES = 8


class _Bound(NamedTuple):
    """A binding and what it reads from."""

    binding: Any
    inputs: dict[str, Any]


class BoundSession:
    """Runs a session on buffers of a device; one thread at a time.

    Without it every call would allocate the inputs and the outputs there anew.

    Args:
        session: an opened `InferenceSession`.
        outputs: names of its outputs, in the order of the answers.
        device: ONNX Runtime's name of the device: `cuda`, or `cpu` for a rehearsal.
        api: makes values in the device's memory.
    """

    def __init__(self, session: Any, outputs: Sequence[str], *, device: str, api: OrtApi) -> None:
        self._session, self._outputs = session, list(outputs)
        self._device, self._api = device, api
        self._bound: dict[Any, _Bound] = {}

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
            for name, array in feeds.items():
                bound.inputs[name].update_inplace(np.ascontiguousarray(array))
        self._session.run_with_iobinding(bound.binding)
        return [np.array(value) for value in bound.binding.copy_outputs_to_cpu()]

    def resident(self, feeds: Arrays) -> Callable[[], object]:
        """Return a call that reads inputs which lie in the device's memory already and leaves its outputs there."""
        self.run(feeds)
        return functools.partial(self._session.run_with_iobinding, self._bound[_key(feeds)].binding)

    def _bind(self, feeds: Arrays) -> _Bound:
        binding = self._session.io_binding()
        inputs = {
            name: self._api.device_value(np.array(array, order="C"), self._device) for name, array in feeds.items()
        }
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            binding.bind_output(name, self._device)
        # One run tells the outputs' shapes; what it allocated for them is kept for all that follow.
        self._session.run_with_iobinding(binding)
        for name, value in zip(self._outputs, binding.get_outputs(), strict=True):
            binding.bind_ortvalue_output(name, value)
        return _Bound(binding, inputs)


def _key(feeds: Arrays) -> tuple[Any, ...]:
    return tuple((name, array.shape, array.dtype.str) for name, array in sorted(feeds.items()))
