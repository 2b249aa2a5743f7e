"""A study: Optuna's trials in one SQLite file, held by one process at a time and gone on with after any end.

Which point comes next follows from the seed and the trials that count alone: an interrupted trial counts for nothing,
so a study gone on with runs the very trials of one that was never stopped.
"""

from __future__ import annotations

__all__ = ["Study", "open_study"]

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import DataError, ResourceError, UsageError, first_line
from toolkit.holding import hold
from toolkit.training.fit import FitResult
from toolkit.training.search_space import Dimension, Value
from toolkit.training.streams import derive_seed
from toolkit.training.trials import TrialRow

if TYPE_CHECKING:
    import optuna

NAME = "tune"
SETTINGS = "settings"


class Study:
    """The trials of a search; made by `open_study`.

    Args:
        study: Optuna's own.
        path: its file.
        space: what is searched.
        seed: of the search.
    """

    def __init__(self, study: optuna.Study, *, path: Path, space: Sequence[Dimension], seed: int) -> None:
        self._study = study
        self.path = path
        self._distributions = {item.key: _distribution(item) for item in space}
        self._seed = seed

    def rows(self) -> list[TrialRow]:
        """Return every trial, in order."""
        return [_read_trial(trial) for trial in self._study.get_trials(deepcopy=False)]

    def settled(self) -> list[TrialRow]:
        """Return the trials that count: those done and those that failed for a reason of their own."""
        return [row for row in self.rows() if row.state != "interrupted"]

    def begin(self, point: Mapping[str, Value] | None) -> optuna.Trial:
        """Begin a trial at a point, or where TPE (Bergstra et al. 2011, NeurIPS 24) suggests."""
        import optuna

        seed = derive_seed(self._seed, "sampler", len(self.settled())) % 2**32
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)
        waiting = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,))
        if point is not None and not waiting:  # one may wait from before a kill: it is the same point
            self._study.enqueue_trial(dict(point))
        return self._study.ask(self._distributions)

    def finish(self, trial: optuna.Trial, folds: Sequence[FitResult], *, repeats: int | None = None) -> TrialRow:
        """Note a trial's results; from here on it counts."""
        trial.set_user_attr("folds", [asdict(fold) for fold in folds])
        trial.set_user_attr("repeats", repeats)
        row = TrialRow(number=trial.number, state="done", point=trial.params, folds=tuple(folds), repeats=repeats)
        self._study.tell(trial, row.accuracy)
        return row

    def fail(self, trial: optuna.Trial, reason: str) -> TrialRow:
        """Note that a trial's point cannot be trained; it counts, and is not tried again."""
        from optuna.trial import TrialState

        trial.set_user_attr("reason", reason)
        self._study.tell(trial, state=TrialState.FAIL)
        return TrialRow(number=trial.number, state="failed", point=trial.params, reason=reason)

    def abandon_running(self) -> None:
        """Close the trials whose process is gone; without results or a reason they count for nothing."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)


@contextlib.contextmanager
def open_study(path: Path, settings: Mapping[str, Any], *, space: Sequence[Dimension], seed: int) -> Iterator[Study]:
    """Open a study or begin it, and hold it until the block ends.

    Args:
        path: the SQLite file.
        settings: plain JSON values by name; those of a study gone on with must be the same.
        space: what is searched.
        seed: of the search.

    Raises:
        ResourceError: Optuna is missing, another process holds the study, or the file cannot be written.
        DataError: the file is no study.
        UsageError: it was made with other settings; the differences are listed.
    """
    taken = f"the study {path} is being run by another process; wait for it or name another"
    with _storage_errors_named(path), hold(path, taken=taken), _open_storage(path) as storage:
        import optuna

        opened = optuna.create_study(storage=storage, study_name=NAME, direction="maximize", load_if_exists=True)
        recorded = opened.user_attrs.get(SETTINGS)
        if recorded is None and opened.get_trials(deepcopy=False):
            raise DataError(f"{path} was not made by toolkit tune; name another file with --study")
        if recorded is None:
            opened.set_user_attr(SETTINGS, dict(settings))
        else:
            _require_same(recorded, settings, path)
        study = Study(opened, path=path, space=space, seed=seed)
        study.abandon_running()
        yield study


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
    try:
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import DatabaseError, OperationalError
    except ImportError as error:
        raise ResourceError(
            "the package optuna is missing; get it with: pip install 'onnx-parity-toolkit[tune]'"
        ) from error
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


def _require_same(recorded: Mapping[str, Any], wanted: Mapping[str, Any], path: Path) -> None:
    keys = sorted({*recorded, *wanted})
    lines = [
        f"{key} was {recorded.get(key, 'not there')}, now {wanted.get(key, 'not there')}"
        for key in keys
        if recorded.get(key) != wanted.get(key)
    ]
    if lines:
        raise UsageError(f"the study {path} was begun otherwise: {'; '.join(lines)}; go on as before, or name another")


def _distribution(dimension: Dimension) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dimension.values:
        return CategoricalDistribution(dimension.values)
    assert dimension.low is not None
    assert dimension.high is not None
    if dimension.kind == "int":
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _read_trial(trial: optuna.trial.FrozenTrial) -> TrialRow:
    from optuna.trial import TrialState

    reason = str(trial.user_attrs.get("reason", ""))
    state = "done" if trial.state == TrialState.COMPLETE else "failed" if reason else "interrupted"
    folds = tuple(FitResult(**fold) for fold in trial.user_attrs.get("folds", []))
    repeats = trial.user_attrs.get("repeats")
    return TrialRow(number=trial.number, state=state, point=trial.params, folds=folds, reason=reason, repeats=repeats)
