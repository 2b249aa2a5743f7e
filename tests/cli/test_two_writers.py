"""Two commands on one output: the second is refused or waits; nothing is lost or mixed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from imaging_samples import encode
from predict_command import predict_here

from toolkit import artifacts
from toolkit.artifacts import ArtifactStore
from toolkit.cli.app import main
from toolkit.data.load import load_mini
from toolkit.errors import UsageError
from toolkit.holding import claim, release_claims
from toolkit.prediction.config import EXECUTORS, RAY, PredictionConfig
from toolkit.prediction.run import run_prediction
from toolkit.prediction.sinks.target import FileTarget, part_of

IMAGES = load_mini().train.images
PATIENCE_S = 600.0


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start a command that waits for names on its standard input."""
    command = [sys.executable, "-m", "toolkit", *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.02)


def test_a_second_prediction_into_an_output_under_way_leaves_with_5(model_path: Path, tmp_path: Path) -> None:
    output, picture = tmp_path / "rows.csv", tmp_path / "a.png"
    picture.write_bytes(encode(IMAGES[0]))
    with start("predict", model_path, "-", "-o", output) as first:
        wait_for(part_of(output), first)
        for more in ([], ["--resume"], ["--force"]):
            second = predict_here(model_path, picture, "-o", output, *more, code=5)
            assert second.stdout == ""
            assert f"error: {output} is being written by another process" in second.stderr
        _, words = first.communicate(f"{picture}\n{picture}\n")
        assert first.returncode == 0, words
    assert len(output.read_text().splitlines()) == 3
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.is_file()) == ["a.png", "rows.csv"]


def test_an_output_that_came_while_the_second_opened_its_model_is_kept(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"another's")
    with pytest.raises(UsageError, match="exists"):
        FileTarget(tmp_path / "rows.csv", {}, resume=False, force=False)


@pytest.mark.parametrize("how", ["pattern", "folder", "list", "linked", "pattern of folders"])
def test_forced_outputs_are_never_inputs(model_path: Path, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(encode(IMAGES[number]))
    output = folder / "1.png"
    if how == "linked":
        output = tmp_path / "kept.png"
        (folder / "1.png").rename(output)
        (folder / "1.png").symlink_to(output)
    before = output.read_bytes()
    source = {"pattern": folder / "*.png", "list": "-", "pattern of folders": tmp_path / "sc*"}.get(how, folder)
    names = "\n".join(str(folder / f"{number}.png") for number in range(3)) if how == "list" else ""
    for option, ending in (("-o", ()), ("--gallery", ("-o", str(tmp_path / "rows.csv")))):
        done = predict_here(model_path, source, option, output, *ending, "--force", code=2, stdin=names)
        assert f"the output {output} is also an input" in done.stderr
        assert output.read_bytes() == before
    assert sorted(entry.name for entry in folder.iterdir()) == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_list_on_standard_input_is_not_overwritten_by_the_rows_of_what_it_names(
    executor: str, model_path: Path, tmp_path: Path
) -> None:
    names, gallery = tmp_path / "names.txt", tmp_path / "g.png"
    names.write_text("a.png\n")
    gallery.hardlink_to(names)
    config = PredictionConfig(model=model_path, inputs=(Path("-"),), executor=executor, force=True)
    for outputs in ({"output": names}, {"output": tmp_path / "rows.csv", "gallery": gallery}):
        with names.open("rb") as stdin, pytest.raises(UsageError, match="also the list on standard input"):
            run_prediction(replace(config, **outputs), stdin=stdin)
    assert names.read_text() == "a.png\n"
    if executor != RAY:
        with names.open("rb") as stdin:
            assert run_prediction(replace(config, output=tmp_path / "rows.csv"), stdin=stdin).num_errors == 1


def test_a_gallery_is_not_overwritten_unasked_beside_rows_on_stdout(model_path: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGES[:2])
    gallery = tmp_path / "g.png"
    gallery.write_bytes(b"another's")
    done = predict_here(model_path, tmp_path / "a.npy", "-o", "-", "--gallery", gallery, code=2)
    assert (done.stdout, gallery.read_bytes()) == ("", b"another's")


HOLDER = """
import contextlib, sys
from pathlib import Path
from toolkit.holding import hold
with contextlib.ExitStack() as stack:
    for path in sys.argv[1:]:
        stack.enter_context(hold(Path(path)))
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def held_by_another(*paths: Path) -> Iterator[None]:
    """Let another process write these paths meanwhile."""
    command = [sys.executable, "-c", HOLDER, *map(str, paths)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            yield
        finally:
            other.communicate("")


def test_no_command_writes_what_another_one_is_writing(
    model_path: Path, trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, output, model = tmp_path / "g.png", tmp_path / "o.json", tmp_path / "models" / "m.onnx"
    (tmp_path / "a.png").write_bytes(encode(IMAGES[0]))
    (tmp_path / "bench.json").write_text("{}")
    (tmp_path / "curve.json").write_text("{}")
    commands: list[tuple[str, list[object]]] = [
        ("o.json", ["bench", model_path, "-o", output]),
        ("g.png", ["bench", model_path, "--picture", picture]),
        ("o.json", ["parity", model_path, "-o", output]),
        ("o.json", ["doctor", "-o", output]),
        ("o.json", ["report", tmp_path / "bench.json", "-o", output]),
        ("g.png", ["data", "show", "mnist-mini", "-o", picture]),
        ("g.png", ["predict", model_path, tmp_path / "a.png", "-o", tmp_path / "rows.csv", "--gallery", picture]),
        ("curve.json", ["learning-curve", "--resume", tmp_path / "curve.json", "--data", "mnist-mini"]),
        ("m.onnx", ["export", trained_run, "-o", model]),
    ]
    with held_by_another(picture, output, tmp_path / "curve.json", model):
        for name, arguments in commands:
            with pytest.raises(SystemExit) as left:
                main(list(map(str, arguments)))
            (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
            assert left.value.code == 5, line
            assert f"{name} is " in line
            assert "by another" in line
    assert not picture.exists()
    assert not output.exists()
    assert not model.exists()


RECORDER = """
import sys
from pathlib import Path
from toolkit.artifacts import ArtifactStore
store, key = ArtifactStore(root=Path(sys.argv[1])), sys.argv[2]
for number in range(40):
    store.record(**{key: store.root / f"{key}-{number}"})
    assert store._entries()[key] == f"{key}-{number}", "another process took it back"
"""


def test_what_is_latest_loses_no_entry_to_another_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RECORDER, str(tmp_path)]
    others = [subprocess.Popen([*command, key]) for key in ("started", "run", "model")]
    assert [other.wait() for other in others] == [0, 0, 0]
    assert json.loads((tmp_path / "latest.json").read_text()).keys() == {"started", "run", "model", "model_run"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["latest.json"]


def test_unique_names_are_unique_among_commands_of_one_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "_timestamp", lambda: "20260101-000000")
    store = ArtifactStore(root=tmp_path)
    name = tmp_path / "reports" / "bench-20260101-000000.json"
    with held_by_another(name):
        assert store.new_file("reports", "bench", suffix=".json").name == "bench-20260101-000000-2.json"
        assert store.new_file("reports", "bench", suffix=".json").name == "bench-20260101-000000-3.json"
    release_claims()
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_name_that_another_command_used_up_while_it_was_claimed_is_not_given_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "_timestamp", lambda: "20260101-000000")
    first = tmp_path / "reports" / "bench-20260101-000000.json"

    def claim_late(path: Path) -> bool:
        claimed = claim(path)
        if path == first:
            path.write_text("another's")
        return claimed

    monkeypatch.setattr(artifacts, "claim", claim_late)
    assert (
        ArtifactStore(root=tmp_path).new_file("reports", "bench", suffix=".json").name == "bench-20260101-000000-2.json"
    )
    assert first.read_text() == "another's"
    first.unlink()
    release_claims()
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
