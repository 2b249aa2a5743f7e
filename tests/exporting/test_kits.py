"""Kits: values from the card alone, folders that are whole, refusals that say why; the real runtimes run in `make kits`."""

from __future__ import annotations

import base64
import functools
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_models import build_card, build_model

from exporters import ExportError
from exporters.kits import KITS, render_file, render_kit
from toolkit.artifacts import ArtifactStore
from toolkit.card import Card, Golden, InputSpec
from toolkit.closing import Closing
from toolkit.data import load_dataset
from toolkit.errors import ModelError, ResourceError, UsageError
from toolkit.exporting.kits import self_check, sources
from toolkit.exporting.kits.kits import KitConfig, put_kit, read_kit_source, write_kits
from toolkit.exporting.kits.self_check import run_selfcheck
from toolkit.exporting.kits.sources import licences_page, network_sources
from toolkit.exporting.kits.triton import check_config
from toolkit.exporting.kits.values import KitSource, kit_values, safe_words
from toolkit.runtimes.agreement import probability_bound
from toolkit.runtimes.installed import find_private_folder, private_root

GOLDEN = Golden(
    origin="data", images=bytes(range(128)), shape=(2, 8, 8), logits=((0.5, -1.25, 2.0),) * 2, tolerance=1e-4
)
NASTY = 'it\'s "a" */ \\ `b` </script> | ??/ é\n@{name}'


def _source(**card: Any) -> KitSource:
    made = build_card(golden=GOLDEN, **card)
    return KitSource(path=Path("my model-2.onnx"), model=build_model(card=made).SerializeToString(), card=made)


@functools.cache
def known_source(model: Path) -> KitSource:
    """Return a model that is read and checked once: each time takes a process."""
    return read_kit_source(model)


def _toolkit(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "toolkit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


# --- templates ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kit", KITS)
def test_every_template_is_filled_from_the_card(kit: str) -> None:
    values = {**kit_values(_source()), "cgen_version": "1", "c_sizes": ""}
    for name, text in render_kit(kit, values).items():
        assert not re.search(r"@\{[a-z_]+\}", text), name
        assert text.endswith("\n"), name


@pytest.mark.parametrize("kit", KITS)
def test_templates_say_nothing_about_digits(kit: str) -> None:
    values = {**kit_values(_source(classes=("cat", "dog", "owl"))), "cgen_version": "1", "c_sizes": ""}
    for name, text in render_kit(kit, values).items():
        assert not re.search(r"\bdigits?\b|\bten\b|\b28\b(?! pixel)(?!\))", text) or name.name in {
            "drawing.js",
            "golden.h",  # whose numbers are the pictures'
        }, name


def test_value_that_is_not_given_is_refused() -> None:
    with pytest.raises(ExportError, match="template x names 'gone', which has no value"):
        render_file("a @{gone} b", {}, name="x")
    assert render_file("${a} @b {c} @{d}", {"d": "@{e}"}, name="x") == "${a} @b {c} @{e}"


def test_names_that_would_end_a_comment_or_a_string_cannot() -> None:
    source = _source(
        name=NASTY,
        classes=(NASTY, "b", "c"),
        author=NASTY,
        licence=NASTY,
        data={"name": NASTY},
        checkpoint_sha256=NASTY,
    )
    values = {**kit_values(source), "cgen_version": "1", "c_sizes": ""}
    for kit in KITS:
        for name, text in render_kit(kit, values).items():
            if name.suffix == ".py":
                compile(text, str(name), "exec")
            if name.suffix == ".json":
                json.loads(text)
            if name.suffix == ".toml":
                assert re.fullmatch(r"1\.0\.0\+[0-9a-f]+", tomllib.loads(text)["project"]["version"])
            if name.suffix in {".html", ".md"}:
                assert "</script> |" not in text
    assert "*/" not in safe_words(NASTY)
    assert "`" not in licences_page(source.card, "web").splitlines()[2].partition("**")[2].replace("`it_s", "").replace(
        "name_`", ""
    )


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_class_names_of_any_letters_survive_in_c(tmp_path: Path) -> None:
    names = ('é"\\??/\n\t1', "日本", "plain")
    values = kit_values(_source(classes=names))
    (tmp_path / "a.c").write_text(
        f"#include <stdio.h>\nconst char *const names[] = {{\n{values['c_classes']}\n}};\n"
        "int main(void) { for (int at = 0; at < 3; at++) { fputs(names[at], stdout); putchar(0); } return 0; }\n"
    )
    subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "a.c", "-o", "a"], cwd=tmp_path, check=True)
    out = subprocess.run([tmp_path / "a"], capture_output=True, check=True).stdout
    assert tuple(out.decode().split("\0")[:3]) == names


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("my data-2", "my_data_2"),
        ("7th", "model_7th"),
        ("é", "model"),
        ("mnist", "mnist"),
        ("A__b", "a_b"),
        ("x" * 99, "x" * 64),
    ],
)
def test_identifier_is_one_of_c(name: str, identifier: str) -> None:
    assert _source(data={"name": name}).identifier == identifier


def test_kits_of_the_next_training_are_called_as_those_before() -> None:
    first, second = (
        replace(
            _source(name=f"mnist-fast-s0-{stamp}", data={"name": "mnist"}), path=Path(f"mnist-fast-s0-{stamp}.onnx")
        )
        for stamp in ("20261128-073931", "20261129-101112")
    )
    named = ("name", "html_name", "package_name", "python_name", "c_name", "c_macro", "triton_name")
    assert [kit_values(first)[name] for name in named] == [kit_values(second)[name] for name in named] == [
        "mnist", "mnist", "mnist-classifier", "mnist_classifier", "mnist", "MNIST", "mnist",
    ]  # fmt: skip
    assert kit_values(replace(first, given_name="My-Digits"))["c_name"] == "my_digits"


@pytest.mark.parametrize("name", ["", "7", "a b", "a/b", "é", "-x", "a" * 65, "a\n"])
def test_name_of_which_no_symbol_can_be_made_is_refused_with_those_that_can(name: str) -> None:
    with pytest.raises(UsageError, match=r"kits cannot be called .*expected a letter, then letters, digits"):
        KitConfig(kits=("python",), name=name)


def test_all_makes_the_kits_that_can_be_made_and_says_what_the_others_need(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(sources, "version", gone)
    monkeypatch.setattr("shutil.which", lambda name: None)
    store, source = ArtifactStore(root=tmp_path), known_source(model_path)
    with pytest.raises(
        ResourceError, match=r"emx-onnx-cgen, which writes C, .*pip install 'onnx-parity-toolkit\[kit-c\]'"
    ):
        write_kits(source, KitConfig(kits=("all", "c")), store=store)
    written = write_kits(source, KitConfig(kits=("all",), force=True), store=store)
    assert [kit.kit for kit in written.kits] == ["python", "node", "cpp", "triton"]
    reasons = {kit.kit: kit.reason for kit in written.missing_kits}
    assert "onnx-parity-toolkit[kit-c]" in reasons["c"]
    assert "npm" in reasons["web"]
    assert not list((tmp_path / "kits").glob("*-web"))


def test_name_that_was_given_names_symbols_packages_titles_and_the_folder(model_path: Path, tmp_path: Path) -> None:
    source = read_kit_source(model_path, name="Post-codes")
    store = ArtifactStore(root=tmp_path)
    folder = put_kit("python", source, config=KitConfig(kits=("python",)), store=store)
    assert folder == tmp_path / "kits" / "Post-codes-python"
    assert (folder / "post_codes_classifier" / "model.onnx").is_file()
    assert (folder / "README.md").read_text().startswith("# Post-codes in Python\n")
    assert 'name = "post-codes-classifier"' in (folder / "pyproject.toml").read_text()
    folder = put_kit("cpp", source, config=KitConfig(kits=("cpp",)), store=store)
    assert "namespace post_codes_classifier {" in (folder / "post_codes_classifier.hpp").read_text()


def test_golden_header_without_vectors_still_compiles_to_none() -> None:
    source = _source()
    bare = replace(source, card=replace(source.card, golden=None))
    without, header = (render_kit("cpp", kit_values(item))[PurePosixPath("golden.h")] for item in (bare, source))
    assert "#define GOLDEN_COUNT 0" in without
    assert "#define GOLDEN_COUNT 2" in header
    assert "{0.5, -1.25, 2}" in header
    tolerances = [float(line.split()[2]) for line in header.splitlines() if "TOLERANCE" in line]
    assert tolerances == [GOLDEN.tolerance, probability_bound(GOLDEN.tolerance)]


# --- folders -----------------------------------------------------------------------------------------------------


def test_python_kit_is_whole_and_answers_as_the_toolkit_does(model_path: Path, tmp_path: Path) -> None:
    store = ArtifactStore(root=tmp_path)
    (result,) = write_kits(known_source(model_path), KitConfig(kits=("python",)), store=store).kits
    assert result.check.status == "pass"
    assert {path.name for path in result.folder.iterdir()} == {
        "mnist_mini_classifier", "pyproject.toml", "README.md", "LICENSES.md", "selfcheck.json",
    }  # fmt: skip
    package = result.folder / "mnist_mini_classifier"
    assert (package / "model.onnx").read_bytes() == model_path.read_bytes()
    assert not list(result.folder.rglob("__pycache__"))
    told = json.loads((result.folder / "selfcheck.json").read_text())
    assert {"status", "runtime", "version", "vectors", "max_abs_logit_error", "ms_per_image"} <= told.keys()
    images = load_dataset("mnist-mini").test.images[:6]
    names = [f"{number}.png" for number in range(len(images))]
    see_through = np.zeros((90, 90, 4), np.uint8)
    see_through[20:70, 40:50] = (255, 255, 255, 255)  # light ink, to be seen on black only
    Image.fromarray(see_through).save(tmp_path / "light.png")
    for name, image in zip(names, images, strict=True):
        big = Image.fromarray(image).resize((150, 150))
        Image.fromarray(255 - np.asarray(big) if name < "3" else np.asarray(big)).save(tmp_path / name)
    scan = np.asarray(Image.fromarray(images[4]).resize((150, 150))).astype(np.uint16) * 16  # of twelve bits
    Image.fromarray(scan).save(tmp_path / "scan.png")
    names += ["light.png", "scan.png"]
    command = [sys.executable, "-m", package.name, *(tmp_path / name for name in (*names, "gone.png"))]
    done = subprocess.run(command, cwd=result.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "gone.png" in done.stderr
    from toolkit import Classifier

    with Classifier(model_path) as classifier:
        expected = classifier.predict([tmp_path / name for name in names])
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[1] for row in rows] == list(expected.labels)
    for row, probabilities in zip(rows, expected.probabilities, strict=True):
        assert float(row[2]) == pytest.approx(float(probabilities.max()), abs=1e-3)


def test_self_check_of_a_kit_judges_probabilities_too(model_path: Path, tmp_path: Path) -> None:
    """As `toolkit selftest` does: they are what an application shows."""
    from broken_models import broken

    config, store = KitConfig(kits=("python",)), ArtifactStore(root=tmp_path)
    folder = put_kit("python", known_source(model_path), config=config, store=store)
    assert run_selfcheck("python", folder).status == "pass"
    (folder / "mnist_mini_classifier" / "model.onnx").write_bytes(
        broken(model_path.read_bytes(), "softmax over the batch")
    )
    check = run_selfcheck("python", folder)
    assert check.status == "fail"
    assert "probabilities by 0." in check.reason


def test_python_kit_refuses_a_provider_that_is_not_active(model_path: Path, tmp_path: Path) -> None:
    folder = put_kit(
        "python", known_source(model_path), config=KitConfig(kits=("python",)), store=ArtifactStore(root=tmp_path)
    )
    code = "from mnist_mini_classifier import Classifier, ProviderError\ntry:\n    Classifier('cuda')\n"
    code += "except ProviderError as error:\n    print(error)\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    if not done.stdout:
        pytest.skip("a CUDA device works here: the refusal cannot be seen")
    told = subprocess.run(
        [sys.executable, "-m", "mnist_mini_classifier", "--provider", "cuda", "--selfcheck"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (told.returncode, told.stderr, len(done.stdout.splitlines())) == (5, done.stdout, 1)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_python_kit_says_in_one_line_what_a_provider_lacks(model_path: Path, tmp_path: Path, provider: str) -> None:
    folder = put_kit(
        "python", known_source(model_path), config=KitConfig(kits=("python",)), store=ArtifactStore(root=tmp_path)
    )
    command = [sys.executable, "-m", "mnist_mini_classifier", "--selfcheck", "--provider", provider]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        pytest.skip(f"{provider} works here: the refusal cannot be seen")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (5, "", 1), done.stderr
    assert re.match(
        rf"provider {provider} is not active: .*lib\w+\.so.*: cannot open shared object .*; get it with: ", done.stderr
    )
    assert not (folder / "selfcheck.json").exists()
    (folder / "mnist_mini_classifier" / "model.onnx").write_bytes(b"no model")
    done = subprocess.run(command[:4], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1), done.stderr


@pytest.mark.parametrize(
    ("kit", "command"), [("node", ["node", "selfcheck.js"]), ("triton", [sys.executable, "client.py"])]
)
def test_other_kits_say_in_one_line_what_is_not_there(
    model_path: Path, tmp_path: Path, kit: str, command: list[str]
) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]} here")
    folder = put_kit(kit, known_source(model_path), config=KitConfig(kits=(kit,)), store=ArtifactStore(root=tmp_path))
    Image.new("L", (28, 28)).save(tmp_path / "picture.png")
    given = [str(tmp_path / "picture.png")] if kit == "triton" else []
    done = subprocess.run([*command, *given], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode != 0, len(done.stderr.splitlines())) == (True, 1), done.stderr


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exec /no/such/program", "no/such/program"),
        ("exit 0", "selfcheck.json"),
        ("echo nonsense > selfcheck.json", ""),
    ],
)
def test_a_self_check_that_cannot_start_or_says_nothing_has_failed(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    folder = put_kit(
        "python", known_source(model_path), config=KitConfig(kits=("python",)), store=ArtifactStore(root=tmp_path)
    )
    (tmp_path / "python").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(self_check.sys, "executable", str(tmp_path / "python"))
    result = run_selfcheck("python", folder)
    assert (result.status, words in result.reason) == ("fail", True)
    monkeypatch.setattr(self_check.sys, "executable", str(tmp_path / "gone"))
    (folder / "selfcheck.json").unlink()
    assert run_selfcheck("python", folder).status == "fail"


def test_a_generator_of_c_that_hangs_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sources.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sources, "GENERATE_S", 0.2)
    monkeypatch.setattr(sources, "version", lambda _: "1.4.0")
    with pytest.raises(ModelError, match=r"emx-onnx-cgen makes no C of .*: it took over 0\.2 s and was ended"):
        network_sources(_source())


def test_triton_configuration_is_read_by_tritons_own_schema(model_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("tritonclient", reason="the extra kits is not installed")
    source = known_source(model_path)
    folder = put_kit("triton", source, config=KitConfig(kits=("triton",)), store=ArtifactStore(root=tmp_path))
    assert check_config(folder) == []
    (path,) = folder.glob("repository/*/config.pbtxt")
    right = path.read_text()
    for wrong, words in (
        (right.replace("TYPE_UINT8", "TYPE_FP32"), "images has another type than in the file"),
        (right.replace("dims: [ 28, 28 ]", "dims: [ 28, 29 ]"), r"images is \[28, 29\]; in the file it is \[28, 28\]"),
        (right.replace("reshape { shape: [ ] }", ""), r"label is \[1\]; in the file it is \[\]"),
        (right.replace('name: "logits"', 'name: "scores"'), "it names"),
    ):
        path.write_text(wrong)
        assert re.search(words, "; ".join(check_config(folder))), words


def test_kit_that_exists_is_left_alone_without_force(model_path: Path, tmp_path: Path) -> None:
    store, source = ArtifactStore(root=tmp_path), known_source(model_path)
    folder = put_kit("triton", source, config=KitConfig(kits=("triton",)), store=store)
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"the kit .* exists; take it away or --force"):
        write_kits(source, KitConfig(kits=("python", "triton")), store=store)
    assert (folder / "mine.txt").exists()
    assert not list((tmp_path / "kits").glob("*-python"))
    put_kit("triton", source, config=KitConfig(kits=("triton",), force=True), store=store)
    assert not (folder / "mine.txt").exists()
    assert [path.name for path in (tmp_path / "kits").iterdir()] == [folder.name]


def test_what_is_no_kit_is_not_replaced_even_with_force(model_path: Path, tmp_path: Path) -> None:
    source, store = known_source(model_path), ArtifactStore(root=tmp_path)
    folder = put_kit("python", source, config=KitConfig(kits=("python",)), store=store)
    shutil.rmtree(folder)
    folder.write_text("a file")
    config = KitConfig(kits=("python",), force=True)
    with pytest.raises(UsageError, match="is no kit, so it is not replaced"):
        put_kit("python", source, config=config, store=store)
    folder.unlink()
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is no kit, so it is not replaced"):
        put_kit("python", source, config=config, store=store)
    assert (folder / "mine.txt").read_text() == "mine"


def test_folder_of_a_nasty_name_is_one_that_build_tools_take(model_path: Path, tmp_path: Path) -> None:
    nasty = tmp_path / 'a:b;c "d" $(e).onnx'
    nasty.write_bytes(model_path.read_bytes())
    folder = put_kit(
        "python", read_kit_source(nasty), config=KitConfig(kits=("python",)), store=ArtifactStore(root=tmp_path)
    )
    assert folder.name == "a_b_c_d_e_-python"


def test_python_kit_tells_of_what_it_cannot_take_in_a_line(model_path: Path, tmp_path: Path) -> None:
    folder = put_kit(
        "python", known_source(model_path), config=KitConfig(kits=("python",)), store=ArtifactStore(root=tmp_path)
    )
    Image.new("1", (14_000, 14_000)).save(tmp_path / "bomb.png")
    command = [sys.executable, "-m", "mnist_mini_classifier"]
    bomb = subprocess.run([*command, tmp_path / "bomb.png"], cwd=folder, capture_output=True, text=True, check=False)
    assert (bomb.returncode, len(bomb.stderr.splitlines())) == (3, 1), bomb.stderr
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize(
    ("kits", "changes", "words"),
    [
        (("pyton",), {}, "did you mean 'python'"),
        (("rust",), {}, "known: python, node, web, c, cpp, triton, all"),
        (("c",), {"uses_webgpu": True}, "--webgpu is of the web kit"),
    ],
)
def test_kits_that_nobody_makes_are_refused(kits: tuple[str, ...], changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        KitConfig(kits=kits, **changes)


def test_model_that_breaks_the_contract_is_refused_with_its_clause(tmp_path: Path) -> None:
    path = tmp_path / "stranger.onnx"
    path.write_bytes(build_model().SerializeToString())
    with pytest.raises(ModelError, match=r"carries no 'toolkit\.card'"):
        read_kit_source(path)
    card = build_card(input=InputSpec(height=9, width=8, channels=1))
    path.write_bytes(build_model(card=card).SerializeToString())
    with pytest.raises(ModelError, match="breaks the contract of a toolkit model: "):
        read_kit_source(path)


# --- self-checks -------------------------------------------------------------------------------------------------


def test_tool_that_is_missing_leaves_the_check_undone_and_says_which(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_check.shutil, "which", lambda name: None)
    folder = put_kit(
        "cpp", known_source(model_path), config=KitConfig(kits=("cpp",)), store=ArtifactStore(root=tmp_path)
    )
    check = run_selfcheck("cpp", folder)
    assert (check.status, check.vectors) == ("not-run", 0)
    assert "there is no `cmake` on the PATH; get it with: apt-get install cmake g++" in check.reason
    assert json.loads((folder / "selfcheck.json").read_text())["status"] == "not-run"


def test_kit_whose_model_answers_otherwise_fails_its_check(model_path: Path, tmp_path: Path) -> None:
    source = known_source(model_path)
    assert source.card.golden is not None
    logits = (tuple(value + 1 for value in source.card.golden.logits[0]), *source.card.golden.logits[1:])
    wrong = replace(source, card=replace(source.card, golden=replace(source.card.golden, logits=logits)))
    (result,) = write_kits(wrong, KitConfig(kits=("python",)), store=ArtifactStore(root=tmp_path)).kits
    assert result.check.status == "fail"
    assert "logits differ by" in result.check.reason
    assert result.check.max_abs_logit_error == pytest.approx(1, abs=1e-3)


@pytest.mark.kits
def test_export_writes_kits_of_a_model_that_is_there(model_path: Path, tmp_path: Path) -> None:
    roots = {"TOOLKIT_ARTIFACTS": str(tmp_path), "TOOLKIT_RUNTIMES": str(tmp_path / "none")}
    done = _toolkit("export", model_path, "--kit", "python,triton", **roots)
    assert done.returncode == 0, done.stderr
    assert "pass" in done.stdout
    assert "did not run: config.pbtxt is read" in done.stderr or "tritonclient" in done.stderr
    assert _toolkit("export", model_path, "--kit", "python", **roots).returncode == 2
    node = _toolkit("export", model_path, "--kit", "node", **roots)
    assert node.returncode == 0
    assert "warning: the self-check of" in node.stderr
    assert "toolkit runtimes install ort-node" in node.stderr
    assert _toolkit("export", model_path, "--kit", "node", "--check", "--force", **roots).returncode == 5
    told = json.loads(_toolkit("export", model_path, "--kit", "python", "--force", "--json", **roots).stdout)
    assert (told["schema"], [kit["check"]["status"] for kit in told["kits"]]) == ("toolkit/kits/1", ["pass"])
    named = _toolkit("export", model_path, "--kit", "python", "--name", "digits", **roots)
    assert (named.returncode, (tmp_path / "kits" / "digits-python").is_dir()) == (0, True), named.stderr
    for arguments in (
        ["--kit", "python", "--name", "a b"],
        ["--kit", "pyton"],
        ["--check"],
        ["--webgpu"],
        [],
        ["--kit", "python", "-o", "x.onnx"],
    ):
        refused = _toolkit("export", model_path, *arguments, **roots)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1), refused.stderr


# --- real runtimes, in `make kits` -------------------------------------------------------------------------------


@pytest.mark.kits
@pytest.mark.parametrize("kit", [kit for kit in KITS if kit != "triton"])
@pytest.mark.parametrize("kind", ["grey", "rgb"])
def test_real_kit_replays_its_golden_vectors(
    kit: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model: Path = request.getfixturevalue("model_path" if kind == "grey" else "rgb_model")
    (result,) = write_kits(read_kit_source(model), KitConfig(kits=(kit,)), store=ArtifactStore(root=tmp_path)).kits
    if kit == "c":
        assert result.check.sizes is not None
        assert f"| {result.check.sizes['stack'] / 1e3:,.0f} kB |" in (result.folder / "README.md").read_text()
    assert result.size_bytes < 30_000_000
    card = Card.loads(next(result.folder.rglob("model.card.json")).read_text())
    assert card.golden is not None
    assert (result.check.status, result.check.vectors) == ("pass", card.golden.shape[0]), result.check.reason
    assert result.check.max_abs_logit_error is not None
    assert result.check.max_abs_logit_error <= card.golden.tolerance
    assert result.check.ms_per_image is not None
    assert not list(result.folder.glob("**/*.o"))
    assert not (result.folder / "node_modules").exists()


@pytest.mark.kits
def test_export_of_a_run_writes_its_kits_too(trained: Path, tmp_path: Path) -> None:
    for name in ("runs", "latest.json"):
        (tmp_path / name).symlink_to(trained / name)
    done = _toolkit("export", "--kit", "python,c", "--json", TOOLKIT_ARTIFACTS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["schema"] == "toolkit/export/1"
    assert [(kit["kit"], kit["check"]["status"]) for kit in told["kits"]] == [("python", "pass"), ("c", "pass")]


def test_triton_client_asks_for_what_the_server_answers(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example client against a stand-in for tritonclient that answers with the real model."""
    import onnxruntime

    folder = put_kit(
        "triton", known_source(model_path), config=KitConfig(kits=("triton",)), store=ArtifactStore(root=tmp_path)
    )
    session = onnxruntime.InferenceSession(model_path, providers=["CPUExecutionProvider"])

    class Server(Closing):
        def __init__(self, url: str) -> None:
            assert url == "localhost:8000"

        def infer(self, model: str, inputs: Any, outputs: Any) -> Any:
            assert (folder / "repository" / model / "config.pbtxt").exists()
            answers = dict(zip(outputs, session.run(outputs, {"images": inputs[0].images}), strict=True))
            answers["label"] = answers["label"][:, np.newaxis]  # as its reshape has it
            return SimpleNamespace(as_numpy=answers.__getitem__)

    class Input:
        def __init__(self, name: str, shape: list[int], kind: str) -> None:
            assert (name, kind) == ("images", "UINT8")

        def set_data_from_numpy(self, images: np.ndarray) -> None:
            self.images = images

    fake = SimpleNamespace(InferenceServerClient=Server, InferInput=Input, InferRequestedOutput=lambda name: name)
    monkeypatch.setitem(sys.modules, "tritonclient", SimpleNamespace(http=fake))
    monkeypatch.setitem(sys.modules, "tritonclient.http", fake)
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("kit_client", folder / "client.py")
    assert spec is not None
    client = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(client)  # type: ignore[union-attr]  # found just above
    images = load_dataset("mnist-mini").test.images[:5]
    answers = client.classify(images, url="localhost:8000", use_grpc=False)
    from toolkit import Classifier

    with Classifier(model_path) as classifier:
        assert [label for label, *_ in answers] == list(classifier.predict(images).labels)
    (blank,) = client.classify(np.zeros((1, 28, 28), np.uint8), url="localhost:8000", use_grpc=False)
    assert blank[2].startswith("nothing to see: contrast 0.0")
    Image.fromarray(255 - images[0].repeat(9, 0).repeat(9, 1)).save(tmp_path / "large.png")
    assert client.read_picture(str(tmp_path / "large.png"))[0].shape == (28, 28)


@pytest.mark.kits
def test_demo_serves_the_page_until_it_is_interrupted(model_path: Path, tmp_path: Path) -> None:
    try:
        find_private_folder("ort-web")
    except ResourceError as error:
        pytest.skip(str(error))
    command = [sys.executable, "-m", "toolkit", "demo", str(model_path), "--no-browser"]
    environment = {**os.environ, "TOOLKIT_ARTIFACTS": str(tmp_path), "TOOLKIT_RUNTIMES": str(private_root())}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert url, line
        with urllib.request.urlopen(url[0] + "ort/ort.wasm.min.mjs") as answer:
            assert answer.headers["Content-Type"] == "text/javascript"
            assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0


@pytest.mark.kits
def test_web_kit_with_webgpu_says_which_runs_and_stays_under_forty_megabytes(model_path: Path, tmp_path: Path) -> None:
    config = KitConfig(kits=("web",), uses_webgpu=True)
    (result,) = write_kits(known_source(model_path), config, store=ArtifactStore(root=tmp_path)).kits
    assert result.size_bytes < 40_000_000
    assert result.check.status == "pass", result.check.reason


@pytest.mark.kits
def test_c_kit_is_clean_under_the_sanitizers_small_and_classifies(model_path: Path, tmp_path: Path) -> None:
    folder = put_kit("c", known_source(model_path), config=KitConfig(kits=("c",)), store=ArtifactStore(root=tmp_path))
    done = subprocess.run(["make", "sanitize"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    subprocess.run(["make"], cwd=folder, check=True, capture_output=True)
    assert (folder / "classify").stat().st_size < 5_000_000
    image = load_dataset("mnist-mini").test.images[0]
    (tmp_path / "a.pgm").write_bytes(b"P5\n# a comment\n28 28\n255\n" + image.tobytes())
    (tmp_path / "short.pgm").write_bytes(b"P5\n28 28\n255\n" + bytes(10))
    (tmp_path / "large.pgm").write_bytes(b"P5\n280 28\n255\n" + bytes(7840))
    (tmp_path / "text.pgm").write_bytes(b"hello")
    paths = [tmp_path / name for name in ("a.pgm", "short.pgm", "large.pgm", "text.pgm", "gone.pgm")]
    done = subprocess.run([folder / "classify", *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    from toolkit import Classifier

    with Classifier(model_path) as classifier:
        expected = classifier.predict(image[np.newaxis]).labels[0]
    (line,) = done.stdout.splitlines()
    assert line.split("\t")[1] == expected
    for words in (
        "ends after 10 of 784",
        "280 x 28, 255 levels; expected 28 x 28",
        "not a binary PGM",
        "cannot be opened",
    ):
        assert words in done.stderr


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
@pytest.mark.kits
def test_javascript_prepares_pixels_as_predict_does(tmp_path: Path) -> None:
    from kit_pictures import make_pictures

    from toolkit.errors import DataError
    from toolkit.imaging.prepare import prepare_image
    from toolkit.imaging.settings import PrepareSettings

    cases = make_pictures()
    given = [
        {
            "data": base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode(),
            "height": pixels.shape[0],
            "width": pixels.shape[1],
            "channels": 1 if pixels.ndim == 2 else 3,
            "spec": {name: getattr(spec, name) for name in ("height", "width", "channels", "polarity", "fit")},
            "fit": fit,
        }
        for pixels, spec, fit in cases
    ]
    (tmp_path / "cases.json").write_text(json.dumps(given))
    scripts = Path(sys.modules["exporters.kits"].__file__ or "").parent / "javascript"
    shutil.copytree(scripts, tmp_path, dirs_exist_ok=True)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "run.mjs").write_text(
        "import { readFileSync } from 'node:fs';\nimport { prepare, PictureError } from './prepare.js';\n"
        "const answers = JSON.parse(readFileSync('cases.json')).map(({ data, spec, fit, ...picture }) => {\n"
        "  try {\n    const made = prepare({ ...picture, data: new Uint8Array(Buffer.from(data, 'base64')) }, spec, { fit });\n"
        "    return { data: Buffer.from(made.data).toString('base64'), notes: made.notes };\n"
        "  } catch (error) {\n    if (error instanceof PictureError) return { error: error.message };\n    throw error;\n  }\n"
        "});\nconsole.log(JSON.stringify(answers));\n"
    )
    done = subprocess.run(["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    exact = 0
    for (pixels, spec, fit), answer in zip(cases, json.loads(done.stdout), strict=True):
        if "error" in answer:
            with pytest.raises(DataError) as caught:
                prepare_image(pixels, spec, settings=PrepareSettings(fit=fit))
            assert str(caught.value) == answer["error"].replace("picture", "image")
            continue
        wanted, note = prepare_image(pixels, spec, settings=PrepareSettings(fit=fit))
        seen = np.frombuffer(base64.b64decode(answer["data"]), np.uint8).reshape(wanted.shape)
        difference = np.abs(seen.astype(int) - wanted)
        assert difference.max() <= 1
        assert "; ".join(answer["notes"]) == note
        exact += difference.max() == 0
    assert exact > len(cases) / 2
