"""`toolkit runs`, `toolkit recipes`, `toolkit train --name`: what lies there, what each field means, what may go."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from commands_here import run_here
from small_training import SMALL, Listener, make_bars
from terminal import watch

from toolkit.artifacts import ArtifactStore
from toolkit.errors import UsageError
from toolkit.holding import hold
from toolkit.network.ranges import Range
from toolkit.runs.run import check_run_name
from toolkit.training.config import TrainConfig
from toolkit.training.recipe_catalog import RECIPES, SUMMARIES, resolve_recipe
from toolkit.training.recipe_fields import EVERY_LIMIT, list_fields
from toolkit.training.train import train


@pytest.fixture
def store(trained: Path) -> ArtifactStore:
    """The test's own artifacts, with a copy of the session's run and model."""
    mine = ArtifactStore.default()
    shutil.copytree(trained, mine.root)
    return mine


def listed(*arguments: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(run_here("runs", *arguments, "--json").stdout)
    return report


def run_of(store: ArtifactStore) -> Path:
    return store.latest_run()


def test_runs_and_models_are_listed_with_what_is_known_of_them(store: ArtifactStore) -> None:
    name = run_of(store).name
    report = listed()
    (run,), (model,) = report["runs"], report["models"]
    recorded = json.loads((run_of(store) / "evaluation.json").read_text())
    assert (run["name"], run["state"], run["is_latest"], run["data"]) == (name, "done", True, "mnist-mini")
    assert (run["accuracy"]["correct"], run["accuracy"]["count"]) == (recorded["correct"], recorded["count"])
    assert run["changes"]["epochs"] == [3, 8]
    assert set(run["changes"]) == {"epochs", "hidden_units", "conv1_channels", "conv2_channels"}
    assert run["models"] == [model["name"]]
    assert (model["run"], model["precision"], model["accuracy"]["count"]) == (name, "fp32", 1000)
    assert run["size_bytes"] > model["size_bytes"] > 10_000


def test_the_list_fits_80_columns_but_for_paths(store: ArtifactStore) -> None:
    lines = run_here("runs").stdout.splitlines()
    assert max(len(line) for line in lines if str(store.root) not in line) < 80
    assert any("epochs 3 -> 8" in line for line in lines)
    assert not any(line.endswith((" ", "…")) for line in lines)


def test_a_copied_run_keeps_its_date_and_a_star_is_explained_where_there_is_one(store: ArtifactStore) -> None:
    begun = json.loads((run_of(store) / "config.json").read_text())["training"]["begun_at"]
    os.utime(run_of(store) / "checkpoints" / "last.json", (0, 0))
    assert [row["time"] for row in listed()["runs"]] == [begun]
    assert "* is used where none is named" in run_here("runs").stdout
    config = json.loads((run_of(store) / "config.json").read_text())
    config["training"]["begun_at"] = "yesterday"  # somebody edited it
    (run_of(store) / "config.json").write_text(json.dumps(config))
    (store.root / "latest.json").unlink()
    assert [row["time"] for row in listed()["runs"]] == ["1970-01-01T00:00:00+00:00"]
    assert "*" not in run_here("runs").stdout


def test_nothing_there_says_what_makes_something() -> None:
    done = run_here("runs")
    assert done.returncode == 0
    assert "toolkit train" in done.stdout
    assert listed()["runs"] == []


def test_what_is_unfinished_or_damaged_is_a_row_that_says_so(store: ArtifactStore) -> None:
    runs = store.root / "runs"
    for name in ("half", "begun", "broken", "headless"):
        shutil.copytree(run_of(store), runs / name)
    (runs / "empty").mkdir()
    config = json.loads((runs / "half" / "config.json").read_text())
    config["training"]["cycles"] = [20]
    (runs / "half" / "config.json").write_text(json.dumps(config))
    shutil.rmtree(runs / "begun" / "checkpoints")
    (runs / "broken" / "config.json").write_text("{")
    (runs / "broken" / "evaluation.json").write_text("[]")
    (runs / "headless" / "checkpoints" / "last.safetensors").unlink()
    (store.root / "models" / "stranger.onnx").write_bytes(b"no card")
    (store.root / "latest.json").write_text("[]")
    report = listed()
    states = {row["name"]: (row["state"], row["reason"]) for row in report["runs"]}
    assert states["half"] == ("unfinished", "8 of 20 epochs; go on with: toolkit train --resume half")
    assert states["begun"][0] == "unfinished"
    assert [states[name][0] for name in ("broken", "headless", "empty")] == ["damaged"] * 3
    strangers = [row for row in report["models"] if row["name"] == "stranger.onnx"]
    assert [row["state"] for row in strangers] == ["damaged"]
    assert run_here("runs").returncode == 0


@pytest.mark.parametrize("content", ['{"correct": 1}', '{"accuracy": 7, "correct": 1, "count": 1}', "[1]", "nothing"])
def test_an_evaluation_that_cannot_be_is_none(store: ArtifactStore, content: str) -> None:
    (run_of(store) / "evaluation.json").write_text(content)
    config = json.loads((run_of(store) / "config.json").read_text())
    config["training"]["fitted"] = {"epochs": 7}  # somebody edited it
    (run_of(store) / "config.json").write_text(json.dumps(config))
    (store.root / "runs" / "link").symlink_to(store.root, target_is_directory=True)
    rows = {row["name"]: row for row in listed()["runs"]}
    assert rows[run_of(store).name]["accuracy"] is None
    assert rows["link"]["size_bytes"] == 0
    assert "not evaluated" in run_here("runs").stdout


def test_a_run_is_not_deleted_where_nobody_can_be_asked(store: ArtifactStore) -> None:
    done = run_here("runs", "--delete", run_of(store).name)
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert run_of(store).is_dir()


def test_the_latest_run_that_goes_is_followed_by_the_one_before_it(store: ArtifactStore) -> None:
    latest, older = run_of(store), store.root / "runs" / "older"
    shutil.copytree(latest, older)
    models = [path.name for path in (store.root / "models").glob("*.onnx")]
    done = run_here("runs", "--delete", "latest", "--force")
    assert done.returncode == 0
    assert models[0] in done.stderr
    assert f"the latest run is now {older.name}" in done.stdout
    assert not latest.exists()
    assert store.latest_run() == older
    assert [path.name for path in (store.root / "models").glob("*.onnx")] == models
    assert listed()["models"][0]["run"] == "older"  # it holds the same checkpoint
    assert run_here("runs", "--delete", "older", "--force").returncode == 0
    with pytest.raises(UsageError, match="no run yet"):
        store.latest_run()
    assert "its run is gone" in run_here("runs").stdout


def test_a_run_that_is_being_trained_stays(store: ArtifactStore) -> None:
    with hold(run_of(store) / "checkpoints"):
        assert listed()["runs"][0]["state"] == "training"
        done = run_here("runs", "--delete", "latest", "--force")
    assert done.returncode == 5
    assert "is being trained" in done.stderr
    assert listed()["runs"][0]["state"] == "done"


def test_only_whole_runs_of_the_store_are_deleted_and_links_are_not_followed(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(run_of(store), elsewhere)
    (store.root / "runs" / "link").symlink_to(elsewhere, target_is_directory=True)
    model = next((store.root / "models").glob("*.onnx"))
    for name in ("link", str(elsewhere), "..", ".", str(store.root), "none", "latest@best", model.name, ""):
        assert run_here("runs", "--delete", name, "--force").returncode == 2, name
    inside = run_of(store) / "out"
    inside.symlink_to(elsewhere, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / run_of(store).name).mkdir()  # of the same name, in the working folder
    assert run_here("runs", "--delete", run_of(store).name, "--force").returncode == 0
    assert (elsewhere / "config.json").exists()
    assert len(list(tmp_path.glob("mnist-mini-*"))) == 1


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("", 1), ("y", 0)])
def test_a_terminal_is_asked(store: ArtifactStore, answer: str, code: int) -> None:
    run = run_of(store)
    command = (sys.executable, "-m", "toolkit", "runs", "--delete", run.name)
    watched = watch(*command, columns=200, environment=os.environ, cwd=Path.cwd(), typed=f"{answer}\n")
    assert watched.code == code, watched.screen
    assert "delete it?" in watched.raw
    assert run.exists() == (code != 0)


def test_force_alone_is_refused() -> None:
    assert run_here("runs", "--force").returncode == 2


def test_a_name_is_the_runs_and_unique(store: ArtifactStore) -> None:
    config = TrainConfig(recipe=resolve_recipe("tutorial", settings=SMALL), name="mine.1+x=2", device="cpu")
    assert train(make_bars(), config, store=store, listener=Listener()).run == store.root / "runs" / "mine.1+x=2"
    with pytest.raises(UsageError, match=r"is there already.*toolkit runs --delete mine\.1"):
        train(make_bars(), config, store=store, listener=Listener())
    done = run_here("train", "--data", "nowhere", "--name", "mine.1+x=2")  # told before data are looked for
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert run_here("train", "--resume", "latest", "--name", "other").returncode == 2


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "a\\b", "-x", ".x", "x.", "run@12", "latest", "x.onnx", "a b", "x" * 151, "a\n", "$(x)"],
)
def test_a_name_that_a_command_would_read_otherwise_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        check_run_name(name, store=ArtifactStore.default())


def test_every_field_has_a_meaning_and_limits_that_hold_its_value() -> None:
    for recipe in RECIPES.values():
        rows = list_fields(recipe)
        assert len({row.key for row in rows}) == len(rows) > 30
        for row in rows:
            limit = EVERY_LIMIT[row.key]
            assert row.meaning.endswith("."), row.key
            assert limit.holds(float(row.value)) if isinstance(limit, Range) else row.value in limit
    assert SUMMARIES.keys() == RECIPES.keys()


@pytest.mark.parametrize("arguments", [[], ["best"], ["fast"]])
def test_recipes_fit_80_columns(arguments: list[str]) -> None:
    lines = run_here("recipes", *arguments).stdout.splitlines()
    assert max(map(len, lines)) < 80
    assert not any("…" in line for line in lines)


def test_recipes_are_told_as_json_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    report = json.loads(run_here("recipes", "speedrun", "--json").stdout)
    (row,) = report["rows"]
    fields = {item["key"]: item for item in row["fields"]}
    assert (fields["epochs"]["value"], fields["epochs"]["follows_size"]) == (1, True)
    assert fields["dropout"]["limits"] == "at least 0 and less than 1"
    assert "did you mean 'best'" in run_here("recipes", "bset").stderr
    (tmp_path / "own.toml").write_text('base = "best"\nepochs = 3\n')
    assert "begins from best" in run_here("recipes", str(tmp_path / "own.toml")).stdout
