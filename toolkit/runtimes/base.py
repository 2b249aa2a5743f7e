"""The protocol of a runtime: a context manager, NumPy in and out, names and shapes checked once, here."""

from __future__ import annotations

__all__ = ["PRECISIONS", "Runtime", "RuntimeInfo", "RuntimeSettings", "TensorSpec"]

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from numpy.typing import NDArray

from toolkit.closing import Closing
from toolkit.errors import ModelError, UsageError, WrongAnswerError, suggest
from toolkit.runtimes.device_options import DeviceOptions
from toolkit.runtimes.source import ModelSource

PRECISIONS = ("fp32", "fp64", "fp16", "bf16", "int8")
OPTIMISATIONS = ("all", "extended", "basic", "none")

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """How a model is to be executed; everything that changes an answer or a time is named here.

    Attributes:
        runtime: name in the registry.
        provider: ONNX Runtime's provider, or the device of a runtime that has devices.
        precision: arithmetic that is asked for.
        threads: threads inside one operator; 0 leaves the engine its own choice.
        runs_at_once: calls of `run` at the same time that the model is opened for, each on its share of the cores; over
            1 only where the registry calls the runtime reentrant on the device.
        io_binding: on a device, keep inputs and outputs in its memory between runs; such a runtime is run by one thread
            at a time.
        optimisation: graph optimisation level: `all`, `extended`, `basic` or `none`.
        tf32: let CUDA round float32 products to TF32.
        device: options of the providers that have a device of their own.
        require_all_nodes: refuse a model of which the provider leaves nodes to the CPU.
        allow_fallback: go on with the CPU where the provider is not active, and mark the result.
    """

    runtime: str = "ort"
    provider: str = "cpu"
    precision: str = "fp32"
    threads: int = 0
    runs_at_once: int = 1
    io_binding: bool = False
    optimisation: str = "all"
    tf32: bool = False
    device: DeviceOptions = field(default_factory=DeviceOptions)
    require_all_nodes: bool = True
    allow_fallback: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"unknown precision {self.precision!r}{suggest(self.precision, PRECISIONS)}")
        if self.optimisation not in OPTIMISATIONS:
            raise UsageError(
                f"unknown optimisation level {self.optimisation!r}{suggest(self.optimisation, OPTIMISATIONS)}"
            )
        if not 1 <= self.runs_at_once <= 1024:
            raise UsageError(f"runs_at_once is {self.runs_at_once}; expected 1 to 1024")
        if not 0 <= self.threads <= 1024:
            raise UsageError(f"threads is {self.threads}; expected 0 (the engine's own choice) to 1024")

    @property
    def arithmetic(self) -> str:
        """The precision that answers are judged by: `tf32` where float32 products may be rounded to it."""
        return "tf32" if self.tf32 else self.precision

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RuntimeSettings:
        """Rebuild what `to_json` returned."""
        return cls(**{**value, "device": DeviceOptions(**value.get("device", {}))})


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output.

    Attributes:
        name: its name.
        dtype: NumPy name of the element type; the engine's own word for what NumPy has not.
        shape: sizes; a name or None where a size is symbolic; empty for a scalar, and where the rank is not told.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    def explain_mismatch(self, array: NDArray[Any]) -> str | None:
        """Return None where the array fits, else what was seen and what was expected."""
        fits = str(array.dtype) == self.dtype and (not self.shape or array.ndim == len(self.shape))
        if fits and all(
            not isinstance(want, int) or want == seen for want, seen in zip(self.shape, array.shape, strict=False)
        ):
            return None
        return f"{self.name!r} is {array.dtype} {list(array.shape)}; expected {self.dtype} {list(self.shape)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeInfo:
    """What is really running.

    Attributes:
        runtime: registry name.
        version: version of the engine.
        provider_active: the provider or device in use.
        fallback: whether that is not what was asked for.
        inputs: the model's inputs.
        outputs: the model's outputs.
        placement: number of graph nodes by provider, where the engine tells.
        metadata: the model's own metadata strings.
        details: engine settings worth recording.
        native_batch: whether the engine takes a batch itself; where it is fixed to one size, it is called in a loop.
    """

    runtime: str
    version: str
    provider_active: str
    fallback: bool = False
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    placement: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    native_batch: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RuntimeInfo:
        """Rebuild what `to_json` returned."""
        specs = {
            key: tuple(
                TensorSpec(name=item["name"], dtype=item["dtype"], shape=tuple(item["shape"])) for item in value[key]
            )
            for key in ("inputs", "outputs")
        }
        return cls(**{**value, **specs})


class Runtime(Closing, ABC):
    """An opened model. Subclasses fill `info` while opening and compute in `compute`.

    Attributes:
        name: in the registry.
        info: what is really running.
        notes: what was passed over to come to an answer, one line each.
    """

    name: ClassVar[str]
    info: RuntimeInfo
    notes: list[str]

    def __init__(self, source: ModelSource, settings: RuntimeSettings) -> None:
        self.settings = settings
        self.notes: list[str] = []
        self._open(source)

    def note(self, words: str) -> None:
        """Keep what a reader of the answers should know; the same words once."""
        if words not in self.notes:
            self.notes.append(words)

    @abstractmethod
    def _open(self, source: ModelSource) -> None:
        """Load the model and set `info`."""

    @abstractmethod
    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Execute the model once without any check: what a timing loop measures. Returns every output by name."""

    def prepare(self, feeds: Arrays, *, boundary: str = "host") -> Callable[[], object]:
        """Return the call that a timing loop repeats: from these arrays to the outputs, with as little else as can be.

        Args:
            feeds: every input by name.
            boundary: `host`, or `device` where inputs and outputs stay in the device's memory.

        Raises:
            UsageError: the runtime has no such boundary.
        """
        if boundary != "host":
            raise UsageError(f"runtime {self.name} cannot be measured from {boundary} to {boundary} memory, only host")
        return functools.partial(self.compute, feeds)

    def time_phases(self, feeds: Arrays, now_ns: Callable[[], int], calls: int) -> dict[str, float] | None:  # noqa: ARG002 - most engines have one memory
        """Time the parts of a call apart; None where inputs and outputs lie in the engine's own memory already.

        Args:
            feeds: every input by name.
            now_ns: tells the time in nanoseconds.
            calls: how often each part is timed.

        Returns:
            Medians in milliseconds: `copy_in`, `compute`, `copy_out`, `host`.
        """
        return None

    def run(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Execute the model once.

        Args:
            feeds: every input by name, with the dtype and shape that `info.inputs` states.

        Returns:
            Every output by name.

        Raises:
            ModelError: an input is missing, unknown, or of another dtype or shape; or the engine cannot compute.
            WrongAnswerError: an output is.
        """
        _check("input", feeds, self.info.inputs, error=ModelError)
        outputs = self.compute(feeds)
        _check("output", outputs, self.info.outputs, error=WrongAnswerError)
        return outputs


def _check(role: str, arrays: Arrays, specs: tuple[TensorSpec, ...], *, error: type[ModelError]) -> None:
    names = [spec.name for spec in specs]
    if set(arrays) != set(names):
        raise error(f"the {role}s are {sorted(arrays)}; expected {sorted(names)}")
    for spec in specs:
        problem = spec.explain_mismatch(arrays[spec.name])
        if problem:
            raise error(f"{role} {problem}")
