"""What a model file is, and which clauses of the contract it meets; described without an engine."""

from __future__ import annotations

__all__ = ["InspectReport", "inspect_model"]

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.card import CARD_KEY, Card, read_card
from toolkit.counts import count_of
from toolkit.errors import ModelError, ResourceError, escape_controls
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.external_data import Found, look_beside
from toolkit.onnx_file.facts import FileFacts, describe_spec, state_risks
from toolkit.onnx_file.source import ModelSource
from toolkit.plain import to_plain
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.contract import PROVEN_BATCHES, Clause, check_contract
from toolkit.runtimes.engine_tables import EngineTable, TableReader
from toolkit.runtimes.workers.client import Opener, blame_the_file, open_worker
from toolkit.runtimes.workers.probe import Examination, examine_file
from toolkit.runtimes.workers.time_limits import LOOK_S

# Kinds of operator that are told by name; the report has them all.
MOST_KINDS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectReport:
    """What was found.

    Attributes:
        source: the file.
        examined: what it states.
        beside: the files that hold weights of it.
        engines: what each installed engine is known not to have.
        clauses: the contract's clauses with their verdicts.
        unproven: why a file that meets the others was not run at every batch size; empty where it was or need not be.
        card: the file's card, None where it has none that can be read.
    """

    source: ModelSource
    examined: Examination
    beside: tuple[Found, ...]
    engines: tuple[EngineTable, ...]
    clauses: tuple[Clause, ...]
    unproven: str
    card: Card | None

    @property
    def facts(self) -> FileFacts:
        """What the file states."""
        return self.examined.facts

    @property
    def is_ours(self) -> bool:
        """Whether the file meets every clause."""
        return all(clause.met for clause in self.clauses)

    @property
    def is_bound(self) -> bool:
        """Whether it says that it is one of ours, so that the contract binds it."""
        return CARD_KEY in self.facts.metadata

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/inspect/1`; a domain that is empty is ONNX's default one.

        Keys:
            model: `path`, `sha256`, `size_bytes`.
            format: `opset`, `opsets` by domain, `domains` that are used (empty is ONNX's own), `ir_version`,
                `producer`, `nodes`, `local_functions`, `operators` (the name of each node), `node_notes`,
                `weight_types` (numbers by type).
            operators: of each kind `domain`, `name`, `version`, `nodes`, `inputs` (the most of one node), `is_local`;
                nodes of branches, loops and local functions are counted too.
            weights: of each type `dtype`, `tensors`, `numbers`.
            inputs: `name`, `dtype`, `shape`; a shape is null where no rank is declared.
            outputs: the same.
            beside: files with weights of it: `location`, `tensors`, `ends_at`, `size_bytes`, `state`.
            training: nodes in training mode.
            random: nodes that draw numbers.
            states: the same and more of what an answer may hang on, in sentences.
            engines: `runtime`, `version`, `lacks`: operators that an installed engine does not have, null where its
                tables do not tell, with the `reason`.
            refusal: why no engine is given the file; null where one may be.
            meets_contract: whether every clause holds.
            unproven: why a file that meets the others was not run at every batch size; null where it was or need not
                be.
            card: its card without the golden vectors; null where it has none that can be read.
        """
        facts = self.facts
        card = (
            None if self.card is None else {key: value for key, value in self.card.to_json().items() if key != "golden"}
        )
        return {
            "schema": "toolkit/inspect/1",
            "model": self.source.describe(),
            "format": _format_json(facts),
            "operators": to_plain(facts.operators),
            "weights": to_plain(facts.weights),
            "inputs": [self._tensor_json(spec) for spec in facts.inputs],
            "outputs": [self._tensor_json(spec) for spec in facts.outputs],
            "beside": [
                {**item.file._asdict(), "size_bytes": item.size_bytes, "state": item.state} for item in self.beside
            ],
            "training": facts.training,
            "random": facts.random,
            "states": list(state_risks(facts, self.examined.claims)),
            "engines": to_plain(self.engines),
            "refusal": facts.refusal or None,
            "meets_contract": self.is_ours,
            "clauses": to_plain(self.clauses),
            "unproven": self.unproven or None,
            "card": card,
        }

    def describe(self) -> list[str]:
        """Return sentences for people, one line each whatever names the file has."""
        lines = [
            f"{self.source.path}: {_size(len(self.source.model))}, sha256 {self.source.sha256}",
            *_format_lines(self.facts),
            *(_card_lines(self.card) if self.card is not None else ()),
            *self._interface_lines(),
            *map(_beside_line, self.beside),
            *(f"it states: {words}" for words in state_risks(self.facts, self.examined.claims)),
            *([f"no engine is given it: {self.facts.refusal}"] if self.facts.refusal else []),
            *_engine_lines(self.engines),
            *([f"not run: {self.unproven}"] if self.unproven else []),
            self._verdict(),
        ]
        return [escape_controls(line) for line in lines]

    def _interface_lines(self) -> Iterator[str]:
        for role, specs in (("inputs", self.facts.inputs), ("outputs", self.facts.outputs)):
            words = (describe_spec(spec, is_unranked=spec.name in self.facts.unranked) for spec in specs)
            yield f"{role}: {'; '.join(words) or 'none'}"

    def _tensor_json(self, spec: TensorSpec) -> dict[str, Any]:
        shape = None if spec.name in self.facts.unranked else list(spec.shape)
        return {"name": spec.name, "dtype": spec.dtype, "shape": shape}

    def _verdict(self) -> str:
        if self.is_ours:
            return "it meets every clause of the contract"
        if not self.is_bound:
            return "it carries no card: a stranger's file, which the contract of our own does not bind"
        return "it breaks the contract:"


def inspect_model(source: ModelSource, *, opener: Opener = open_worker) -> InspectReport:
    """Describe a file, and run it at every batch size that the contract promises where it meets all other clauses.

    Args:
        source: the file.
        opener: opens it for that run.

    Raises:
        ModelError: not a model, or one that ends the process that reads it.
        HelperStartError: no helper process can be started.
    """
    with TableReader() as tables:  # engines are imported while the file is read
        examined = examine_file(source)
        engines = tables.read(examined.facts)
    clauses, unproven = check_contract(examined.facts, examined.facts.summary), ""
    if all(clause.met for clause in clauses):
        try:
            clauses.append(_prove_batches(source, opener))
        except ResourceError as error:
            unproven = str(error)
    return InspectReport(
        source=source,
        examined=examined,
        beside=look_beside(source.path, examined.facts.beside),
        engines=engines,
        clauses=tuple(clauses),
        unproven=unproven,
        card=_card_or_none(examined.facts, source),
    )


def _prove_batches(source: ModelSource, opener: Opener) -> Clause:
    name = f"runs at batch {', '.join(map(str, PROVEN_BATCHES))}"
    try:
        with blame_the_file(str(source.path)), opener(source, RuntimeSettings(), timeout_s=LOOK_S) as runtime:
            shape = [int(size) for size in runtime.info.inputs[0].shape[1:] if isinstance(size, int)]
            for size in PROVEN_BATCHES:
                outputs = runtime.run({"images": np.zeros((size, *shape), np.uint8)})
                if any(len(array) != size for array in outputs.values()):
                    rows = [len(array) for array in outputs.values()]
                    return Clause(name, met=False, seen=f"batch {size} gives {rows} rows")
    except ModelError as error:
        return Clause(name, met=False, seen=str(error))
    return Clause(name, met=True, seen="as many rows as images")


def _format_json(facts: FileFacts) -> dict[str, Any]:
    return {
        "opset": facts.opset,
        "opsets": facts.opsets,
        "domains": list(facts.used_domains),
        "ir_version": facts.ir_version,
        "producer": facts.producer,
        "nodes": facts.num_nodes,
        "local_functions": facts.num_functions,
        "operators": [use.name for use in facts.operators for _ in range(use.nodes)],
        "node_notes": facts.node_notes,
        "weight_types": {item.dtype: item.numbers for item in facts.weights},
    }


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.2f} MB" if num_bytes >= 100_000 else count_of(num_bytes, "byte")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _format_lines(facts: FileFacts) -> Iterator[str]:
    imports = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in facts.opsets.items())
    unused = ", ".join(domain or "ai.onnx" for domain in facts.unused_imports)
    by = f", written by {facts.producer}" if facts.producer else ""
    yield f"opset {imports}{f' (imported and not used: {unused})' if unused else ''}, IR {facts.ir_version}{by}"
    kinds = [f"{use.nodes} {use.full_name}" if use.nodes > 1 else use.full_name for use in facts.operators]
    more = f" and {count_of(len(kinds) - MOST_KINDS, 'kind')} more" if len(kinds) > MOST_KINDS else ""
    functions = f" and {_count(facts.num_functions, 'local function')}" if facts.num_functions else ""
    yield f"{_count(facts.num_nodes, 'node')}{functions}: {', '.join(kinds[:MOST_KINDS])}{more}"
    weights = (f"{item.numbers:,} {item.dtype} in {_count(item.tensors, 'tensor')}" for item in facts.weights)
    yield f"weights: {'; '.join(weights) or 'none'}"


def _card_lines(card: Card) -> Iterator[str]:
    names = ", ".join(card.classes[:12]) + (" ..." if len(card.classes) > 12 else "")
    parameters = card.network.get("parameters", "?")
    parameters = f"{parameters:,}" if isinstance(parameters, int) else parameters
    yield (
        f"{card.name}: {count_of(len(card.classes), 'class', plural='classes')} ({names}), {card.precision}, "
        f"{parameters} parameters, trained on {card.data.get('name') or 'data that it does not name'}"
    )
    if card.test_accuracy:
        low, high = card.test_accuracy["ci95"]
        yield (
            f"test accuracy {card.test_accuracy['value']:.2%} (95 % interval {low:.2%} to {high:.2%}, "
            f"{card.test_accuracy['correct']:,} of {card.test_accuracy['count']:,})"
        )


def _beside_line(found: Found) -> str:
    file = found.file
    size = "" if found.size_bytes is None else f", {_size(found.size_bytes)}"
    state = {
        "present": "present",
        "short": f"shorter than the {count_of(file.ends_at, 'byte')} that the model reads of it",
        "missing": "missing",
        "no file": "no file",
        "outside": "outside the model's own folder, where nothing is opened",
    }[found.state]
    return f"beside it: {file.location!r}, {_count(file.tensors, 'tensor')}{size}, {state}"


def _engine_lines(engines: Iterable[EngineTable]) -> Iterator[str]:
    told = [table for table in engines if table.lacks is not None]
    for table in told:
        if table.lacks:
            yield f"{table.runtime} {table.version} does not have {', '.join(table.lacks)}"
    whole = [f"{table.runtime} {table.version}" for table in told if not table.lacks]
    if whole:
        yield f"every operator has a place in the tables of {', '.join(whole)}; none of them opened the file"
    untold = [table.runtime for table in engines if table.lacks is None]
    if untold:
        yield f"not told by tables of theirs: {', '.join(untold)}"


def _card_or_none(facts: FileFacts, source: ModelSource) -> Card | None:
    try:
        return read_card(facts.metadata, name=source.path.name)
    except ModelError:
        return None  # the clause "carries a card" says why
