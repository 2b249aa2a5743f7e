"""The protocol of a runtime: a context manager, NumPy in and out, names and shapes checked once, here."""

from __future__ import annotations

__all__ = ["PRECISIONS", "Opened", "Runtime", "RuntimeInfo", "RuntimeSettings", "run_first"]

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

from numpy.typing import NDArray

from toolkit.closing import Closing
from toolkit.errors import ModelError, ProviderError, UsageError, WrongAnswerError, require_known
from toolkit.onnx_file.element_types import TensorSpec, type_name
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.providers import REMOTE, DeviceOptions, build_of
from toolkit.runtimes.query import Sender
from toolkit.runtimes.values import flatten_values

PRECISIONS = ("fp32", "fp64", "fp16", "bf16", "int8")
OPTIMISATIONS = ("all", "extended", "basic", "none")

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """How a model is to be executed; everything that changes an answer or a time is named here.

    Attributes:
        runtime: name in the registry; `ort` on a provider that another build of it has is that build.
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
        require_all_nodes: refuse a model of which the provider leaves nodes to the CPU; None: where it has kernels for
            all of a file of ours.
        allow_fallback: go on with the CPU where the provider is not active, and mark the result.
        at: URL of the server that a remote runtime asks.
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
    require_all_nodes: bool | None = None
    allow_fallback: bool = False
    at: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "runtime", build_of(self.runtime, self.provider))
        require_known(self.precision, PRECISIONS, what="precision")
        require_known(self.optimisation, OPTIMISATIONS, what="optimisation level")
        if not 1 <= self.runs_at_once <= 1024:
            raise UsageError(f"runs_at_once is {self.runs_at_once}; expected 1 to 1024")
        if not 0 <= self.threads <= 1024:
            raise UsageError(f"threads is {self.threads}; expected 0 (the engine's own choice) to 1024")

    @property
    def arithmetic(self) -> str:
        """The precision that answers are judged by: `tf32` where float32 products may be rounded to it."""
        return "tf32" if self.tf32 else self.precision


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
        device: of WebGPU, what it computes on, as `find_adapter` names it: `software` is a CPU in a GPU's place.
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
    device: dict[str, Any] = field(default_factory=dict)
    native_batch: bool = True


class Runtime(Closing, ABC):
    """An opened model. Subclasses fill `info` while opening and compute in `compute`.

    Attributes:
        name: in the registry.
        info: what is really running.
        notes: what was passed over to come to an answer, one line each.
        left_out: outputs that have no form as arrays, and why.
        declared: the sizes that the file declares of its outputs, where they are known beside what the engine tells.
    """

    name: ClassVar[str]
    info: RuntimeInfo
    notes: list[str]
    left_out: dict[str, str]
    declared: Mapping[str, tuple[int | str | None, ...]]

    def __init__(self, source: ModelSource, settings: RuntimeSettings) -> None:
        self.settings = settings
        self.notes = []
        self.left_out = {}
        self.declared = {}
        self._misdeclared: set[str] = set()
        self._open(source)

    def note(self, words: str) -> None:
        """Keep what a reader of the answers should know; the same words once."""
        if words not in self.notes:
            self.notes.append(words)

    @abstractmethod
    def _open(self, source: ModelSource) -> None:
        """Load the model and set `info`."""

    def _describe_file(
        self, source: ModelSource, *, version: str, details: dict[str, Any] | None = None, native_batch: bool = True
    ) -> RuntimeInfo:
        """Return an `info` read from the file, for an engine that does not tell; `run` holds its answers against it.

        Args:
            source: the model.
            version: of the engine.
            details: engine settings worth recording.
            native_batch: as in `RuntimeInfo`.

        Raises:
            ModelError: an input or output is of a type that has no name.
        """
        import onnx

        from toolkit.onnx_file.graph_parts import declared_spec, fed_inputs

        model = onnx.ModelProto.FromString(source.model)
        return RuntimeInfo(
            runtime=self.name,
            version=version,
            provider_active="cpu",
            inputs=tuple(map(declared_spec, fed_inputs(model.graph))),
            outputs=tuple(map(declared_spec, model.graph.output)),
            metadata={entry.key: entry.value for entry in model.metadata_props},
            details=details or {},
            native_batch=native_batch,
        )

    @abstractmethod
    def compute(self, feeds: Arrays) -> dict[str, Any]:
        """Execute the model once without any check: what a timing loop measures. Returns every output by name.

        An output is an array, of objects where it holds strings; a sequence is a list, a map a dictionary, an optional
        that holds nothing is None.
        """

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

    def open_sender(self, feeds: Arrays, *, at_once: int | None = None) -> Sender | None:  # noqa: ARG002 - engines compute
        """Return what begins calls without waiting for those before; None where a call is made by making it.

        Args:
            feeds: every input by name.
            at_once: most calls under way; as many as the sender can where it is None.

        Raises:
            ResourceError: something that it needs is not installed.
        """
        return None

    def time_phases(self, feeds: Arrays, now_ns: Callable[[], int], *, calls: int) -> dict[str, float] | None:  # noqa: ARG002 - most engines have one memory
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
            Every output by name; of one that is no tensor, the arrays that `flatten_values` makes.

        Raises:
            ModelError: an input is missing, unknown, or of another dtype or shape; or the engine cannot compute.
            WrongAnswerError: an output is missing, unknown, or of another dtype.
        """
        _check_names("input", feeds, specs=self.info.inputs, error=ModelError)
        for spec in self.info.inputs:
            problem = spec.explain_mismatch(feeds[spec.name])
            if problem:
                raise ModelError(f"input {problem}")
        values = self.compute(feeds)
        _check_names("output", values, specs=self.info.outputs, error=WrongAnswerError)
        arrays, left_out = flatten_values(values, {spec.name: spec.dtype for spec in self.info.outputs})
        self.left_out |= left_out
        for spec in self.info.outputs:
            if spec.name in arrays:
                self._check_output(spec, arrays[spec.name])
        return arrays

    def _check_output(self, spec: TensorSpec, array: NDArray[Any]) -> None:
        """Refuse another element type; sizes that do not come are noted, because ONNX Runtime goes on with them."""
        # Brackets are of what is no tensor: its arrays have types of their own.
        if "(" not in spec.dtype and type_name(array.dtype) != spec.dtype:
            raise WrongAnswerError(f"output {spec.explain_mismatch(array)}")
        shape = self.declared.get(spec.name, spec.shape)
        told = spec if shape == spec.shape else replace(spec, shape=shape)
        if not told.has_sizes(array) and spec.name not in self._misdeclared:
            self._misdeclared.add(spec.name)
            self.note(f"output {spec.name!r} comes as {list(array.shape)}; the file declares {list(told.shape)}")


def _check_names(
    role: str, values: Mapping[str, Any], *, specs: tuple[TensorSpec, ...], error: type[ModelError]
) -> None:
    names = [spec.name for spec in specs]
    if set(values) != set(names):
        raise error(f"the {role}s are {sorted(values)}; expected {sorted(names)}")


class Opened(Protocol):
    """A runtime, or a worker with its face."""

    info: RuntimeInfo

    def run(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Execute the model once."""


def run_first(opened: Opened, feeds: Arrays) -> dict[str, NDArray[Any]]:
    """Run a model for the first time and return its outputs.

    Raises:
        ProviderError: a provider other than the CPU opened the model and cannot run it.
        ModelError: the model cannot be run on the CPU.
    """
    try:
        return opened.run(feeds)
    except ModelError as error:
        provider = opened.info.provider_active
        if provider in {"cpu", REMOTE}:
            raise
        raise ProviderError(
            f"provider {provider} opens but cannot run this model: {error}; see what is missing with: toolkit doctor"
        ) from error
