"""Names, durable writes and the table of what is latest."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import pytest
from artifacts_page import named_patterns, unnamed_files

from toolkit.artifacts import ArtifactStore, check_output, check_picture, claim_outputs
from toolkit.durable import read_json, sha256_bytes, sha256_file, write_atomic, write_json
from toolkit.errors import DataError, ModelError, ResourceError, UsageError
from toolkit.holding import is_claimed, release_claims

ROOT = Path(__file__).resolve().parent.parent


def test_write_atomic_replaces_the_whole_content(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.bin"
    write_atomic(path, b"old and long")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [item.name for item in path.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("call", ["fsync", "fdopen"])
def test_write_atomic_keeps_the_old_file_and_no_temporary_when_the_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "file.bin"
    write_atomic(path, b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "fdopen":
        monkeypatch.setattr(os, "fdopen", _fail_after_closing)
    else:
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(ResourceError, match="No space left"):
        write_atomic(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["file.bin"]


def _fail_after_closing(descriptor: int, *_: object) -> None:
    os.close(descriptor)
    raise OSError(errno.ENOSPC, "No space left on device")


def test_write_atomic_syncs_the_file_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("sync"), real_sync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda self, other: (events.append("rename"), real_replace(self, other))[1])
    write_atomic(tmp_path / "file", b"x")
    assert events == ["sync", "rename", "sync"]


def test_written_files_follow_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    umask, before = os.umask, os.umask(0o022)
    monkeypatch.setattr(os, "umask", None)  # other threads would see it
    try:
        write_atomic(tmp_path / "file", b"x")
    finally:
        umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_write_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"value": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_hashes_agree(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == sha256_bytes(b"abc")
    assert sha256_bytes(b"abc").startswith("ba7816bf")


def test_runs_and_reports_never_collide(tmp_path: Path) -> None:
    store = ArtifactStore(root=tmp_path)
    runs = {store.new_run("mnist") for _ in range(5)}
    assert len(runs) == 5
    reports = []
    for _ in range(3):
        reports.append(store.new_file("reports", "bench", suffix=".json"))
        write_json(reports[-1], {})
    assert len(set(reports)) == 3


@pytest.mark.parametrize(
    "stem", ["../../elsewhere", "a/b", "/root", "two\nlines", "nul\0", "\udcff", "x" * 300, "名" * 100]
)
def test_a_name_that_no_file_can_have_is_made_one_that_lies_where_it_should(tmp_path: Path, stem: str) -> None:
    store = ArtifactStore(root=tmp_path)
    run, report = store.new_run(stem), store.new_file("reports", stem, suffix=".json")
    write_json(report, {})
    assert (run.parent, report.parent) == (tmp_path / "runs", tmp_path / "reports")
    assert run.name.isprintable()
    assert len(os.fsencode(run.name)) < 200
    assert run.is_dir()


def test_latest_run_and_model_are_kept_apart(tmp_path: Path) -> None:
    store = ArtifactStore(root=tmp_path)
    with pytest.raises(UsageError, match="toolkit train"):
        store.latest_run()
    with pytest.raises(UsageError, match="toolkit export"):
        store.latest_model()
    run = store.new_run("a")
    store.record(run=run)
    model = store.model_path("a")
    write_atomic(model, b"x")
    store.record(model=model, model_run=run.name)
    assert store.latest_run() == run
    assert store.latest_model() == model
    assert store.stale_model_warning() is None
    store.record(run=store.new_run("b"))
    assert "toolkit export" in str(store.stale_model_warning())
    assert json.loads((tmp_path / "latest.json").read_text())["model"] == "models/a.onnx"


def test_a_latest_model_that_was_deleted_is_named(tmp_path: Path) -> None:
    store = ArtifactStore(root=tmp_path)
    model = store.model_path("gone")
    write_atomic(model, b"x")
    store.record(model=model, model_run="r")
    model.unlink()
    with pytest.raises(ModelError, match=r"gone\.onnx"):
        store.latest_model()


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"run": 3}'])
def test_a_damaged_table_is_bad_data(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "latest.json").write_bytes(content)
    with pytest.raises(DataError):
        ArtifactStore(root=tmp_path).latest_run()


def test_check_output_refuses_what_would_be_lost(tmp_path: Path) -> None:
    existing = tmp_path / "a.csv"
    existing.write_text("x")
    check_output(tmp_path / "new.csv", force=False)
    check_output(existing, force=True)
    with pytest.raises(UsageError, match="--force"):
        check_output(existing, force=False)
    with pytest.raises(UsageError, match="also an input"):
        check_output(existing, force=True, inputs=(existing,))
    with pytest.raises(UsageError, match="folder"):
        check_output(tmp_path, force=True)


def test_the_root_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "x"))
    assert ArtifactStore.default().root == tmp_path / "x"
    monkeypatch.delenv("TOOLKIT_ARTIFACTS")
    assert ArtifactStore.default().root == Path("artifacts")


def test_two_outputs_are_never_one_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    once, again = tmp_path / "a.csv", tmp_path / "folder" / ".." / "a.csv"
    with pytest.raises(UsageError, match="two outputs are both"):
        claim_outputs(None, once, tmp_path / "b.csv", again, force=True)
    assert not is_claimed(once)
    try:
        claim_outputs(once, None, tmp_path / "b.csv", force=False, inputs=(None, tmp_path / "c.csv"))
        assert is_claimed(once)
        assert is_claimed(tmp_path / "b.csv")
    finally:
        release_claims()
    once.write_text("read")
    with pytest.raises(UsageError, match="is also an input"):
        claim_outputs(tmp_path / "b.csv", once, force=True, inputs=(None, once))
    release_claims()


def test_a_picture_is_called_one() -> None:
    check_picture(None)
    check_picture(Path("a.PNG"))
    with pytest.raises(UsageError, match=r"a\.jpg does not end in \.png"):
        check_picture(Path("a.jpg"))


def test_read_json_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json"):
        read_json(tmp_path / "none.json")


def test_the_page_in_artifacts_names_every_file_of_a_real_tree(trained: Path) -> None:
    made_by_the_fixture = {"modules-train.json", "modules-export.json"}
    assert set(unnamed_files(trained)) <= made_by_the_fixture


def test_the_page_in_artifacts_names_every_place_that_the_code_writes_to() -> None:
    texts = [path.read_text() for path in (ROOT / "toolkit").rglob("*.py")]
    named = {pattern.partition("/")[0] for pattern in named_patterns()}
    written = {name for text in texts for name in re.findall(r'(?:store|self)\.root / "([a-z.]+)"', text)}
    files = {name for text in texts for name in re.findall(r'new_file\("([a-z]+)"', text)}
    assert len(files) >= 3
    assert written | files == named


def test_a_file_in_a_place_of_its_own_is_not_named(tmp_path: Path) -> None:
    for name in ("models/a.onnx", "notes/a.txt", "runs/a/b.txt", "kits/a-web/ort/c/d.wasm"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert sorted(unnamed_files(tmp_path)) == ["notes/a.txt", "runs/a/b.txt"]
