"""What a file states that explains a failure, and what an engine is known not to have: told before its behaviour."""

from __future__ import annotations

__all__ = ["Stated", "read_stated", "state_chance_of"]

from functools import cached_property

from toolkit.errors import ToolkitError
from toolkit.onnx_file.facts import state_chance, state_context
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.engine_tables import TableReader
from toolkit.runtimes.workers.probe import Examination, examine_file


class Stated:
    """What one file states; engines' tables are asked when one of them refused it.

    Args:
        examined: the file; None where it cannot be described, and then it states nothing.
    """

    def __init__(self, examined: Examination | None) -> None:
        self._examined = examined

    @property
    def chance(self) -> tuple[str, ...]:
        """What makes answers a matter of chance, or of the rest of the batch."""
        found = () if self._examined is None else state_chance(self._examined.facts)
        return tuple(f"the file states: {words}" for words in found)

    @property
    def context(self) -> tuple[str, ...]:
        """What else engines take differently."""
        found = () if self._examined is None else state_context(*self._examined)
        return tuple(f"the file states: {words}" for words in found)

    def explain_refusal(self, runtime: str) -> tuple[str, ...]:
        """Return what an engine is known not to have, by its own tables; nothing where they do not tell.

        Args:
            runtime: its name in the registry.
        """
        name, version, lacks = self._lacks.get(runtime, (runtime, "", ()))
        return (f"the engine: {name} {version} does not have {', '.join(lacks)}, by its own tables",) if lacks else ()

    @cached_property
    def _lacks(self) -> dict[str, tuple[str, str, tuple[str, ...]]]:
        if self._examined is None:
            return {}
        with TableReader() as reader:
            tables = reader.read(self._examined.facts)
        return {table.runtime: (table.runtime, table.version, table.lacks) for table in tables if table.lacks}


def read_stated(source: ModelSource) -> Stated:
    """Describe a file; one that cannot be described states nothing."""
    try:
        return Stated(examine_file(source))
    except ToolkitError:
        return Stated(None)


def state_chance_of(source: ModelSource) -> str:
    """Return what in a file makes its answers a matter of chance, in one phrase, or that it states nothing random."""
    return "; ".join(read_stated(source).chance) or "the file states nothing random"
