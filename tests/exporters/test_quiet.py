"""What converters print goes to a log, whichever way they do it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from exporters.quiet import noise_into


def test_every_way_of_making_noise_is_heard_and_nothing_reaches_the_user(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "new" / "export.log"
    with noise_into(log):
        sys.stdout.write("printed\n")
        sys.stderr.write("complained\n")
        os.write(1, b"written below\n")
        os.write(2, b"cried below\n")
        warnings.warn("warned", UserWarning, stacklevel=1)
        logging.getLogger("onnxscript").warning("logged")
        subprocess.run([sys.executable, "-c", "print('said by a child')"], check=True)
    assert capfd.readouterr() == ("", "")
    text = log.read_text()
    for word in ("printed", "complained", "written below", "cried below", "warned", "logged", "said by a child"):
        assert word in text


def test_afterwards_everything_is_as_it_was_even_after_a_failure(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("torch.onnx")
    before = (logger.handlers[:], logger.propagate, sys.stdout, sys.stderr, warnings.showwarning)
    with pytest.raises(RuntimeError), noise_into(tmp_path / "log"):
        raise RuntimeError
    assert (logger.handlers[:], logger.propagate, sys.stdout, sys.stderr, warnings.showwarning) == before
    sys.stdout.write("out again\n")
    os.write(2, b"err again\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("out again\n", "err again\n")


def test_a_second_block_adds_to_the_log(tmp_path: Path) -> None:
    for word in ("first", "second"):
        with noise_into(tmp_path / "log"):
            sys.stdout.write(f"{word}\n")
    assert (tmp_path / "log").read_text().split() == ["first", "second"]
