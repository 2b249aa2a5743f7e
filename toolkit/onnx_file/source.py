"""What a runtime opens: the bytes of a file and, where there is one, the run they came from."""

from __future__ import annotations

__all__ = ["ModelSource"]

from dataclasses import dataclass
from pathlib import Path

from toolkit.durable import sha256_bytes
from toolkit.errors import ModelError
from toolkit.regular_file import read_regular

MODEL_CAP_BYTES = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """A model, read once: what was hashed is what runs.

    Attributes:
        model: the file's bytes.
        sha256: their hash.
        path: where they were read, for messages and reports.
        run: the run, as `read_run` takes it; needed by runtimes that execute the network itself.
    """

    model: bytes
    sha256: str
    path: Path
    run: Path | None = None

    def describe(self) -> dict[str, str | int]:
        """Return what a report says about it: `path`, `sha256` and `size_bytes`."""
        return {"path": str(self.path), "sha256": self.sha256, "size_bytes": len(self.model)}

    @classmethod
    def in_memory(cls, model: bytes, path: Path) -> ModelSource:
        """Return a model that lies in no file yet; `path` is what messages call it."""
        return cls(model=model, sha256=sha256_bytes(model), path=path)

    @classmethod
    def read(cls, path: Path, *, run: Path | None = None) -> ModelSource:
        """Read a file once.

        Raises:
            ModelError: missing, unreadable, empty or over 2 GiB (protobuf's own limit).
        """
        data = read_regular(path, most_bytes=MODEL_CAP_BYTES, name=f"the model {path}", raises=ModelError)
        if not data:
            raise ModelError(f"the model {path} has 0 bytes; expected an .onnx file")
        return cls(model=data, sha256=sha256_bytes(data), path=path, run=run)
