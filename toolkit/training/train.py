"""One training from data to run folder."""

from __future__ import annotations

__all__ = ["TrainListener", "TrainReport", "run_epochs", "split_data", "train"]

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from toolkit.artifacts import ArtifactStore
from toolkit.data.dataset import Dataset, Split
from toolkit.data.split import hold_out_validation
from toolkit.data.trainable import check_data
from toolkit.durable import write_json
from toolkit.errors import StoppedError
from toolkit.network.config import NetworkConfig
from toolkit.runs.history import EpochRow, History
from toolkit.runs.run import check_run_name
from toolkit.training.config import TrainConfig
from toolkit.training.describe import describe_run, describe_start
from toolkit.training.process import hear_stop_signals
from toolkit.training.run_writer import RunFolder
from toolkit.training.session import Machine, Session, choose_machine, make_session
from toolkit.training.steps.process_group import join_group


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What a training left.

    Attributes:
        run: the run folder.
        rows: the whole history.
        device: where it ran.
        precision: `bfloat16` or `float32` products.
        checkpoint_sha256: hash of the last checkpoint.
        seconds: wall time of the epochs trained now.
        is_main: whether this process wrote the run; of several that train together one does.
    """

    run: Path
    rows: tuple[EpochRow, ...]
    device: str
    precision: str
    checkpoint_sha256: str
    seconds: float
    is_main: bool = True


class TrainListener(Protocol):
    """Hears what happens while training; in the main process only."""

    def on_start(
        self, *, network: NetworkConfig, machine: Machine, processes: int, run: Path, notes: list[str]
    ) -> None:
        """The network is built; the notes say which images it is trained on, and what was fitted to their number."""

    def on_resume(self, messages: list[str]) -> None:
        """A run goes on; the messages say from where and how."""

    def on_step(self, done: int, total: int | None) -> None:
        """A step is done: so many of those of all epochs."""

    def on_epoch(self, rows: list[EpochRow], *, epochs: int, run: Path) -> None:
        """An epoch is done and saved; the last row is its own."""


def train(data: Dataset, config: TrainConfig, *, store: ArtifactStore, listener: TrainListener) -> TrainReport:
    """Train one network and leave a run folder; `latest.json` names it as the latest run only when it is whole.

    Raises:
        DataError: too few images or classes to learn from, or images of a size that the network is not made for.
        UsageError: the run cannot have its name.
        ProviderError: the device asked for does not work here.
        CheckFailedError: the loss or a gradient stopped being finite.
        ResourceError: the results cannot be written, or another process of the group is gone.
        StoppedError: a signal ended the training after it was saved.
    """
    check_data(data)
    if config.name:
        check_run_name(config.name, store=store)
    machine = choose_machine(config.recipe, device=config.device, threads=config.threads)
    training, validation = split_data(data, all_data=config.all_data)
    recipe = config.recipe.for_dataset(data).for_count(len(training))
    with hear_stop_signals() as stop, join_group(machine.device) as group:
        group.require_same(data.sha256, what="data", device=machine.device)
        how: dict[str, Any] = {"seed": config.seed, "machine": machine, "group": group, "stop": stop}
        session = make_session(training, validation, recipe=recipe, **how)
        if not group.is_main:
            return run_epochs(session, None, history=History(Path(os.devnull)), machine=machine, listener=listener)
        run = store.new_run(f"{data.name}-{recipe.name}-s{config.seed}", name=config.name)
        folder = RunFolder(run, keep_every=config.keep_every)
        with folder.locked():
            write_json(run / "config.json", describe_run(data, session, machine=machine, config=config))
            store.record(started=run)
            listener.on_start(run=run, **describe_start(data, session, machine=machine, config=config))
            report = run_epochs(
                session, folder, history=History(run / "history.csv"), machine=machine, listener=listener
            )
        store.record(run=run)
        return report


def run_epochs(
    session: Session, folder: RunFolder | None, *, history: History, machine: Machine, listener: TrainListener
) -> TrainReport:
    """Train from the session's position to its last epoch, saving as it goes.

    Args:
        session: opened, or restored from a checkpoint.
        folder: where to save, its lock held; None in processes that do not write.
        history: of the epochs done.
        machine: for the report.
        listener: hears steps and epochs.

    Raises:
        StoppedError: a signal ended the training after it was saved; and what `Session.run_epoch` raises.
    """
    start, state = time.perf_counter(), session.state

    def after_step(step: int, steps: int) -> None:
        if folder is not None:
            listener.on_step(state.position.epoch * steps + step, session.epochs * steps)
            folder.save_if_due(state)

    while state.position.epoch < session.epochs:
        try:
            row = session.run_epoch(after_step)
        except StoppedError as stopped:
            if folder is None:
                raise
            folder.save_last(state)
            raise _name_next_step(stopped, folder, processes=state.group.size) from stopped
        if folder is not None:
            # First the row, then the checkpoint: a checkpoint never knows of an epoch that the history lacks.
            history.append(row)
            folder.save_epoch(state, is_best=history.last_is_best)
            listener.on_epoch(history.rows, epochs=session.epochs, run=folder.path)
    if session.stop.signal is not None and folder is not None:
        late = StoppedError("stopped after the last epoch", signal=session.stop.signal)
        raise _name_next_step(late, folder, processes=state.group.size)
    return TrainReport(
        run=Path(os.devnull) if folder is None else folder.path,
        rows=tuple(history.rows),
        device=machine.device,
        precision=machine.precision,
        checkpoint_sha256="" if folder is None else folder.last_sha256,
        seconds=time.perf_counter() - start,
        is_main=folder is not None,
    )


def _name_next_step(stopped: StoppedError, folder: RunFolder, *, processes: int) -> StoppedError:
    again = f", again over {processes} processes," if processes > 1 else ""
    message = f"{stopped}; saved, go on{again} with: toolkit train --resume {folder.path}"
    return StoppedError(message, signal=stopped.signal)


def split_data(data: Dataset, *, all_data: bool) -> tuple[Split, Split | None]:
    """Return the images to train on and those held out, None where every image is trained on."""
    return (data.train, None) if all_data else hold_out_validation(data.train)
