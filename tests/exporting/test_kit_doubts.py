"""Doubts of kits: every kit doubts what `toolkit predict` doubts, and says the same of it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from doubtful_pictures import large_pictures, own_size_pictures, product_verdicts
from PIL import Image

from toolkit.artifacts import ArtifactStore
from toolkit.card import Card, Golden
from toolkit.exporting.kits.carried import carried_modules
from toolkit.exporting.kits.doubts import golden_doubts, guard_values
from toolkit.exporting.kits.kits import KitConfig, put_kit, read_kit_source
from toolkit.exporting.kits.self_check import run_selfcheck
from toolkit.exporting.kits.values import REASON_SIZE, KitSource
from toolkit.imaging.guard import WORDS, Guard
from toolkit.imaging.settings import DOUBT
from toolkit.programs import find_program

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
Row = tuple[str, str]


@pytest.fixture(scope="module", params=["grey", pytest.param("rgb", marks=pytest.mark.kits)])
def source(request: pytest.FixtureRequest) -> KitSource:
    return read_kit_source(request.getfixturevalue("model_path" if request.param == "grey" else "rgb_model"))


def put(kit: str, source: KitSource, root: Path) -> Path:
    return put_kit(kit, source, config=KitConfig(kits=(kit,)), store=ArtifactStore(root=root))


def require_verdicts(rows: Sequence[Row], source: KitSource, pictures: Sequence[np.ndarray], *, exactly: bool) -> None:
    """Compare labels, doubts and their reasons with the product's; of numbers in a reason the last digit may differ."""
    verdicts = product_verdicts(source.path, pictures)
    assert len(rows) == len([verdict for verdict in verdicts if verdict.label])
    for (label, reason), verdict in zip(rows, (verdict for verdict in verdicts if verdict.label), strict=True):
        assert (label, bool(reason)) == (verdict.label, verdict.is_doubtful), (reason, verdict)
        if exactly:
            assert reason == verdict.reason
            continue
        assert NUMBER.sub("#", reason) == NUMBER.sub("#", verdict.reason)
        for seen, expected in zip(NUMBER.findall(reason), NUMBER.findall(verdict.reason), strict=True):
            digits = len(expected.partition(".")[2])
            assert float(seen) == pytest.approx(float(expected), abs=1.01 * 10.0**-digits)


def read_rows(text: str) -> list[Row]:
    """Return label and reason of each line that a kit's program prints: file, label, probability, doubt."""
    lines = [line.split("\t") for line in text.splitlines()]
    return [(line[1], line[3].removeprefix(DOUBT) if len(line) == 4 else "") for line in lines]


def write_pnm(pictures: Sequence[np.ndarray], folder: Path) -> list[Path]:
    paths = [folder / f"{number:03}.pnm" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path, "PPM")
    return paths


def test_python_kit_doubts_as_the_product_also_what_it_has_to_prepare(source: KitSource, tmp_path: Path) -> None:
    folder = put("python", source, tmp_path)
    pictures = [*own_size_pictures(source.card.input), *large_pictures()]
    paths = [tmp_path / f"{number:03}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    command = [sys.executable, "-m", source.package, *map(str, paths)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    refused = [verdict for verdict in product_verdicts(source.path, pictures) if not verdict.label]
    assert done.returncode == (3 if refused else 0), done.stderr
    assert [line.split(".png: ")[1] for line in done.stderr.splitlines()] == [verdict.message for verdict in refused]
    require_verdicts(read_rows(done.stdout), source, pictures, exactly=True)


@pytest.mark.kits
def test_c_kit_doubts_as_the_product(source: KitSource, tmp_path: Path) -> None:
    folder = put("c", source, tmp_path)
    subprocess.run(["make", "classify"], cwd=folder, check=True, capture_output=True)
    pictures = own_size_pictures(source.card.input)
    done = subprocess.run(
        [folder / "classify", *write_pnm(pictures, tmp_path)], capture_output=True, text=True, check=True
    )
    require_verdicts(read_rows(done.stdout), source, pictures, exactly=False)


@pytest.mark.kits
def test_cpp_kit_doubts_as_the_product(source: KitSource, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="the extra runtimes is not installed")
    folder = put("cpp", source, tmp_path)
    configuration = Path(openvino.__file__).parent / "cmake"
    build = tmp_path / "build"
    subprocess.run(
        ["cmake", "-S", folder, "-B", build, f"-DOpenVINO_DIR={configuration}"], check=True, capture_output=True
    )
    subprocess.run(["cmake", "--build", build], check=True, capture_output=True)
    pictures = own_size_pictures(source.card.input)
    command = [build / "classify", *write_pnm(pictures, tmp_path)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    require_verdicts(read_rows(done.stdout), source, pictures, exactly=False)
    refused = subprocess.run(
        [command[0], "--provider", "cuda", command[1]], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (refused.returncode, len(refused.stderr.splitlines())) == (5, 1), refused.stderr
    assert "provider cuda is not active: OpenVINO has none; build with -DBACKEND=onnxruntime" in refused.stderr


# --- the guard as C alone ----------------------------------------------------------------------------------------

GUARD_MAIN = r"""
#include "guard.h"
#include <stdio.h>
int main(void) {
    static unsigned char pixels[GUARD_PIXELS];
    static float logits[GUARD_CLASSES];
    char reason[GUARD_REASON_SIZE];
    while (fread(pixels, 1, sizeof pixels, stdin) == sizeof pixels && fread(logits, sizeof logits, 1, stdin) == 1) {
        int at, label = 0;
        for (at = 1; at < GUARD_CLASSES; at++) label = logits[at] > logits[label] ? at : label;
        printf("%d %s\n", guard_judge(pixels, logits, label, reason), reason);
    }
    return 0;
}
"""


def judge_in_c(card: Card, images: np.ndarray, logits: np.ndarray, folder: Path, *, language: str) -> list[str]:
    """Compile the guard of a card by itself, under the sanitizers, and let it judge."""
    from exporters.kits import render_kit
    from toolkit.exporting.kits.values import kit_values

    source = KitSource(path=folder / "model.onnx", model=b"", card=card)
    texts = render_kit("c", {**kit_values(source), "cgen_version": "1", "c_sizes": ""})
    (folder / "guard.h").write_text(next(text for name, text in texts.items() if name.name == "guard.h"))
    (folder / "main.c").write_text(GUARD_MAIN)
    compiler = ["cc", "-std=c99"] if language == "c" else ["c++", "-std=c++17", "-x", "c++"]
    flags = ["-Wall", "-Wextra", "-Werror", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    done = subprocess.run(
        [*compiler, *flags, "main.c", "-lm", "-o", "main"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    given = b"".join(
        image.tobytes() + row.astype(np.float32).tobytes() for image, row in zip(images, logits, strict=True)
    )
    # The address sanitizer reserves more address space than some limits allow for leaks that cannot be here.
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    done_running = subprocess.run([folder / "main"], input=given, capture_output=True, check=True, env=environment)
    return done_running.stdout.decode().splitlines()


@pytest.mark.kits
@pytest.mark.parametrize("language", ["c", "c++"])
@pytest.mark.parametrize("kind", ["whole", "strength for distance", "open sides", "no guard"])
def test_guard_in_c_is_clean_under_sanitizers_and_says_what_the_product_says(
    model_path: Path, tmp_path: Path, kind: str, language: str
) -> None:
    find_program("cc", "apt-get install gcc")
    card = Card.loads(model_path.with_suffix(".card.json").read_bytes())
    limits = card.guard["limits"]
    guard = {
        "whole": card.guard,
        "strength for distance": {"limits": {"strength": [4.5, None], "margin": [1.0, None]}},
        "open sides": {"limits": {**limits, "frame": [None, 20.0], "brightness": [30.0, None], "distance": [None, 5.0]},
                       "centres": card.guard["centres"], "whitening": card.guard["whitening"]},
        "no guard": {},
    }[kind]  # fmt: skip
    card = replace(card, guard=guard)
    images = np.stack(own_size_pictures(card.input))
    logits = np.random.default_rng(0).normal(0, 4, (len(images), 10)).astype(np.float32)
    logits[0, 3], logits[1, 0] = np.nan, np.inf
    product = Guard.from_card(guard, classes=10)
    expected = product.judge(images[2:], logits[2:]) if product else {}
    lines = judge_in_c(card, images, logits, tmp_path, language=language)
    assert lines[:2] == ["1 the model answered NaN or infinity"] * 2
    for place, line in enumerate(lines[2:]):
        reason = expected.get(place, "").removeprefix(DOUBT)
        assert NUMBER.sub("#", line) == NUMBER.sub("#", f"{int(place in expected)} {reason}"), place
    assert (len(expected) > 50) == (kind != "no guard")


def test_every_sentence_of_the_guard_fits_into_its_bytes_in_c() -> None:
    worst = {"value": -123456.789, "low": -123456.789, "high": -123456.789}
    assert max(len(text.format(**worst)) for _, *texts in WORDS for text in texts) < REASON_SIZE - 20


def test_card_with_one_class_has_no_check_of_margins(model_path: Path) -> None:
    card = Card.loads(model_path.with_suffix(".card.json").read_bytes())
    one = replace(card, classes=("only",), golden=None, guard={"limits": {"margin": [1.0, None], "frame": [0.0, 9.0]}})
    checks = guard_values(one)["guard_checks"]
    assert "margin" not in checks
    assert "frame > 9.0" in checks
    assert "margin < 1.0" in guard_values(replace(one, classes=("a", "b")))["guard_checks"]


# --- verdicts of the golden vectors ------------------------------------------------------------------------------


def test_golden_verdicts_are_the_products_and_unknown_where_rounding_may_decide(model_path: Path) -> None:
    card = Card.loads(model_path.with_suffix(".card.json").read_bytes())
    assert card.golden is not None
    guard = Guard.from_card(card.guard, classes=10)
    assert guard is not None
    images = np.frombuffer(card.golden.images, np.uint8).reshape(card.golden.shape)
    logits = np.array(card.golden.logits)
    doubted = guard.judge(images, logits)
    assert golden_doubts(card) == (*(place in doubted for place in range(len(images))), True)
    margins = np.sort(logits, axis=1)
    margin = float((margins[:, -1] - margins[:, -2])[0])
    close = {**card.guard, "limits": {**card.guard["limits"], "margin": [margin, None]}}
    assert golden_doubts(replace(card, guard=close))[0] is None
    assert golden_doubts(replace(card, guard={})) == (False,) * (len(images) + 1)
    assert golden_doubts(replace(card, golden=None)) == (True,)


@pytest.mark.parametrize(
    "kit", ["python", pytest.param("c", marks=pytest.mark.kits), pytest.param("cpp", marks=pytest.mark.kits)]
)
def test_self_check_of_a_kit_that_doubts_nothing_fails(model_path: Path, tmp_path: Path, kit: str) -> None:
    source = read_kit_source(model_path)
    folder = put(kit, source, tmp_path)
    if kit == "python":
        path = folder / source.package / "_toolkit" / "imaging" / "guard.py"
        path.write_text(path.read_text().replace("notes[place] =", "_ ="))
    else:
        path = folder / "guard.h"
        path.write_text(path.read_text().replace("if (condition) {", "if (0 && (condition)) {"))
    check = run_selfcheck(kit, folder)
    assert check.status == "fail"
    assert "doubted here" in check.reason


# --- modules that are carried ------------------------------------------------------------------------------------


def imported(text: str) -> list[str]:
    nodes = list(ast.walk(ast.parse(text)))
    plain = [item.name for node in nodes if isinstance(node, ast.Import) for item in node.names]
    return plain + [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]


def test_carried_modules_are_whole_and_import_nothing_but_numpy_and_pillow() -> None:
    files = carried_modules("kit._toolkit")
    known = {".".join(("kit", "_toolkit", *path.with_suffix("").parts)) for path in files}
    for path, text in files.items():
        assert not re.search(r"^\s*(from|import) toolkit\b", text, re.MULTILINE), path
        for name in imported(text):
            is_ours = name in known or f"{name}.__init__" in known
            assert is_ours or name.split(".")[0] in {"numpy", "PIL", *sys.stdlib_module_names}, (path, name)


def test_python_kit_runs_where_there_is_no_toolkit(model_path: Path, tmp_path: Path) -> None:
    source = read_kit_source(model_path)
    folder = put("python", source, tmp_path)
    code = (
        "import sys\nclass Refuse:\n    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in {'toolkit', 'torch', 'onnx'}: raise ImportError(name)\n"
        f"sys.meta_path.insert(0, Refuse())\nfrom {source.package} import Classifier\nimport numpy as np\n"
        "answer = Classifier().predict(np.zeros((28, 28), np.uint8))\nprint(answer.doubtful, answer.reason)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("True nothing to see"), done.stderr


def test_pixels_that_are_no_picture_are_refused_by_the_python_kit_as_by_the_library(
    model_path: Path, tmp_path: Path
) -> None:
    source = read_kit_source(model_path)
    folder = put("python", source, tmp_path)
    code = (
        f"from {source.package} import Classifier, DataError\nimport numpy as np\nclassifier = Classifier()\n"
        "for pixels in (np.zeros((0, 5)), np.zeros(784), np.full((28, 28), 0.5), np.full((28, 28), np.nan), np.zeros((28, 28, 5)), b''):\n"
        "    try:\n        print(classifier.predict(pixels))\n    except DataError as error:\n        print('refused', error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["refused"] * 6, done.stdout


def test_deep_pixels_of_an_array_are_taken_by_the_python_kit_as_by_the_library(
    model_path: Path, tmp_path: Path
) -> None:
    from toolkit import Classifier
    from toolkit.data import load_dataset

    source = read_kit_source(model_path)
    deep = replace(source, card=replace(source.card, input=replace(source.card.input, bits=12)))
    folder = put("python", deep, tmp_path)
    images = load_dataset("mnist-mini").test.images[:4].astype(np.uint16) * 16
    np.save(tmp_path / "deep.npy", images // 32)  # darker than twelve bits would be by themselves
    code = (
        f"from {source.package} import Classifier\nimport numpy as np\nclassifier = Classifier()\n"
        f"print(*(classifier.predict(image).probability for image in np.load({str(tmp_path / 'deep.npy')!r})))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    with Classifier(model_path) as classifier:
        expected = classifier.predict((images // 32 >> 4).astype(np.uint8)).probability
    assert [float(value) for value in done.stdout.split()] == pytest.approx(expected.tolist(), abs=1e-5)


def test_golden_of_a_card_without_thresholds_is_replayed_without_doubts(model_path: Path, tmp_path: Path) -> None:
    source = read_kit_source(model_path)
    assert isinstance(source.card.golden, Golden)
    bare = replace(source, card=replace(source.card, guard={}))
    folder = put("python", bare, tmp_path)
    assert run_selfcheck("python", folder).status == "pass"
    assert "no answer is ever doubtful" in (folder / "README.md").read_text()
    header = put("cpp", bare, tmp_path) / f"{source.package}.hpp"
    assert "no answer is ever doubtful" in header.read_text()


@pytest.mark.kits
def test_cpp_kit_with_onnx_runtime_compiles_doubts_and_says_in_one_sentence_why_there_is_no_cuda(
    model_path: Path, tmp_path: Path
) -> None:
    """ONNX Runtime's headers are not to be had here: compiled against a stand-in of what the kit uses of them."""
    source = read_kit_source(model_path)
    folder = put("cpp", source, tmp_path)
    fake = Path(__file__).parent.parent / "fake_onnxruntime"
    files = ["classifier.cpp", "classifier_onnxruntime.cpp", "classify.cpp"]
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-DFAKE_CLASSES=10", f"-I{fake}"]
    subprocess.run(["c++", *flags, *files, "-o", tmp_path / "classify"], cwd=folder, check=True)
    (picture,) = write_pnm([np.zeros((28, 28), np.uint8)], tmp_path)
    command = [tmp_path / "classify", picture]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    ((label, reason),) = read_rows(done.stdout)
    assert (label, reason.split(":")[0]) == ("9", "nothing to see")
    command = [command[0], "--provider", "cuda", picture]
    refused = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (5, "")
    (line,) = refused.stderr.splitlines()
    assert "provider cuda is not active: libcublasLt.so.13: cannot open shared object file; it needs" in line
