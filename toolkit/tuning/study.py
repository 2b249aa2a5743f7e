"""A study: Optuna's trials in one SQLite file, held by one process at a time and gone on with after any end.

A trial counts when it is done or failed for a reason of its own. One whose process ended before stays `RUNNING` there
and counts for nothing: TPE does not look at it, and the grid comes back to its point in the end.
"""

from __future__ import annotations

__all__ = ["TrialRow", "make_sampler", "open_study", "rank_trials", "settled_rows", "suggest_value"]

import contextlib
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import DataError, ResourceError, UsageError, first_line
from toolkit.holding import hold
from toolkit.intervals import spread
from toolkit.programs import import_extra
from toolkit.training.steps.seeding import derive_seed
from toolkit.tuning.config import TuneConfig
from toolkit.tuning.fit import FitResult
from toolkit.tuning.search_space import Dimension, Value, grid_axes

if TYPE_CHECKING:
    import optuna

STUDY_NAME = "tune"
SETTINGS_KEY = "settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One trial.

    Attributes:
        number: in the study, from 0.
        state: `done`, or `failed`, with its reason.
        point: the varied fields and their values.
        folds: how each fold's training ended.
        reason: why it failed.
        repeats: number of an earlier trial of the same point, whose results stand here too; None where it was trained.
    """

    number: int
    state: str
    point: Mapping[str, Value]
    folds: tuple[FitResult, ...] = ()
    reason: str = ""
    repeats: int | None = None

    @property
    def accuracy(self) -> float:
        """Mean over the folds of the validation accuracy after the last epoch."""
        return statistics.fmean(fold.accuracy for fold in self.folds)

    @property
    def standard_error(self) -> float:
        """Of that mean: from the spread over the folds, or with one fold from its number of images alone."""
        if len(self.folds) > 1:
            return spread([fold.accuracy for fold in self.folds]) / math.sqrt(len(self.folds))
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.folds[0].count)

    @property
    def seconds(self) -> float:
        """Wall time of its trainings."""
        return 0.0 if self.repeats is not None else sum(fold.seconds for fold in self.folds)

    def to_json(self) -> dict[str, Any]:
        """Return a row of the report.

        Keys:
            values: by field what this trial has.
        """
        is_done = self.state == "done"
        return {
            "number": self.number,
            "state": self.state,
            "reason": self.reason or None,
            "repeats": self.repeats,
            "values": dict(self.point),
            "accuracy": self.accuracy if is_done else None,
            "standard_error": self.standard_error if is_done else None,
            "seconds": self.seconds,
            "folds": [{**asdict(fold), "accuracy": fold.accuracy} for fold in self.folds],
        }


def rank_trials(rows: Iterable[TrialRow]) -> list[TrialRow]:
    """Return the trials that are done, best first, then those that failed; of equals the earlier comes first."""
    return sorted(rows, key=lambda row: (row.state != "done", -row.accuracy if row.folds else 0.0, row.number))


@contextlib.contextmanager
def open_study(path: Path, settings: Mapping[str, Any]) -> Iterator[optuna.Study]:
    """Open a study or begin it, and hold it until the block ends.

    Args:
        path: the SQLite file.
        settings: plain JSON values by name; those of a study gone on with must be the same.

    Raises:
        ResourceError: Optuna is missing, another process holds the study, or the file cannot be written.
        DataError: the file is no study.
        UsageError: it was made with other settings; the differences are listed.
    """
    taken = f"the study {path} is being run by another process; wait for it or name another"
    with _storage_errors_named(path), hold(path, taken=taken), _open_storage(path) as storage:
        import optuna

        opened = optuna.create_study(storage=storage, study_name=STUDY_NAME, direction="maximize", load_if_exists=True)
        recorded = opened.user_attrs.get(SETTINGS_KEY)
        if recorded is None and opened.get_trials(deepcopy=False):
            raise DataError(f"{path} was not made by toolkit tune; name another file with --study")
        if recorded is None:
            opened.set_user_attr(SETTINGS_KEY, dict(settings))
        else:
            _require_same(recorded, settings, path=path)
        yield opened


def make_sampler(config: TuneConfig, settled: int) -> optuna.samplers.BaseSampler:
    """Return what chooses the next point: the grid, or TPE (Bergstra et al. 2011, NeurIPS 24).

    Args:
        config: of the search.
        settled: trials that count so far. They are part of TPE's seed: a search that is gone on with takes the steps of
            one that was never stopped.
    """
    from optuna.samplers import GridSampler, TPESampler

    if config.search == "grid":
        return GridSampler(grid_axes(config.space), seed=derive_seed(config.seed, "grid") % 2**32)
    return TPESampler(seed=derive_seed(config.seed, "sampler", settled) % 2**32)


def suggest_value(trial: optuna.Trial, dimension: Dimension) -> Value:
    """Return a field's value in a trial."""
    if dimension.values or dimension.bounds is None:
        chosen = trial.suggest_categorical(dimension.key, dimension.values)
        assert chosen is not None
        return chosen
    low, high = dimension.bounds
    if dimension.kind == "int":
        return trial.suggest_int(dimension.key, int(low), int(high), log=dimension.log)
    return trial.suggest_float(dimension.key, low, high, log=dimension.log)


def settled_rows(study: optuna.Study) -> list[TrialRow]:
    """Return the trials that count, in order."""
    return [
        TrialRow(
            number=trial.number,
            state="failed" if "reason" in trial.user_attrs else "done",
            point=trial.params,
            folds=tuple(FitResult(**fold) for fold in trial.user_attrs.get("folds", [])),
            reason=trial.user_attrs.get("reason", ""),
            repeats=trial.user_attrs.get("repeats"),
        )
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name == "COMPLETE" or (trial.state.name == "FAIL" and "reason" in trial.user_attrs)
    ]


@contextlib.contextmanager
def _open_storage(path: Path) -> Iterator[optuna.storages.RDBStorage]:
    import optuna
    from sqlalchemy.engine import URL

    # What it would say on stderr, one line a trial, is said by the command.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(URL.create("sqlite", database=str(path)).render_as_string())
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextlib.contextmanager
def _storage_errors_named(path: Path) -> Iterator[None]:
    """Turn what Optuna and SQLAlchemy raise into one of our errors."""
    import_extra("optuna", extra="tune", user="a study")
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DatabaseError, OperationalError

    try:
        yield
    except (OperationalError, StorageInternalError) as error:
        cause = first_line(error.__cause__ or error)
        raise ResourceError(f"cannot use the study {path}: {cause}; free space or name another with --study") from error
    except DatabaseError as error:
        raise DataError(f"{path} is no study: {error.orig}; name another file with --study") from error
    except RuntimeError as error:
        if "optuna" not in str(error).lower():
            raise
        raise ResourceError(f"the study {path} is of another version of Optuna: {error}") from error


def _require_same(recorded: Mapping[str, Any], wanted: Mapping[str, Any], *, path: Path) -> None:
    keys = sorted({*recorded, *wanted})
    lines = [
        f"{key} was {recorded.get(key, 'not there')}, now {wanted.get(key, 'not there')}"
        for key in keys
        if recorded.get(key) != wanted.get(key)
    ]
    if lines:
        raise UsageError(f"the study {path} was begun otherwise: {'; '.join(lines)}; go on as before, or name another")
