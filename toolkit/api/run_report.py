"""What a training of the library leaves: the run, its history, its accuracy."""

from __future__ import annotations

__all__ = ["RunReport"]

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.counts import count_of
from toolkit.data.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.evaluation.report import EvaluationReport
from toolkit.runs.history import EpochRow
from toolkit.telling.summary import Summarised, Summary, number_facts

if TYPE_CHECKING:
    from toolkit.training.train import TrainReport


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class RunReport(Summarised):
    """A run: what was trained, and how good it is. As a path it is the run's folder.

    Attributes:
        trained: what the training left: history, device, hash of the checkpoint.
        judged: the run on the test images; None in a process that only helps another.
        warnings: of the data, and of an accuracy that chance would reach.
        notes: every remark on the way, these warnings among them: what was left out, held out or changed.
        command: what repeats it.
        data: what it was trained on, where that lies in no file; None else.
    """

    trained: TrainReport
    judged: EvaluationReport | None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    command: str
    data: Dataset | None = None

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.trained.run

    @property
    def rows(self) -> tuple[EpochRow, ...]:
        """The whole history, a row an epoch."""
        return self.trained.rows

    @property
    def evaluation(self) -> EvaluationReport:
        """The run on the test images.

        Raises:
            UsageError: this process only helped another, which judged it.
        """
        if self.judged is None:
            raise UsageError("the first process of a training judges its run; ask there, where trained.is_main is True")
        return self.judged

    @property
    def accuracy(self) -> float:
        """Share of the test images labelled right, 0 to 1."""
        return self.evaluation.accuracy

    def __fspath__(self) -> str:
        return str(self.run)

    def to_json(self) -> dict[str, Any]:
        """Return what `toolkit train --json` prints, but for the pictures."""
        return {
            "run": str(self.run),
            "evaluation": self.evaluation.figures.to_json(),
            "checkpoint_sha256": self.trained.checkpoint_sha256,
            "warnings": list(self.warnings),
            "command": self.command,
        }

    def summarise(self) -> Summary:
        """Return where the run lies, its accuracy, and its last epochs."""
        judged = "judged by the first process" if self.judged is None else self.judged.figures.describe()
        facts: dict[str, object] = {
            "folder": self.run,
            "trained": f"{count_of(len(self.rows), 'epoch')} on {self.trained.device} in {self.trained.precision}",
        }
        facts |= number_facts("note", self.notes)
        facts |= {
            "last epochs" if not place else f"{'':{place}}": row.describe(len(self.rows))
            for place, row in enumerate(self.rows[-3:])
        }
        return Summary(f"run {self.run.name}: test accuracy {judged}", facts)
