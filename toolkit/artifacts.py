"""Where results go: names inside `artifacts/`, the latest of them; and named outputs, refused before any work."""

from __future__ import annotations

__all__ = [
    "ArtifactStore",
    "cache_folder",
    "check_output",
    "check_picture",
    "claim_outputs",
    "recording_beside",
    "user_folder",
]

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from toolkit.durable import clear_leavings, read_json, write_json
from toolkit.errors import DataError, ModelError, ResourceError, UsageError
from toolkit.holding import claim, hold, is_claimed

# How long another process may take to note something.
RECORDING_S = 60.0
# File systems stop at 255; endings, counts and what a command adds to the name need room too.
MOST_STEM_BYTES = 150


def user_folder(variable: str, *, base_variable: str, base: str) -> Path:
    """Return an absolute folder of the user's own: never one below the working folder unless `variable` says so.

    Args:
        variable: names the folder itself.
        base_variable: names the folder that ours lies in; ignored where it is relative, as the XDG specification asks.
        base: the same in the user's home.

    Raises:
        ResourceError: there is no home.
    """
    if named := os.environ.get(variable):
        return Path(named).absolute()
    folder = os.environ.get(base_variable, "")
    if not os.path.isabs(folder):  # noqa: PTH117 - as below
        folder = os.path.expanduser(f"~/{base}")  # noqa: PTH111 - Path.home() raises without a home
    if not os.path.isabs(folder):  # noqa: PTH117 - as above
        raise ResourceError(f"this user has no home folder; name a folder with {variable}=/some/folder")
    return Path(folder) / "onnx-parity-toolkit"


def cache_folder() -> Path:
    """Return where things are kept that can be made again: `TOOLKIT_CACHE`, else a folder in the user's cache.

    Raises:
        ResourceError: there is no home.
    """
    return user_folder("TOOLKIT_CACHE", base_variable="XDG_CACHE_HOME", base=".cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactStore:
    """The folder that holds all results.

    Attributes:
        root: `./artifacts`, or `TOOLKIT_ARTIFACTS`.
    """

    root: Path

    @classmethod
    def default(cls) -> ArtifactStore:
        """Return the store named by `TOOLKIT_ARTIFACTS`, else `./artifacts`."""
        return cls(root=Path(os.environ.get("TOOLKIT_ARTIFACTS") or "artifacts"))

    def new_run(self, stem: str, *, name: str = "") -> Path:
        """Create and return `runs/<stem>-<time>`, a folder that did not exist before.

        Args:
            stem: any text; what a file name cannot hold becomes `_`, and a long one is cut.
            name: what the folder is called instead; empty for none.

        Raises:
            ResourceError: the folder cannot be made.
            UsageError: the name is taken.
        """
        stamped = f"{_as_file_name(stem)}-{_timestamp()}"
        for count in range(1, 1000):
            path = self.root / "runs" / (name or (stamped if count == 1 else f"{stamped}-{count}"))
            try:
                path.mkdir(parents=True)
            except FileExistsError as error:
                if name:
                    raise UsageError(f"the run {path} is there already; choose another --name") from error
                continue
            except OSError as error:
                raise ResourceError(f"cannot make the run folder {path}: {error.strerror}") from error
            return path
        raise ResourceError(f"no free name for a run under {self.root / 'runs'}")

    def new_file(self, folder: str, stem: str, *, suffix: str) -> Path:
        """Return a path `<folder>/<stem>-<time><suffix>` that does not exist yet and is claimed for this process.

        Args:
            folder: under `root`.
            stem: as for `new_run`.
            suffix: with its dot.

        Raises:
            ResourceError: the folder cannot be written.
        """
        name = f"{_as_file_name(stem)}-{_timestamp()}"
        path = self.root / folder / f"{name}{suffix}"
        count = 1
        # Commands that are started together ask within the same second, and one may have come to its end meanwhile.
        while path.exists() or is_claimed(path) or not claim(path) or path.exists():
            count += 1
            path = self.root / folder / f"{name}-{count}{suffix}"
        return path

    def model_path(self, name: str) -> Path:
        """Return where the model called `name` lies."""
        return self.root / "models" / f"{name}.onnx"

    def record(
        self,
        *,
        started: Path | None = None,
        run: Path | None = None,
        model: Path | None = None,
        model_run: str | None = None,
    ) -> None:
        """Note the latest run or model in `latest.json`, keeping the other entries, whoever else writes there.

        Args:
            started: the run folder whose training begins or goes on.
            run: the run folder just finished.
            model: the model file just written.
            model_run: name of the run that the model came from.
        """
        named = {"started": started, "run": run, "model": model}
        latest = self.root / "latest.json"
        with hold(latest, wait_s=RECORDING_S):
            clear_leavings(latest)
            entries = self._entries() | {key: self._relative(path) for key, path in named.items() if path is not None}
            if model is not None:
                entries["model_run"] = model_run or ""
            write_json(latest, entries)

    def latest_names(self) -> dict[str, str]:
        """Return the names of the latest `run`, `started` run and `model`; an empty one where there is none."""
        try:
            entries = self._entries()
        except DataError:
            entries = {}
        return {key: Path(entries.get(key, "")).name for key in ("run", "started", "model")}

    def forget_run(self, name: str, *, successor: str | None) -> None:
        """Let the latest run, and the one begun last, be another where it was this one.

        Args:
            name: of the run that goes.
            successor: of the run that takes its place; None for none.
        """
        latest = self.root / "latest.json"
        with hold(latest, wait_s=RECORDING_S):
            entries = self._entries()
            mine = [key for key in ("run", "started") if Path(entries.get(key, "")).name == name]
            for key in mine:
                del entries[key]
            if mine:
                write_json(latest, entries | ({} if successor is None else dict.fromkeys(mine, f"runs/{successor}")))

    def latest_run(self) -> Path:
        """Return the latest run folder.

        Raises:
            UsageError: there is none yet.
        """
        return self._latest("run", "no run yet; make one with: toolkit train")

    def latest_started_run(self) -> Path:
        """Return the run folder whose training began or went on last, whole or not.

        Raises:
            UsageError: there is none yet.
        """
        return self._latest("started", "no run to go on with yet; make one with: toolkit train")

    def latest_model(self) -> Path:
        """Return the latest model file.

        Raises:
            UsageError: there is none yet.
        """
        return self._latest("model", "no model yet; make one with: toolkit export")

    def stale_model_warning(self) -> str | None:
        """Return a sentence when the latest model does not come from the latest run, else None."""
        entries = self._entries()
        run, model_run = Path(entries.get("run", "")).name, entries.get("model_run", "")
        if entries.get("model") and run and model_run != run:
            origin = f"run {model_run}" if model_run else "another run"
            return (
                f"the latest model comes from {origin}, not from the latest run {run}; "
                "bring it up to date with: toolkit export"
            )
        return None

    def _latest(self, key: str, missing: str) -> Path:
        name = self._entries().get(key)
        if not name:
            raise UsageError(missing)
        path = self.root / name
        if not path.exists():
            kind = ModelError if key == "model" else UsageError
            raise kind(f"{self.root / 'latest.json'} names {path}, which is not there any more; name another one")
        return path

    def _entries(self) -> dict[str, str]:
        path = self.root / "latest.json"
        if not path.exists():
            return {}
        entries = read_json(path)
        if not isinstance(entries, dict) or not all(isinstance(value, str) for value in entries.values()):
            raise DataError(f"{path} is not a table of names; delete it or name the run or model yourself")
        return entries

    def _relative(self, path: Path) -> str:
        try:
            return path.resolve().relative_to(self.root.resolve()).as_posix()
        except ValueError:
            return str(path.resolve())


def recording_beside(model: Path) -> Path:
    """Return where the export of a module leaves the module's own answers."""
    return model.with_suffix(".parity")


def check_output(path: Path, *, force: bool, inputs: tuple[Path, ...] = ()) -> None:
    """Refuse an explicit output that would overwrite something.

    Raises:
        UsageError: the output exists and `force` is not set, is a folder, is one of the inputs or lies in one.
    """
    for source in inputs if path.exists() else ():
        if source.exists() and (path.samefile(source) or source.resolve() in path.resolve().parents):
            raise UsageError(f"the output {path} is also an input; choose another name")
    if path.is_dir():
        raise UsageError(f"the output {path} is a folder; give a file name")
    if path.exists() and not force:
        raise UsageError(f"the output {path} exists; give another name or --force")


def claim_outputs(*paths: Path | None, force: bool, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse as `check_output` does, and hold the outputs against other commands until this one ends.

    Args:
        paths: where the command is going to write; None where an output was not asked for.
        force: whether they may exist.
        inputs: what is read; None where an input was not given.

    Raises:
        UsageError: as `check_output`, or two outputs are one file.
        ResourceError: another command writes one, or its folder cannot be made.
    """
    targets, sources = [path for path in paths if path], tuple(path for path in inputs if path)
    places = [path.resolve() for path in targets]
    for path, place in zip(targets, places, strict=True):
        if places.count(place) > 1:
            raise UsageError(f"two outputs are both {path}; give each its own name")
    for path in targets:
        check_output(path, force=force, inputs=sources)
        if not claim(path):
            raise ResourceError(f"{path} is being written by another command; wait for it or choose another name")
        check_output(path, force=force, inputs=sources)  # the other one may just have ended


def check_picture(path: Path | None) -> None:
    """Refuse the name of a picture that does not say what it will be.

    Raises:
        UsageError: it does not end in `.png`.
    """
    if path is not None and path.suffix.lower() != ".png":
        raise UsageError(f"the picture {path} does not end in .png; pictures are PNG files")


def _as_file_name(text: str) -> str:
    """Return text that is one part of a path and one line: recipes and data sets are named by their users."""
    safe = "".join(char if char.isprintable() and char not in "/\\" else "_" for char in text)
    return safe.encode()[:MOST_STEM_BYTES].decode(errors="ignore")


def _timestamp() -> str:
    return time.strftime("%Y%m%d-%H%M%S")
