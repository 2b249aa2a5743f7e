"""The distributions, and an environment that holds nothing but the wheel: made once."""

from __future__ import annotations

import os
import sysconfig
import venv
from pathlib import Path

import pytest
from distributed import CONSTRAINTS, Installation, build


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it; `TOOLKIT_DIST` where they were built already."""
    if built := os.environ.get("TOOLKIT_DIST"):
        return Path(built).absolute()
    pytest.importorskip("build", reason="the extra `dev` has not been installed since it holds `build`")
    folder = tmp_path_factory.mktemp("distributions")
    build(folder)
    return folder


@pytest.fixture(scope="session")
def wheel(distributions: Path) -> Path:
    """The wheel that was built from the sdist."""
    return next(distributions.glob("*.whl"))


@pytest.fixture(scope="session")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel and what it asks for, with the constraints, in an environment that had nothing but pip."""
    folder = tmp_path_factory.mktemp("installation")
    venv.create(folder / "environment", with_pip=True)
    scripts = sysconfig.get_path("scripts", "venv", {"base": str(folder / "environment")})
    (folder / "home").mkdir()
    (folder / "work").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOOLKIT_", "PYTHON", "XDG_"))}
    path = os.pathsep.join((scripts, os.environ["PATH"]))
    user = Installation(
        scripts=Path(scripts),
        folder=folder / "work",
        environment={**kept, "HOME": str(folder / "home"), "PATH": path, "VIRTUAL_ENV": str(folder / "environment")},
    )
    user.run("pip", "install", "--quiet", "--constraint", str(CONSTRAINTS), str(wheel))
    return user
