from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from imaging_samples import draw_seven, encode
from machine import skip_where_cuda_works
from predict_command import predict_here
from tiny_models import save_model

from toolkit.artifacts import ArtifactStore
from toolkit.prediction.pipeline.blocks import COLUMNS

pytestmark = pytest.mark.usefixtures("probed_once")

RUNNER = """
import sys
from toolkit.cli.app import main
try:
    main(["predict", *sys.argv[1:]])
finally:
    loaded = [name for name in ("torch", "onnx", "matplotlib", "requests") if name in sys.modules]
    if loaded:
        sys.exit(f"loaded {loaded}")
"""


def predict_apart(*arguments: Any, code: int = 0, runner: str = RUNNER) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own: its import budget, and no word of a library on its streams."""
    result = subprocess.run(
        [sys.executable, "-c", runner, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert result.returncode == code, result.stderr
    return result


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_model(tmp_path / "m.onnx", height=28, width=28)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    (tmp_path / "seven.png").write_bytes(encode(draw_seven()))
    return tmp_path / "seven.png"


def test_onnx_runtime_keeps_and_sends_no_events(
    tmp_path: Path, model: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CI", "ORT_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    predict_apart(model, picture)
    assert not [path for path in (tmp_path / "home").rglob("*") if "onnxruntime" in path.name]


def test_csv_lands_under_a_unique_name_and_the_table_is_shown(tmp_path: Path, model: Path, picture: Path) -> None:
    first = predict_apart(model, picture)
    predict_here(model, picture)
    written = sorted((tmp_path / "artifacts" / "predictions").iterdir())
    assert len(written) == 2
    assert list(rows_of(written[0].read_text())[0]) == list(COLUMNS)
    assert "seven.png" in first.stdout
    assert "1 predicted" in first.stdout
    assert "predictions/m-" in first.stdout
    assert first.stderr == ""


def test_model_may_stand_anywhere_and_every_kind_of_input_is_taken(model: Path, picture: Path) -> None:
    result = predict_here(picture, model, picture, "-o", "-")
    assert [row["source"] for row in rows_of(result.stdout)] == [str(picture)] * 2


def test_stdout_holds_the_csv_and_nothing_else(model: Path, picture: Path) -> None:
    result = predict_here(model, picture, "--output", "-", "--probabilities")
    (row,) = rows_of(result.stdout)
    assert (row["source"], row["provider"], row["status"]) == (str(picture), "cpu", "ok")
    assert sum(float(row[f"p_{name}"]) for name in ("top", "middle", "bottom")) == pytest.approx(1, abs=1e-6)
    assert "1 predicted" in result.stderr


def test_json_is_the_only_thing_on_stdout(model: Path, picture: Path) -> None:
    report = json.loads(predict_here(model, picture, "--json").stdout)
    assert report["schema"] == "toolkit/predictions/1"
    assert Path(report["output"]).exists()
    assert report["preview"][0]["source"] == str(picture)


def test_latest_model_is_used_and_named(tmp_path: Path, picture: Path) -> None:
    store = ArtifactStore.default()
    (store.root / "models").mkdir(parents=True)
    path = save_model(store.model_path("first"), height=28, width=28)
    run = store.new_run("newer")
    store.record(run=run, model=path, model_run="older")
    result = predict_here(picture, "-o", "-")
    assert len(rows_of(result.stdout)) == 1
    assert "using the model " in result.stderr
    assert "first.onnx\n" in result.stderr
    assert "warning: the latest model comes from run older" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.onnx", "b.onnx", "x.png"], "2 models"),
        (["a.onnx"], "nothing to predict"),
        (["a.onnx", "x.png", "-o", "-", "--json"], "stdout"),
        (["x.png"], "no model yet"),
        (["a.onnx", "x.png", "--batch", "0"], "batch is 0"),
        (["MODEL", "x.png", "--provider", "cudda"], "did you mean 'cuda'"),
    ],
)
def test_requests_that_make_no_sense_end_with_2(model: Path, arguments: list[str], said: str) -> None:
    result = predict_here(*(str(model) if argument == "MODEL" else argument for argument in arguments), code=2)
    assert result.stdout == ""
    assert said in result.stderr


def test_existing_output_ends_with_2_and_is_kept(tmp_path: Path, model: Path, picture: Path) -> None:
    (tmp_path / "x.csv").write_text("old")
    assert "--force" in predict_here(model, picture, "-o", tmp_path / "x.csv", code=2).stderr
    assert (tmp_path / "x.csv").read_text() == "old"
    predict_here(model, picture, "-o", tmp_path / "x.csv", "--force")
    assert len(rows_of((tmp_path / "x.csv").read_text())) == 1


def test_bad_input_ends_with_3_after_the_rest_is_done(tmp_path: Path, model: Path, picture: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    result = predict_here(model, tmp_path / "bad.png", picture, "-o", "-", code=3)
    assert [row["status"] for row in rows_of(result.stdout)] == ["error", "ok"]
    assert result.stderr.splitlines()[-1].startswith("error: 1 of 2 rows has no prediction; the first:")
    alone = predict_here(model, tmp_path / "bad.png", "-o", "-", code=3)
    assert alone.stderr.splitlines()[-1].startswith("error: 1 of 1 row has no prediction; the first:")


def test_model_that_cannot_be_used_ends_with_4_and_one_that_is_not_there_with_2(tmp_path: Path, picture: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"garbage")
    for path, code in ((tmp_path / "bad.onnx", 4), (tmp_path / "missing.onnx", 2)):
        result = predict_apart(path, picture, "-o", "-", code=code)
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 1


def test_missing_cuda_ends_with_5_names_the_library_and_writes_nothing(
    tmp_path: Path, model: Path, picture: Path
) -> None:
    skip_where_cuda_works()
    result = predict_apart(model, picture, "--provider", "cuda", code=5)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert ".so" in line or "not part of this onnxruntime build" in line
    assert not (tmp_path / "artifacts").exists()
    result = predict_here(model, picture, "--provider", "cuda", "--allow-fallback", "-o", "-")
    assert [row["status"] for row in rows_of(result.stdout)] == ["fallback"]
    assert "FALLBACK: cuda was asked for" in result.stderr


def test_control_characters_of_a_name_do_not_reach_the_terminal(tmp_path: Path, model: Path) -> None:
    name = os.fsdecode(bytes(tmp_path) + b"/a\x1b[31m\n\xff[bold].png")
    Path(name).write_bytes(encode(draw_seven()))
    result = predict_here(model, name)
    assert "\x1b[31m" not in result.stdout
    assert "\\x1b[31m\\n\\udcff[bold].png" in result.stdout.replace("\n", "")


def test_idx_file_is_predicted(tmp_path: Path, model: Path) -> None:
    import numpy as np
    from idx_files import write_idx

    write_idx(tmp_path / "x-ubyte", np.stack([draw_seven()] * 3))
    result = predict_apart(model, tmp_path / "x-ubyte", "-o", "-", runner=RUNNER.replace(', "requests"', ""))
    assert [row["index"] for row in rows_of(result.stdout)] == ["0", "1", "2"]
