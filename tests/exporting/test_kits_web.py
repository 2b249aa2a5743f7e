"""The web kit in a real headless Chromium: strokes, dropped pictures, the badge, and nothing that leaves the page."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from strokes import STROKES
from web_page import Seen, draw, drop, encode_png, settle, wait_until_ready

from toolkit.artifacts import ArtifactStore
from toolkit.card import Card
from toolkit.data import load_dataset
from toolkit.exporting.kits.browser import KitServer, find_browser
from toolkit.exporting.kits.kits import KitConfig, put_kit, read_kit_source
from toolkit.imaging.prepare import prepare_image
from toolkit.imaging.settings import PrepareSettings

pytestmark = pytest.mark.kits
# `make kits` gives the quickstart's model; a model that was trained on a few images draws other conclusions.
MODEL_VARIABLE = "TOOLKIT_KITS_MODEL"
NO_ANSWER = "\N{EN DASH}"


@pytest.fixture(scope="module")
def kit(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get(MODEL_VARIABLE)
    source = read_kit_source(Path(named) if named else model_path)
    store = ArtifactStore(root=tmp_path_factory.mktemp("web"))
    return put_kit("web", source, config=KitConfig(kits=("web",)), store=store)


@pytest.fixture(scope="module")
def card(kit: Path) -> Card:
    return Card.loads((kit / "model.card.json").read_text())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(kit: Path, browser: Any) -> Iterator[Any]:
    with KitServer(kit) as server:
        opened = browser.new_page(viewport={"width": 900, "height": 900})
        seen = Seen(opened, server.url)
        opened.goto(server.url)
        wait_until_ready(opened)
        yield opened
        opened.close()
    assert seen.foreign == []
    assert seen.complaints == []


def test_badge_replays_the_golden_vectors(page: Any, card: Card) -> None:
    page.wait_for_selector("#badge[data-status=pass]", timeout=60_000)
    assert card.golden is not None
    assert f"self-check: passed on wasm, {card.golden.shape[0]} pictures" in page.inner_text("#badge")


def test_nine_of_ten_drawn_digits_are_named(page: Any, card: Card, record_property: Any) -> None:
    if card.input.fit != "mnist":
        pytest.skip("this model does not take drawings")
    answers = {}
    for digit, strokes in STROKES.items():
        draw(page, strokes)
        settle(page)
        answers[digit] = page.inner_text("#answer")
        page.click("#clear")
    record_property("answers", json.dumps(answers))
    assert sum(digit == answer for digit, answer in answers.items()) >= 9, answers
    assert page.inner_text("#answer") == NO_ANSWER


def test_what_the_network_sees_is_what_predict_prepares(page: Any, card: Card) -> None:
    if card.input.fit != "mnist":
        pytest.skip("this model does not take drawings")
    for digit in ("2", "4", "8"):
        draw(page, STROKES[digit])
        settle(page)
        drawn = np.array(page.evaluate("() => [...kit.pad.picture().data]"), np.uint8).reshape(280, 280)
        seen = np.array(page.evaluate("() => [...kit.last.pixels]"), np.uint8).reshape(28, 28)
        wanted, _ = prepare_image(drawn, card.input, settings=PrepareSettings(fit="mnist"))
        assert np.abs(seen.astype(int) - wanted).max() <= 1
        page.click("#clear")


def test_dropped_picture_is_classified_as_predict_does(page: Any, card: Card, kit: Path) -> None:
    from toolkit import Classifier

    pixels = load_dataset("mnist-mini").test.images[:3]
    paper = [255 - np.asarray(Image.fromarray(image).resize((140, 140))) for image in pixels]
    with Classifier(kit / "model.onnx") as classifier:
        expected = classifier.predict([np.ascontiguousarray(image) for image in paper])
    for image, label, probability in zip(paper, expected.labels, expected.probabilities, strict=True):
        drop(page, "digit.png", "image/png", encode_png(np.stack([image] * 3, axis=-1)))
        assert page.inner_text("#answer") == label
        assert page.evaluate("() => kit.last.probability") == pytest.approx(float(probability.max()), abs=0.02)
        assert "inverted: dark on light" in page.inner_text("#facts")
        assert page.inner_text("#message") == ""


def test_pasted_picture_is_answered_and_pasted_words_are_a_message(page: Any) -> None:
    image = Image.new("L", (100, 100), 255)
    ImageDraw.Draw(image).line([(50, 10), (50, 90)], fill=0, width=12)
    paste = """([text]) => {
      const given = new DataTransfer();
      if (text) given.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], "a.png", { type: "image/png" }));
      else given.setData("text/plain", "words");
      document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: given, bubbles: true }));
    }"""
    page.evaluate(paste, [base64.b64encode(encode_png(np.asarray(image))).decode()])
    page.wait_for_timeout(600)
    assert page.inner_text("#answer") != NO_ANSWER
    page.evaluate(paste, [""])
    assert page.inner_text("#message") == "what was pasted is no picture"


@pytest.mark.parametrize(
    ("name", "kind", "data", "words"),
    [
        ("notes.txt", "text/plain", b"only words", "the file is no picture"),
        ("nothing.png", "image/png", b"", "the file is empty"),
        ("cut.png", "image/png", encode_png(np.zeros((30, 30), np.uint8))[:40], "cannot be decoded"),
        (
            "huge.png",
            "image/png",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\0\0\0\0" + bytes(40),
            "the picture has 65535 x 65535 pixels; the most is 64000000",
        ),
        ("blank.png", "image/png", encode_png(np.full((200, 200), 255, np.uint8)), "the picture is blank"),
    ],
)
def test_what_is_no_picture_is_a_message(page: Any, name: str, kind: str, data: bytes, words: str) -> None:
    drop(page, name, kind, data)
    assert words in page.inner_text("#message")
    assert page.inner_text("#answer") == NO_ANSWER
    # It goes on: the next picture is answered.
    image = Image.new("L", (100, 100), 255)
    ImageDraw.Draw(image).line([(50, 10), (50, 90)], fill=0, width=12)
    drop(page, "one.png", "image/png", encode_png(np.asarray(image)))
    assert page.inner_text("#message") == ""
    assert page.inner_text("#answer") != NO_ANSWER


def test_keyboard_draws_lifts_and_clears(page: Any, card: Card) -> None:
    if card.input.fit != "mnist":
        pytest.skip("this model does not take drawings")
    page.focus("#pad")
    for key in ["ArrowUp"] * 8 + ["Space"] + ["ArrowDown"] * 16 + ["Space"]:
        page.keyboard.press(key)
    settle(page)
    assert page.inner_text("#answer") == "1"
    page.keyboard.press("Escape")
    assert page.inner_text("#answer") == NO_ANSWER
    assert page.evaluate("() => document.activeElement.id") == "pad"


def test_everything_has_a_name_for_a_screen_reader(page: Any, card: Card) -> None:
    for selector in ("#pad", "#seen", "#bars"):
        assert page.get_attribute(selector, "aria-label")
    assert page.get_attribute("html", "lang") == "en"
    assert page.locator("label[for=file]").count() == 1
    assert page.get_attribute("#message", "role") == "alert"
    assert page.locator("#bars li").count() == len(card.classes)


def test_page_fits_a_phone_in_dark_and_light(kit: Path, browser: Any, card: Card) -> None:
    with KitServer(kit) as server:
        for scheme in ("light", "dark"):
            opened = browser.new_page(viewport={"width": 360, "height": 740}, color_scheme=scheme)
            opened.goto(server.url)
            wait_until_ready(opened)
            assert opened.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
            ground = opened.evaluate("() => getComputedStyle(document.body).backgroundColor")
            assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)")
            opened.close()


def test_model_that_takes_no_drawings_offers_pictures_only(rgb_model: Path, browser: Any, tmp_path: Path) -> None:
    folder = put_kit(
        "web", read_kit_source(rgb_model), config=KitConfig(kits=("web",)), store=ArtifactStore(root=tmp_path)
    )
    with KitServer(folder) as server:
        opened = browser.new_page()
        seen = Seen(opened, server.url)
        opened.goto(server.url)
        opened.wait_for_selector("#badge[data-status=pass]", timeout=60_000)
        assert not opened.is_visible("#pad")
        with opened.expect_file_chooser():
            opened.click("#stage")
        picture = Image.new("RGB", (200, 150), (20, 20, 20))
        ImageDraw.Draw(picture).ellipse((60, 40, 130, 110), fill=(230, 40, 40))
        drop(opened, "circle.png", "image/png", encode_png(np.asarray(picture)))
        assert opened.inner_text("#answer") in {"blue circle", "blue square", "red circle", "red square"}
        opened.close()
    assert seen.foreign == seen.complaints == []


def test_page_is_ready_soon_and_a_prediction_takes_milliseconds(page: Any, record_property: Any) -> None:
    """Goals, printed and not judged: ready in under 2 s on this machine's own address, p50 under 16 ms."""
    ready = float(page.get_attribute("html", "data-ready"))
    check = page.evaluate("() => kit.selfCheck")
    record_property("ready_ms", ready)
    record_property("ms_per_image", check["ms_per_image"])
    sys.stdout.write(f"ready after {ready:.0f} ms; {check['ms_per_image']:.2f} ms a prediction\n")


def test_screenshot_for_a_person_to_look_at(page: Any, card: Card) -> None:
    if card.input.fit == "mnist":
        draw(page, STROKES["3"])
        settle(page)
    page.wait_for_selector("#badge[data-status=pass]", timeout=60_000)
    target = os.environ.get("TOOLKIT_KITS_SCREENSHOT")
    shot = page.screenshot(full_page=True, **({"path": target} if target else {}))
    assert shot.startswith(b"\x89PNG")
