"""A run is found by its name, whatever lies in the working folder under the same one."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.artifacts import ArtifactStore
from toolkit.errors import UsageError
from toolkit.runs.run import find_run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
    run = tmp_path / "results" / "runs" / "shapes"
    run.mkdir(parents=True)
    (run / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return ArtifactStore(root=tmp_path / "results")


@pytest.mark.parametrize("suffix", ["", "@12", "@best"])
def test_a_folder_of_pictures_does_not_hide_the_run_that_was_named_after_it(store: ArtifactStore, suffix: str) -> None:
    Path("shapes/circle").mkdir(parents=True)
    assert find_run(Path(f"shapes{suffix}"), store=store) == store.root / "runs" / f"shapes{suffix}"


def test_a_run_here_comes_before_one_of_the_store(store: ArtifactStore) -> None:
    Path("shapes").mkdir()
    Path("shapes/config.json").write_text("{}")
    assert find_run(Path("shapes"), store=store) == Path("shapes")


def test_a_folder_that_is_no_run_is_what_was_named_where_there_is_no_other(store: ArtifactStore) -> None:
    Path("other").mkdir()
    assert find_run(Path("other"), store=store) == Path("other")
    with pytest.raises(UsageError, match="did you mean 'shapes'"):
        find_run(Path("shape"), store=store)
