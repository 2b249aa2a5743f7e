"""What rows are written to: a stream, or a part of a file and a record of how far it is trusted, to go on after a kill.

The order of writing is the promise. The part is on the disk before its record says so: a record never counts bytes that
a power cut could take back, and what the part holds beyond its record is cut off. The whole file takes its name after a
record that says `complete`, and the record goes last: between any two steps a resumed run finds out where it is.
"""

from __future__ import annotations

__all__ = [
    "FileTarget",
    "Progress",
    "StreamTarget",
    "Target",
    "latest_unfinished",
    "part_of",
    "record_of",
    "require_free",
]

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from toolkit.closing import Closing
from toolkit.durable import clear_leavings, move_durably, read_json, write_json
from toolkit.errors import DataError, ResourceError, UsageError
from toolkit.holding import hold
from toolkit.prediction.sinks.sink import Rewrite

SCHEMA = "toolkit/unfinished/1"
PART = ".part"
RECORD = ".part.json"
# Where a file is made of a part whose bytes are not its own.
WHOLE = ".part.whole"
# Seconds between two records: what a kill costs at most.
PERIOD_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an output is written.

    Attributes:
        rows: rows that are whole.
        errors: of them, rows without an answer.
        doubtful: of them, answered rows that the guard doubts.
        truths: of them, rows whose class is told.
        right: of those, rows whose label is that class.
        last: source and index of the last one; None before the first.
    """

    rows: int = 0
    errors: int = 0
    doubtful: int = 0
    truths: int = 0
    right: int = 0
    last: tuple[str, int] | None = None


def part_of(output: Path) -> Path:
    """Return where an output lies until it is whole."""
    return output.with_name(output.name + PART)


def record_of(output: Path) -> Path:
    """Return where an unfinished output's record lies."""
    return output.with_name(output.name + RECORD)


def require_free(output: Path, *, resume: bool, force: bool) -> None:
    """Refuse an output that exists, unless its writer was killed while it gave the file its name and is gone on with.

    Raises:
        UsageError: it exists.
    """
    if not output.exists() or force or (resume and _complete_bytes(output) is not None):
        return
    if resume:
        raise UsageError(f"the output {output} is whole; there is nothing to resume")
    raise UsageError(f"the output {output} exists; give another name or --force")


def latest_unfinished(folder: Path) -> Path:
    """Return the output in a folder that was left unfinished last.

    Raises:
        UsageError: there is none.
    """
    records = sorted(folder.glob(f"*{RECORD}"), key=lambda path: path.stat().st_mtime_ns)
    if not records:
        raise UsageError(f"nothing to resume: {folder} holds no unfinished result; name it with --output")
    return records[-1].with_name(records[-1].name.removesuffix(RECORD))


class FileTarget(Closing):
    """An output's part, opened for writing at its trusted end, and held against other processes until it is closed.

    Killed anywhere, it leaves a part that can be gone on with, or the whole file, or both.

    Args:
        output: the name that the whole file will take.
        identity: what must be the same for a run to go on with another's part; plain JSON values.
        resume: go on with what lies there; else begin anew.
        force: begin anew even where an unfinished result lies.

    Raises:
        UsageError: nothing to go on with, or another identity; an unfinished result lies there and neither was asked.
        ResourceError: another process writes it, or the files cannot be written.
    """

    def __init__(self, output: Path, identity: dict[str, Any], *, resume: bool, force: bool) -> None:
        self._output, self._identity = output, identity
        self._part, self._record = part_of(output), record_of(output)
        self._whole = output.with_name(output.name + WHOLE)
        self._next_record = time.monotonic() + PERIOD_S
        self._is_complete = self._is_whole = False
        with contextlib.ExitStack() as stack:
            stack.enter_context(hold(output))
            # Another may have come to its end while this one opened its model.
            require_free(output, resume=resume, force=force)
            if not resume and not force and self._part.exists():
                raise UsageError(
                    f"{self._part} is an unfinished result; go on with --resume or start over with --force"
                )
            self.progress, trusted_bytes = self._read_record() if resume else (Progress(), 0)
            self.stream = self._open(trusted_bytes, anew=not resume)
            self._held = stack.pop_all()

    def advance(self, progress: Progress) -> None:
        """Note that everything up to here is in the stream; it is recorded from time to time."""
        self.progress = progress
        if time.monotonic() >= self._next_record:
            self.record()

    def record(self) -> None:
        """Bring what is written to the disk and record how far it goes."""
        with self._failures_named():
            self.stream.flush()
            os.fsync(self.stream.fileno())
            size = self.stream.tell()
        # Replaced as a whole and durably: there is always one record that can be read.
        write_json(
            self._record,
            {
                "schema": SCHEMA,
                "identity": self._identity,
                "bytes": size,
                "complete": self._is_complete,
                **asdict(self.progress),
            },
        )
        self._next_record = time.monotonic() + PERIOD_S

    def finish(self, rewrite: Rewrite | None = None) -> None:
        """Give the whole file its name.

        Args:
            rewrite: writes it to another stream where the part's bytes are not its own.
        """
        self._is_complete = True
        self.record()
        if rewrite is None:
            with self._failures_named():
                self.stream.close()
            move_durably(self._part, self._output)
        else:
            # The part stays until the other file has the name: a kill in between costs the rewriting, not the rows.
            with self._failures_named(), self._whole.open("wb") as whole:
                rewrite(whole)
                whole.flush()
                os.fsync(whole.fileno())
            move_durably(self._whole, self._output)
        self.discard()

    def discard(self) -> None:
        """Remove what an output under way consists of."""
        self.stream.close()
        for path in (self._whole, self._part, self._record):
            path.unlink(missing_ok=True)
        clear_leavings(self._record)
        self._is_whole = True

    def close(self) -> None:
        """Leave the part and its record behind, unless the output is whole or nothing was written."""
        with self._held:
            if self._is_whole:
                return
            with contextlib.suppress(OSError):  # half a file where the disk was full; it is made of the part again
                self._whole.unlink(missing_ok=True)
            if not self.progress.rows:
                self.discard()
                return
            with contextlib.suppress(ResourceError):  # the disk may be full: the last record still holds
                if not self._is_complete:
                    self.record()
            with contextlib.suppress(OSError):
                self.stream.close()

    def _read_record(self) -> tuple[Progress, int]:
        size = _complete_bytes(self._output)
        # Killed after the part took the output's name, before its record went.
        if size is not None and self._output.exists() and not self._part.exists():
            self._take_back(size)
        if not self._record.exists() or not self._part.exists():
            raise UsageError(f"nothing to resume at {self._output}: {self._part} is not there; leave out --resume")
        try:
            value = read_json(self._record)
            seen, size = dict(value["identity"]), int(value["bytes"])
            last = None if value["last"] is None else (str(value["last"][0]), int(value["last"][1]))
            counts = {name: int(value[name]) for name in ("rows", "errors", "doubtful", "truths", "right")}
        except (DataError, KeyError, TypeError, ValueError, IndexError) as error:
            raise UsageError(f"{self._record} cannot be used ({error}); start over with --force") from error
        # One that an older version wrote may lack a key: that counts as another value.
        changed = [name for name in self._identity if seen.get(name) != self._identity[name]]
        if changed:
            name = changed[0]
            if "columns" in changed:
                raise UsageError(
                    f"{self._part} was begun by another version, whose rows have other columns; start over with --force"
                )
            raise UsageError(
                f"{self._part} was begun with {name} {seen.get(name)!r}, now it is {self._identity[name]!r}; "
                "ask for the same, or start over with --force"
            )
        if self._part.stat().st_size < size:
            raise UsageError(f"{self._part} is shorter than its record says; start over with --force")
        return Progress(**counts, last=last), size

    def _take_back(self, size: int) -> None:
        """Make a part again of the whole file: its writer was killed before it could remove the record."""
        if self._output.stat().st_size == size:
            move_durably(self._output, self._part)
            return
        # Of another size was the part that Parquet was made of: it is gone, and only the record was left behind.
        self._record.unlink(missing_ok=True)
        raise UsageError(f"the output {self._output} is whole; there is nothing to resume")

    def _open(self, size: int, *, anew: bool) -> BinaryIO:
        with self._failures_named():
            self._part.parent.mkdir(parents=True, exist_ok=True)
            stream = self._part.open("w+b" if anew else "r+b")
            if anew:
                self._record.unlink(missing_ok=True)
            else:
                stream.truncate(size)  # half a row may stand beyond what the record counts
                stream.seek(size)
            return stream

    @contextlib.contextmanager
    def _failures_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ResourceError(
                f"cannot write {self._output}: {error.strerror or error}; free space or choose another folder"
            ) from error


class StreamTarget(Closing):
    """A stream of the caller's, which stays open; what went there is gone.

    Args:
        stream: binary.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.progress = Progress()

    def advance(self, progress: Progress) -> None:
        """Hand on what is written: somebody may be waiting for it."""
        self.progress = progress
        self.stream.flush()

    def finish(self, rewrite: Rewrite | None = None) -> None:
        """Hand on the last bytes."""
        assert rewrite is None, "such a format needs a file"
        self.stream.flush()

    def discard(self) -> None:
        """Do nothing: what is gone is gone."""


# What rows are written to, and how far that has come.
Target: TypeAlias = FileTarget | StreamTarget


def _complete_bytes(output: Path) -> int | None:
    """Return how many bytes a part has that holds every row; None where it lacks some, or nobody knows."""
    try:
        record = read_json(record_of(output))
        return int(record["bytes"]) if record["complete"] is True else None
    except (DataError, KeyError, TypeError, ValueError):
        return None
