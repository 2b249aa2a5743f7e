"""READMEs of kits: their own lines make an app that installs the kit and names a picture, doubt included."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from readme_app import ReadmeApp

from toolkit.artifacts import ArtifactStore
from toolkit.data import load_dataset
from toolkit.exporting.kits.kits import KitConfig, put_kit, read_kit_source

pytestmark = pytest.mark.kits


@pytest.mark.parametrize("kit", ["python", "c", "cpp"])
def test_lines_of_the_readme_make_an_app_that_names_pictures_and_doubts(
    model_path: Path, tmp_path: Path, kit: str
) -> None:
    store = ArtifactStore(root=tmp_path)
    app = ReadmeApp(
        put_kit(kit, read_kit_source(model_path), config=KitConfig(kits=(kit,)), store=store), tmp_path / "app"
    )
    app.install()
    from toolkit import Classifier

    image = load_dataset("mnist-mini").test.images[3]
    with Classifier(model_path) as classifier:
        expected = classifier.predict(image[np.newaxis]).labels[0]
    for pixels, starts, ends in (
        (image, f"{expected} (", "%)\n"),
        (np.zeros_like(image), "", "doubtful: nothing to see: contrast 0.0, training images have "),
    ):
        Image.fromarray(pixels).save(app.folder / "picture.png")
        (app.folder / "picture.raw").write_bytes(pixels.tobytes())
        if (app.folder / "raw.py").exists():
            Image.fromarray(pixels).save(app.folder / "photo.jpg", quality=100)
            subprocess.run([sys.executable, "raw.py"], cwd=app.folder, check=True)
        told = app.name_picture()
        assert told.startswith(starts), told
        assert ends in told
        assert ("doubtful" in told) == (not pixels.any()), told


@pytest.mark.parametrize("kit", ["c", "cpp"])
def test_two_kits_live_in_one_app(model_path: Path, tmp_path: Path, kit: str) -> None:
    store = ArtifactStore(root=tmp_path)
    for name in ("one", "two"):
        put_kit(kit, read_kit_source(model_path, name=name), config=KitConfig(kits=(kit,)), store=store)
    header, call = ("hpp", "{}_classifier::Classifier::version()") if kit == "cpp" else ("h", "*{}_classes")
    includes = "".join(f'#include "kits/{name}-{kit}/{name}_classifier.{header}"\n' for name in ("one", "two"))
    calls = "".join(f"    (void){call.format(name)};\n" for name in ("one", "two"))
    (tmp_path / f"app.{kit}").write_text(f"{includes}int main() {{\n{calls}    return 0;\n}}\n")
    if kit == "cpp":
        lines = "cmake_minimum_required(VERSION 3.18)\nproject(app CXX)\n"
        lines += "add_subdirectory(kits/one-cpp)\nadd_subdirectory(kits/two-cpp)\nadd_executable(app app.cpp)\n"
        lines += "target_link_libraries(app PRIVATE one_classifier two_classifier)\n"
        (tmp_path / "CMakeLists.txt").write_text(lines)
        configuration = Path(pytest.importorskip("openvino").__file__).parent / "cmake"
        commands = [["cmake", "-B", "build", f"-DOpenVINO_DIR={configuration}"], ["cmake", "--build", "build"]]
    else:
        sources = [
            str(path) for path in sorted(tmp_path.glob("kits/*-c/*.c")) if path.stem not in {"classify", "selfcheck"}
        ]
        commands = [["cc", "-std=gnu99", "-O0", "app.c", *sources, "-lm", "-o", "app"]]
    for command in commands:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
