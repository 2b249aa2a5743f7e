"""`make test-fuzz`: 5,000 mutated image files through `toolkit predict`, in bounded time and memory."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from imaging_samples import draw_seven, encode
from mutated_images import mutated_images
from predict_command import run_predict
from tiny_models import save_model

from toolkit.errors import DataError
from toolkit.imaging.decode import decode_image

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(1800)]
COUNT = int(os.environ.get("TOOLKIT_FUZZ_FILES", "5000"))
SEED = int(os.environ.get("TOOLKIT_FUZZ_SEED", "0"))
MOST_MB = 300
MOST_S = 2.0


def test_every_mutated_file_is_an_answer_or_an_error_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_model(tmp_path / "m.onnx", height=28, width=28)
    (tmp_path / "good.png").write_bytes(encode(draw_seven()))
    run_predict(model, tmp_path / "good.png", output=tmp_path / "out.csv")  # the model is probed
    idle = run_predict(model, tmp_path / "good.png", output=tmp_path / "out.csv")
    (tmp_path / "in").mkdir()
    names = []
    for name, data in mutated_images(COUNT, seed=SEED):
        (tmp_path / "in" / name).write_bytes(data)
        names.append(str(tmp_path / "in" / name))
    done = run_predict(model, tmp_path / "in", output=tmp_path / "out.csv")
    assert done.code == 3
    assert [row["source"] for row in done.rows] == names
    errors = [row for row in done.rows if row["status"] == "error"]
    assert all(row["message"] for row in errors)
    assert all(row["label"] for row in done.rows if row["status"] == "ok")
    assert 0 < len(errors) < len(names)
    with capsys.disabled():
        grown = done.peak_mb - idle.peak_mb
        sys.stdout.write(
            f"\n{len(names)} files, {len(errors)} error rows, {grown:.0f} MB over idle, {done.seconds:.1f} s\n"
        )
    assert done.peak_mb < idle.peak_mb + MOST_MB
    assert len(done.stderr.splitlines()) < 20  # no decoder writes a line for every file


def test_no_mutated_file_takes_long(capsys: pytest.CaptureFixture[str]) -> None:
    slowest, slowest_name = 0.0, ""
    for name, data in mutated_images(COUNT, seed=SEED):
        start = time.thread_time()
        with suppress(DataError):
            decode_image(data, name=name)
        elapsed = time.thread_time() - start
        if elapsed > slowest:
            slowest, slowest_name = elapsed, name
    with capsys.disabled():
        sys.stdout.write(f"\nslowest: {slowest:.3f} core-seconds, {slowest_name}\n")
    assert slowest < MOST_S, slowest_name
