"""A signal in the middle of a prediction: what is written is kept, and the last line says how to go on."""

from __future__ import annotations

__all__ = ["stopping_kept"]

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from toolkit.errors import ResourceError, StoppedError, ToolkitError
from toolkit.prediction.unfinished import part_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from toolkit.prediction.outputs import Target

SIGTERM_EXIT = 128 + signal.SIGTERM


@contextmanager
def stopping_kept(target: Target, output: Path | None) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a `StoppedError` that names the unfinished result.

    After an error of the model or of the inputs nothing is kept; after one of the machine (a full disk, say) it is.

    Args:
        target: what rows are written to.
        output: the file, None where it is a stream.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != SIGTERM_EXIT:
            raise
        number = signal.SIGTERM if isinstance(stop, SystemExit) else signal.SIGINT
        raise StoppedError(_describe(target, output), signal=number) from stop
    except ResourceError:
        raise
    except ToolkitError:
        target.discard()
        raise


def _describe(target: Target, output: Path | None) -> str:
    rows = f"stopped after {target.progress.rows} rows"
    if output is None or not target.progress.rows:
        return rows
    return f"{rows}, which lie in {part_of(output)}; go on with the same command and --output {output} --resume"
