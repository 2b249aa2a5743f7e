"""What converters print and warn goes to a log, whichever way they do it."""

from __future__ import annotations

__all__ = ["append_to", "noise_into"]

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TextIO

LOUD_LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir", "root")


@contextlib.contextmanager
def append_to(log: Path) -> Iterator[BinaryIO]:
    """Open a log for adding to it, with the folder that it lies in."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        yield stream


@contextlib.contextmanager
def noise_into(log: Path) -> Iterator[None]:
    """Send everything that is printed, warned or logged inside the block to the end of a file.

    File descriptors 1 and 2 are turned, so that libraries in C++ are heard too; Python's own streams, warnings and
    the exporters' loggers follow them. For the whole process: nothing else should write meanwhile.

    Args:
        log: a file; `os.devnull` for nowhere.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with append_to(log) as target, _turned(target, 1), _turned(target, 2):
        text = os.fdopen(os.dup(target.fileno()), "w", encoding="utf-8", errors="backslashreplace", buffering=1)
        with text, contextlib.redirect_stdout(text), contextlib.redirect_stderr(text), _python_into(text):
            yield


@contextlib.contextmanager
def _turned(target: BinaryIO, descriptor: int) -> Iterator[None]:
    try:
        kept = os.dup(descriptor)
    except OSError:  # closed from the start: there is nothing to turn
        yield
        return
    os.dup2(target.fileno(), descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)


@contextlib.contextmanager
def _python_into(text: TextIO) -> Iterator[None]:
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(None if name == "root" else name) for name in LOUD_LOGGERS]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = partial(_write_warning, text)
            yield
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate


def _write_warning(text: TextIO, message: Warning | str, *where: Any, **_: Any) -> None:
    text.write(warnings.formatwarning(message, *where[:3]))
