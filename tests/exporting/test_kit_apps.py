"""READMEs of kits: their own lines make an app that installs the kit and names a picture, doubt included."""

from __future__ import annotations

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
        told = app.name_picture()
        assert told.startswith(starts), told
        assert ends in told
        assert ("doubtful" in told) == (not pixels.any()), told
