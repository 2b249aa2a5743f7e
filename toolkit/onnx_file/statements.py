"""What a file states that its answers depend on, in sentences: told before anything that behaviour suggests."""

from __future__ import annotations

__all__ = ["describe_spec", "state_chance", "state_context", "state_risks"]

from collections.abc import Iterator, Sequence

from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.facts import FileFacts, ShapeClaim

# Types of so few bits that engines differ in whether they compute in them.
FEW_BITS = ("float16", "bfloat16", "float8", "float4", "int4", "uint4", "int2", "uint2")
MEANS = {
    "BatchNormalization": "normalises by the batch that it is given, as in training",
    "Dropout": "drops numbers at random, as in training",
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
