"""What a person meets on the web kit's page, and an app made of its README's lines, in a real headless Chromium."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doubtful_pictures import own_size_pictures, product_verdicts
from PIL import Image
from readme_app import ReadmeApp
from strokes import STROKES
from web_page import Seen, draw, drop, encode_png, settle, wait_until_ready

from toolkit.artifacts import ArtifactStore
from toolkit.card import Card
from toolkit.data import load_dataset
from toolkit.exporting.kits.browser import KitServer, find_browser
from toolkit.exporting.kits.kits import KitConfig, put_kit, read_kit_source

pytestmark = pytest.mark.kits
PHONE, TABLET, SCREEN = ({"width": width, "height": height} for width, height in ((390, 844), (768, 1024), (1280, 800)))
SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan,WebGPU")
PREDICT = """async ([texts, height, width]) => {
  const answers = [];
  for (const text of texts) {
    const data = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const { label, doubtful, reason } = await kit.model.predict({ data, height, width, channels: 1 });
    answers.push([label, doubtful, reason]);
  }
  return answers;
}"""


@pytest.fixture(scope="module")
def kit(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = ArtifactStore(root=tmp_path_factory.mktemp("web"))
    return put_kit("web", read_kit_source(model_path), config=KitConfig(kits=("web",)), store=store)


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


def _launch(driver: Any, *flags: str) -> Any:
    return driver.chromium.launch(executable_path=find_browser(), args=["--no-sandbox", *flags])


@pytest.fixture(scope="module")
def browser(driver: Any) -> Iterator[Any]:
    launched = _launch(driver)
    yield launched
    launched.close()


@contextmanager
def opened(browser: Any, folder: Path, **how: Any) -> Iterator[Any]:
    """Give a page that is served and ready; it may complain of nothing and ask nobody else."""
    with KitServer(folder) as server:
        page = browser.new_page(**how)
        seen = Seen(page, server.url)
        page.goto(server.url)
        wait_until_ready(page)
        yield page
        page.close()
    assert (seen.foreign, seen.complaints) == ([], [])


def _bottom(page: Any, selector: str) -> float:
    box = page.locator(selector).bounding_box()
    return float(box["y"] + box["height"])


@pytest.mark.parametrize("viewport", [PHONE, TABLET, SCREEN], ids=["phone", "tablet", "screen"])
def test_answer_and_doubt_are_seen_without_scrolling(kit: Path, browser: Any, viewport: dict[str, int]) -> None:
    with opened(browser, kit, viewport=viewport) as page:
        assert page.inner_text("#hint") == "Draw here"
        draw(page, STROKES["7"])
        settle(page)
        assert page.inner_text("#answer") in {str(digit) for digit in range(10)}
        assert page.inner_text("#probability").endswith(" %")
        assert not page.is_visible("#hint")
        image = load_dataset("mnist-mini").test.images
        drop(page, "pair.png", "image/png", encode_png(np.repeat(np.hstack(image[:2]), 10, axis=0).repeat(10, axis=1)))
        assert "2 drawings side by side" in page.inner_text("#doubt")
        for selector in ("#answer", "#probability", "#doubt", "#seen", "#clear"):
            assert _bottom(page, selector) < viewport["height"], selector
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_chosen_picture_is_shown_until_it_is_cleared(kit: Path, browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "seven.png"
    Image.fromarray(255 - load_dataset("mnist-mini").test.images[0]).resize((120, 120)).save(path)
    with opened(browser, kit) as page:
        page.set_input_files("#file", path)
        page.wait_for_selector("#chosen:not([hidden])")
        page.wait_for_function("() => chosen.naturalWidth === 120")
        assert page.get_attribute("#chosen", "alt") == "seven.png"
        assert page.inner_text("#answer") != "\N{EN DASH}"
        page.click("#clear")
        assert not page.is_visible("#chosen")
        assert page.inner_text("#hint") == "Draw here"
        draw(page, STROKES["1"])
        settle(page)
        assert page.inner_text("#answer") != "\N{EN DASH}"
        page.set_input_files("#file", path)  # the same one again
        page.wait_for_selector("#chosen:not([hidden])")


def test_picture_that_is_chosen_while_the_model_loads_is_answered(kit: Path, browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "seven.png"
    Image.fromarray(load_dataset("mnist-mini").test.images[0]).save(path)
    with KitServer(kit) as server:
        page = browser.new_page()
        waiting: list[Any] = []
        page.route("**/model.onnx", lambda route: waiting.append(route))  # noqa: PLW0108 - playwright takes no builtin
        page.goto(server.url)
        page.set_input_files("#file", path)
        while not waiting:
            page.wait_for_timeout(50)
        assert page.get_attribute("html", "data-ready") is None
        waiting[0].continue_()
        wait_until_ready(page)
        page.wait_for_selector("#chosen:not([hidden])")
        assert page.inner_text("#answer") != ""
        page.close()


def test_finger_draws(kit: Path, browser: Any) -> None:
    with opened(browser, kit, viewport=PHONE, has_touch=True, is_mobile=True) as page:
        box = page.locator("#pad").bounding_box()
        client = page.context.new_cdp_session(page)
        scale = box["width"] / 280
        for stroke in STROKES["1"]:
            for number, (x, y) in enumerate(stroke):
                point = {"x": box["x"] + x * scale, "y": box["y"] + y * scale}
                kind = "touchMove" if number else "touchStart"
                client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        settle(page)
        assert page.evaluate("() => scrollY") == 0
        assert np.count_nonzero(page.evaluate("() => [...kit.pad.picture().data]")) > 1000
        assert page.inner_text("#answer") != "\N{EN DASH}"
        assert not page.is_visible(".mouse")  # nothing is dropped with a finger


def test_browser_doubts_as_the_product(model_path: Path, kit: Path, browser: Any) -> None:
    spec = Card.loads((kit / "model.card.json").read_text()).input
    pictures = own_size_pictures(spec)
    with opened(browser, kit) as page:
        texts = [base64.b64encode(np.ascontiguousarray(picture).tobytes()).decode() for picture in pictures]
        answers = page.evaluate(PREDICT, [texts, spec.height, spec.width])
    assert [tuple(answer) for answer in answers] == [
        (verdict.label, verdict.is_doubtful, verdict.reason) for verdict in product_verdicts(model_path, pictures)
    ]


def test_page_opened_as_a_file_says_at_once_what_to_do(kit: Path, browser: Any) -> None:
    page = browser.new_page(viewport=PHONE)
    page.goto((kit / "index.html").as_uri())
    assert page.is_visible("#as-file")
    assert "python3 -m http.server 8000" in page.inner_text("#as-file")
    assert "toolkit demo" in page.inner_text("#as-file")
    assert not page.is_visible("main")
    assert "running" not in page.inner_text("body")
    page.close()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model.onnx", "The model cannot be opened: /model.onnx cannot be fetched (404); copy the kit's folder whole"),
        ("golden_doubts.json", "The model cannot be opened: /golden_doubts.json cannot be fetched (404); copy the kit"),
        ("ort/ort-wasm-simd-threaded.wasm", "The model cannot be opened: wasm cannot run the model: "),
        (
            "guard.js",
            "A script of this page cannot be loaded: copy the kit\N{RIGHT SINGLE QUOTATION MARK}s folder whole.",
        ),
    ],
)
def test_file_that_is_missing_is_told_and_nothing_runs_for_ever(
    kit: Path, browser: Any, tmp_path: Path, name: str, words: str
) -> None:
    folder = tmp_path / "kit"
    shutil.copytree(kit, folder)
    (folder / name).unlink()
    with KitServer(folder) as server:
        page = browser.new_page()
        page.goto(server.url)
        page.wait_for_selector("html[data-state=failed]")
        assert page.inner_text("#failed").startswith(words)
        assert "whole" in page.inner_text("#failed")
        assert "running" not in page.inner_text("body")
        assert not page.is_visible("main")
        page.close()


def test_drawing_is_answered_while_webgpu_is_busy_with_the_self_check(
    model_path: Path, driver: Any, tmp_path: Path
) -> None:
    config, store = KitConfig(kits=("web",), uses_webgpu=True), ArtifactStore(root=tmp_path)
    folder = put_kit("web", read_kit_source(model_path), config=config, store=store)
    browser = _launch(driver, *SOFTWARE_GPU)
    with opened(browser, folder) as page:
        if page.evaluate("() => kit.provider") != "webgpu":
            pytest.skip("this Chromium has no software device for WebGPU")
        draw(page, STROKES["1"])
        page.wait_for_function("() => kit.last", timeout=60_000)
        assert page.get_attribute("#badge", "data-status") == "running"
    browser.close()


def test_of_many_classes_the_likeliest_have_bars(kit: Path, browser: Any) -> None:
    with opened(browser, kit) as page:
        shown = page.evaluate("""async () => {
          const { makeBars } = await import("./answer.js");
          const list = document.createElement("ol");
          const classes = Array.from({ length: 100 }, (_, at) => `class ${at}`);
          makeBars(list, classes)(classes.map((_, at) => (at === 77 ? 0.9 : 0.001)), 77);
          return [...list.children].map((item) => [item.textContent, item.hasAttribute("data-best")]);
        }""")
    assert len(shown) == 12
    assert shown[0] == ["class 7790.0 %", True]


def test_lines_of_the_readme_make_an_app_that_names_files_images_and_canvases(
    model_path: Path, kit: Path, browser: Any, tmp_path: Path
) -> None:
    app = ReadmeApp(kit, tmp_path / "app")
    assert app.commands == ["python3 -m http.server 8000\n"]
    image = load_dataset("mnist-mini").test.images[3]
    Image.fromarray(image).save(app.folder / "picture.png")
    (verdict,) = product_verdicts(model_path, [image])
    (tmp_path / "words.png").write_text("words")
    with KitServer(app.folder) as server:
        page = browser.new_page()
        seen = Seen(page, server.url)
        page.goto(server.url)
        page.wait_for_function("async () => (await import('./app.js')).name")

        def told() -> str:
            page.wait_for_function("() => answer.textContent")
            text: str = page.inner_text("#answer")
            page.evaluate("() => (answer.textContent = '')")
            return text

        page.set_input_files("#file", app.folder / "picture.png")
        assert told().startswith(f"{verdict.label} (")
        page.set_input_files("#file", tmp_path / "words.png")
        assert told() == "the file is no picture: expected PNG, JPEG, WebP, BMP or GIF"
        page.evaluate("""async () => {
          const image = Object.assign(new Image(), { src: "picture.png" });
          await image.decode();
          await (await import("./app.js")).name(image);
        }""")
        assert told().startswith(f"{verdict.label} (")
        page.evaluate("""async () => {
          const canvas = Object.assign(document.createElement("canvas"), { width: 28, height: 28 });
          canvas.getContext("2d").fillRect(0, 0, 28, 28);
          await (await import("./app.js")).name(canvas);
        }""")
        assert ", doubtful: nothing to see: contrast 0.0, training images have " in told()
        page.evaluate("async () => (await import('./app.js')).name(new Image())")
        assert told() == "the picture is not loaded, or is none"
        page.close()
    assert [url for url in seen.foreign if not url.endswith("/favicon.ico")] == []
