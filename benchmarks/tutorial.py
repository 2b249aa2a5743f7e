"""The tutorial's notebook executed, and its outputs kept.

    python benchmarks/tutorial.py

executes docs/tutorial/digits.ipynb in an empty folder, with the settings in its head, and stores the outputs in it. It
fetches MNIST. Needs the extras `docs`, `tensorboard` and `tune`.
"""

from __future__ import annotations

__all__ = ["TUTORIAL", "execute", "main"]

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
TUTORIAL = ROOT / "docs" / "tutorial" / "digits.ipynb"
MOST_BYTES = 1_500_000
# IPython asks commands for it; a page shows it as letters.
STYLE = re.compile(r"\x1b\[[\d;]*m")


def main() -> None:
    """Execute the notebook and store it."""
    with tempfile.TemporaryDirectory(prefix="toolkit-tutorial-") as name:
        os.environ["TOOLKIT_DATA"] = "data"  # in the empty folder
        notebook = execute(TUTORIAL, folder=Path(name))
    text = nbformat.writes(notebook) + "\n"
    if len(text) > MOST_BYTES:
        sys.exit(f"the notebook with its outputs has {len(text):,} bytes; expected at most {MOST_BYTES:,}")
    TUTORIAL.write_text(text, "utf-8")


def execute(path: Path, *, folder: Path, settings: dict[str, Any] | None = None) -> Any:
    """Return a notebook with the outputs of its cells; what lies in the folder is told without the folder's path.

    Args:
        path: of the notebook.
        folder: in which its cells work.
        settings: what takes the place of the cell tagged `parameters`.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    notebook = nbformat.read(path, as_version=4)
    if settings is not None:
        (head,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
        head.source = "\n".join(f"{name} = {value!r}" for name, value in settings.items())
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=None, record_timing=False, coalesce_streams=True, resources=resources).execute()
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        if output.output_type == "stream":
            output.text = STYLE.sub("", output.text).replace(f"{folder}{os.sep}", "")
    return notebook


if __name__ == "__main__":
    main()
