"""What an .onnx file states, as plain values that travel between processes, and in sentences; no engine is asked.

The sentences tell what its answers depend on: they are told before anything that behaviour suggests.
"""

from __future__ import annotations

__all__ = [
    "BesideFile",
    "FileFacts",
    "OperatorUse",
    "ShapeClaim",
    "WeightType",
    "describe_spec",
    "state_chance",
    "state_context",
    "state_risks",
]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from toolkit.onnx_file.element_types import TensorSpec

# Types of so few bits that engines differ in whether they compute in them.
FEW_BITS = ("float16", "bfloat16", "float8", "float4", "int4", "uint4", "int2", "uint2")
# What a node in training mode does.
MEANS = {
    "BatchNormalization": "normalises by the batch that it is given, as in training",
    "Dropout": "drops numbers at random, as in training",
}


class OperatorUse(NamedTuple):
    """One operator and how often it stands in the file, sub-graphs and local functions included.

    Attributes:
        domain: empty for ONNX's default domain.
        name: the operator's.
        version: of its domain, as the graph around it imports it; None where it does not.
        nodes: how many of them.
        inputs: the most inputs that one of them has.
        is_local: whether it calls a function of the file itself.
    """

    domain: str
    name: str
    version: int | None
    nodes: int
    inputs: int
    is_local: bool

    @property
    def full_name(self) -> str:
        """The name with its domain, where that is not the default one."""
        return f"{self.domain}.{self.name}" if self.domain else self.name


class WeightType(NamedTuple):
    """What the file holds of one element type: initialisers of every graph and Constant nodes.

    Attributes:
        dtype: NumPy's name of the type, ml_dtypes' where NumPy has none.
        tensors: how many.
        numbers: in all of them.
    """

    dtype: str
    tensors: int
    numbers: int


class BesideFile(NamedTuple):
    """Another file in which numbers of the model lie.

    Attributes:
        location: as the model writes it.
        tensors: how many lie there.
        ends_at: bytes that the file needs at least; 0 where the model does not say.
    """

    location: str
    tensors: int
    ends_at: int


class ShapeClaim(NamedTuple):
    """An output that is declared otherwise than its nodes make it.

    Attributes:
        name: the output's.
        declared: sizes; a name or None where one is open.
        inferred: the same, as ONNX's shape inference finds them.
    """

    name: str
    declared: tuple[int | str | None, ...]
    inferred: tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What a file states of itself.

    Attributes:
        ir_version: of the format.
        producer: name and version of what wrote it; may be empty.
        opsets: version by imported domain, which is empty for the default one.
        operators: every one of them, the most frequent first.
        num_functions: local functions.
        inputs: what has to be fed; `dtype` is a phrase such as `sequence(float32)` for what is no tensor.
        outputs: the same.
        unranked: inputs and outputs of which not even the rank is declared.
        weights: by type.
        beside: other files that hold numbers of it.
        training: nodes that are in training mode, as phrases: `BatchNormalization with training_mode=1`, and how many.
        random: nodes that draw random numbers, the same.
        has_training_part: whether a training graph lies in the file too.
        node_notes: nodes that carry metadata or a doc string.
        metadata: the model's own strings.
        refusal: why no engine is given this file, its weights beside it apart; empty where it may be.
    """

    ir_version: int
    producer: str
    opsets: dict[str, int]
    operators: tuple[OperatorUse, ...]
    num_functions: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    unranked: tuple[str, ...]
    weights: tuple[WeightType, ...]
    beside: tuple[BesideFile, ...]
    training: dict[str, int]
    random: dict[str, int]
    has_training_part: bool
    node_notes: int
    metadata: dict[str, str]
    refusal: str

    @property
    def opset(self) -> int | None:
        """The newest version of the default domain that is imported; None where it is not."""
        return self.opsets.get("")

    @property
    def used_domains(self) -> tuple[str, ...]:
        """Domains of which the file has a node."""
        return tuple(sorted({use.domain for use in self.operators}))

    @property
    def unused_imports(self) -> tuple[str, ...]:
        """Domains that are imported and not used."""
        return tuple(domain for domain in self.opsets if domain not in self.used_domains)

    @property
    def num_nodes(self) -> int:
        """Nodes of all graphs and functions."""
        return sum(use.nodes for use in self.operators)

    @property
    def summary(self) -> dict[str, Any]:
        """What the contract asks of a file's format."""
        return {
            "opset": self.opset,
            "domains": sorted({*self.opsets, *self.used_domains}),
            "ir_version": self.ir_version,
            "node_notes": self.node_notes,
            "beside": [item.location for item in self.beside],
        }


def state_risks(facts: FileFacts, claims: Sequence[ShapeClaim] = ()) -> tuple[str, ...]:
    """Return everything that a file states and that explains a surprise, the gravest first."""
    return (*state_chance(facts), *state_context(facts, claims))


def state_chance(facts: FileFacts) -> tuple[str, ...]:
    """Return what makes answers depend on chance, or on the rest of the batch: nobody has to agree on them then."""
    training = [f"{_count(number, words)}: it {_means(words)}" for words, number in facts.training.items()]
    random = [
        f"{_count(number, words)}: "
        + ("every run draws others" if words.endswith("without a seed") else "engines draw others from the same seed")
        for words, number in facts.random.items()
    ]
    return (*training, *random)


def state_context(facts: FileFacts, claims: Sequence[ShapeClaim] = ()) -> tuple[str, ...]:
    """Return what else engines take differently: undeclared domains, shapes that lie, few bits, files beside it."""
    return tuple(_context(facts, claims))


def _context(facts: FileFacts, claims: Sequence[ShapeClaim]) -> Iterator[str]:
    for domain in sorted({use.domain or "ai.onnx" for use in facts.operators if use.version is None}):
        yield f"it has operators of {domain} and does not import it"
    for claim in claims:
        yield f"output {claim.name!r} is declared {_sizes(claim.declared)}, and its nodes make {_sizes(claim.inferred)}"
    for spec in (*facts.inputs, *facts.outputs):
        if any(isinstance(size, int) and size < 1 for size in spec.shape):
            yield f"{spec.name!r} is declared {_sizes(spec.shape)}, and 0 or less stands for an open size"
    few = [f"{item.numbers:,} {item.dtype}" for item in facts.weights if item.dtype.startswith(FEW_BITS)]
    if few:
        yield f"weights in few bits ({', '.join(few)}): engines differ in whether they compute in them"
    if facts.beside:
        yield f"weights lie beside the file, in {', '.join(item.location for item in facts.beside)}"
    if facts.has_training_part:
        yield "a training graph lies in it too, which nothing here runs"


def describe_spec(spec: TensorSpec, *, is_unranked: bool) -> str:
    """Return an input or output as it is declared."""
    return f"{spec.name} {spec.dtype} {'of any rank' if is_unranked else _sizes(spec.shape)}"


def _count(number: int, words: str) -> str:
    operator, _, rest = words.partition(" ")
    return f"{number} {operator} {rest}" if number > 1 else f"{operator} {rest}"


def _means(words: str) -> str:
    return MEANS[words.partition(" ")[0]]


def _sizes(shape: Sequence[int | str | None]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
