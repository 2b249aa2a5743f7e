"""What every installed engine is known not to have of a file: its tables are read in a helper process."""

from __future__ import annotations

__all__ = ["NO_TABLE", "TableHelper", "judge_by_tables"]

from collections.abc import Iterable

from toolkit.closing import Closing
from toolkit.errors import WorkerError
from toolkit.onnx_file.facts import FileFacts, OperatorUse
from toolkit.runtimes.engine_tables import TABLES, EngineTable
from toolkit.runtimes.registry import ENGINES, RUNTIMES, is_importable
from toolkit.runtimes.workers.helper import Helper

TIMEOUT_S = 20.0
NO_TABLE = "it keeps no table that can be read without opening the file"


class TableHelper(Closing):
    """The helper that reads tables; it imports the engines while its parent does something else.

    Raises:
        HelperStartError: the system does not start it.
    """

    def __init__(self) -> None:
        self._helper = Helper("toolkit.runtimes.engine_tables", title="the reader of the engines' tables")

    def judge(self, facts: FileFacts) -> tuple[EngineTable, ...]:
        """Return what every installed engine that opens files is known not to have, in the registry's order.

        Args:
            facts: of the file.
        """
        uses = [use for use in facts.operators if not use.is_local]
        try:
            known = {table.runtime: table for table in self._ask(uses)}
        except WorkerError as error:
            known = {name: EngineTable(name, "", None, f"its table could not be read: {error}") for name in TABLES}
        names = (name for name in ENGINES if not RUNTIMES[name].needs_run and is_importable(RUNTIMES[name].package))
        return tuple(known.get(name) or EngineTable(name, "", None, NO_TABLE) for name in names)

    def close(self) -> None:
        """End it."""
        self._helper.close()

    def _ask(self, uses: Iterable[OperatorUse]) -> tuple[EngineTable, ...]:
        answer, _ = self._helper.ask({"uses": list(uses)}, seconds=TIMEOUT_S, words="the helper {end}")
        return tuple(EngineTable(*row) for row in answer["tables"])


def judge_by_tables(facts: FileFacts) -> tuple[EngineTable, ...]:
    """Ask once; as `TableHelper.judge`."""
    with TableHelper() as helper:
        return helper.judge(facts)
