"""An environment of its own for a proof, from packages that lie in a folder: for machines that reach no registry."""

from __future__ import annotations

__all__ = ["make_environment"]

import venv
from pathlib import Path

from toolkit.errors import ResourceError
from toolkit.programs import run_program

PACKAGES = {"cuda": "onnx-parity-toolkit[cuda]"}


def make_environment(folder: Path, wheels: Path, *, provider: str) -> Path:
    """Make a virtual environment with the toolkit and what a provider needs; return its interpreter.

    Args:
        folder: where it is to lie.
        wheels: the folder with the packages, filled by `pip download`.
        provider: what is to be proven.

    Raises:
        ResourceError: a package is not there, or does not fit this machine.
    """
    python = folder / "bin" / "python"
    venv.create(folder, with_pip=True)
    package = PACKAGES.get(provider, "onnx-parity-toolkit")
    command = [str(python), "-P", "-m", "pip", "install", "--quiet", "--no-index", "--find-links", str(wheels), package]
    said = run_program(command)
    if said:
        reason = next((line for line in reversed(said) if line.startswith("ERROR: ")), said[-1])
        raise ResourceError(
            f"{wheels} does not hold what a proof of {provider} needs: {reason.removeprefix('ERROR: ')}; fill it where"
            f" there is a network: pip download --dest {wheels} '{package}'"
        )
    return python
