"""The Node kit: it doubts as the product does, installs with npm as its README says, and names what a provider lacks."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doubtful_pictures import large_pictures, own_size_pictures, product_verdicts
from PIL import Image
from readme_app import ReadmeApp

from toolkit.artifacts import ArtifactStore
from toolkit.data import load_dataset
from toolkit.exporting.kits.kits import KitConfig, put_kit, read_kit_source
from toolkit.runtimes.installed import find_private_folder

pytestmark = pytest.mark.kits
# Answers to the pictures of `cases.json`, as `predict` gives them.
PREDICT = """
import { readFileSync } from "node:fs";
import { load, PictureError } from "./index.js";
const model = await load();
const answers = [];
for (const { data, ...picture } of JSON.parse(readFileSync("cases.json"))) {
  try {
    const { label, doubtful, reason } = await model.predict({ ...picture, data: Buffer.from(data, "base64") });
    answers.push({ label, doubtful, reason });
  } catch (error) {
    if (!(error instanceof PictureError)) throw error;
    answers.push({ label: "", doubtful: false, reason: "" });
  }
}
console.log(JSON.stringify(answers));
"""


def _put(model: Path, root: Path, *, is_installed: bool = True) -> Path:
    folder = put_kit("node", read_kit_source(model), config=KitConfig(kits=("node",)), store=ArtifactStore(root=root))
    if is_installed:
        (folder / "node_modules").symlink_to(find_private_folder("ort-node") / "node_modules")
    return folder


def _node(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", *arguments], cwd=folder, capture_output=True, text=True, check=False)


def _predict(folder: Path, pictures: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    cases = [
        {
            "data": base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode(),
            "height": pixels.shape[0],
            "width": pixels.shape[1],
            "channels": 1 if pixels.ndim == 2 else 3,
        }
        for pixels in pictures
    ]
    (folder / "cases.json").write_text(json.dumps(cases))
    (folder / "predict.mjs").write_text(PREDICT)
    done = _node("predict.mjs", folder=folder)
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("kind", ["grey", "rgb"])
def test_node_kit_doubts_as_the_product_also_what_it_has_to_prepare(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model: Path = request.getfixturevalue("model_path" if kind == "grey" else "rgb_model")
    pictures = [*own_size_pictures(read_kit_source(model).card.input), *large_pictures()]
    expected = product_verdicts(model, pictures)
    answers = _predict(_put(model, tmp_path), pictures)
    assert [(answer["label"], answer["doubtful"], answer["reason"]) for answer in answers] == [
        (verdict.label, verdict.is_doubtful, verdict.reason) for verdict in expected
    ]
    assert kind == "rgb" or 80 < sum(answer["doubtful"] for answer in answers) < 170


def test_model_without_thresholds_is_never_doubtful_and_its_readme_says_so(model_path: Path, tmp_path: Path) -> None:
    folder = _put(model_path, tmp_path)
    card = json.loads((folder / "model.card.json").read_text())
    assert "with the reason" in (folder / "README.md").read_text()
    (folder / "model.card.json").write_text(json.dumps({**card, "guard": {}}))
    assert [answer["doubtful"] for answer in _predict(folder, [np.zeros((28, 28), np.uint8)])] == [False]


def test_kits_own_tests_pass(model_path: Path, tmp_path: Path) -> None:
    done = _node("--test", "test.js", folder=_put(model_path, tmp_path))
    assert done.returncode == 0, done.stdout
    assert "# fail 0" in done.stdout


def test_self_check_fails_where_another_doubts_than_the_product(model_path: Path, tmp_path: Path) -> None:
    folder = _put(model_path, tmp_path)
    assert _node("selfcheck.js", folder=folder).returncode == 0
    guard = folder / "guard.js"
    guard.write_text(guard.read_text().replace("value < low && under", "value > low && under"))
    done = _node("selfcheck.js", folder=folder)
    assert done.returncode == 1
    assert "are doubted here and not where the kit was made" in json.loads(done.stdout)["reason"]


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        (
            "cuda",
            "provider cuda is not active: onnxruntime-node comes without libonnxruntime_providers_cuda.so; fetch it",
        ),
        ("tensorrt", "provider tensorrt is not active: onnxruntime-node comes without "),
        ("gpu", 'unknown provider "gpu"; onnxruntime-node '),
    ],
)
def test_provider_that_is_not_active_is_one_sentence(
    model_path: Path, tmp_path: Path, provider: str, words: str
) -> None:
    done = _node("selfcheck.js", provider, folder=_put(model_path, tmp_path))
    if done.returncode == 0:
        pytest.skip(f"{provider} works here: the refusal cannot be seen")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (5, "", 1), done.stderr
    assert done.stderr.startswith(words)


def test_kit_without_its_packages_says_how_to_get_them(model_path: Path, tmp_path: Path) -> None:
    done = _node("selfcheck.js", folder=_put(model_path, tmp_path, is_installed=False))
    assert (done.returncode, done.stderr) == (5, "onnxruntime-node is not installed; run here: npm install\n")


@pytest.mark.network
def test_plain_npm_install_brings_what_the_kits_tests_need_and_nothing_of_cuda(
    model_path: Path, tmp_path: Path
) -> None:
    folder = _put(model_path, tmp_path, is_installed=False)
    subprocess.run(["npm", "install"], cwd=folder, check=True, capture_output=True)
    assert not list(folder.rglob("libonnxruntime_providers_cuda.so"))
    done = subprocess.run(["npm", "test"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.network
def test_lines_of_the_readme_make_an_app_that_names_pictures_and_doubts(model_path: Path, tmp_path: Path) -> None:
    app = ReadmeApp(_put(model_path, tmp_path, is_installed=False), tmp_path / "app")
    app.install()
    image = load_dataset("mnist-mini").test.images[3]
    (verdict,) = product_verdicts(model_path, [image])
    for pixels, starts, ends in (
        (image, f"{verdict.label} (", "%)\n"),
        (np.zeros_like(image), "", "doubtful: nothing to see: contrast 0.0, training images have "),
    ):
        Image.fromarray(pixels).save(app.folder / "picture.png")
        told = app.name_picture()
        assert told.startswith(starts), told
        assert ends in told
    for name in ("words.png", "blank.png"):
        path = tmp_path / name
        Image.new("L", (300, 300), 255).save(path) if name == "blank.png" else path.write_text("words")
        done = _node("app.mjs", str(path), folder=app.folder)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1), done.stderr
    shutil.rmtree(app.folder / "node_modules")
    again = subprocess.run(["npm", "ci"], cwd=app.folder, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
