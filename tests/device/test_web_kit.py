"""The web kit in headless Chromium, on WebGPU and on WebAssembly: the same answers, and the page says which it is."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strokes import STROKES
from web_page import draw, settle, wait_until_ready

from toolkit.artifacts import ArtifactStore
from toolkit.card import Card
from toolkit.data.load import load_mini
from toolkit.exporting.kits.browser import BROWSERS, KitServer, find_browser
from toolkit.exporting.kits.kits import KitConfig, put_kit, read_kit_source
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.installed import is_installed
from toolkit.runtimes.workers.client import WorkerRuntime

SOFTWARE = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan,WebGPU")
REFUSED = ("--disable-features=WebGPU,WebGPUService",)
PICTURES = load_mini().test.images[:200]
LOGITS = """async (text) => {
  const pixels = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const { logits, label } = await kit.model.run(pixels, 200);
  return [[...logits], [...label].map(Number)];
}"""


@pytest.fixture(scope="module", autouse=True)
def _needs() -> None:
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("there is no Chromium on the PATH")
    if not is_installed("ort-web"):
        pytest.skip("ort-web is not installed; run by: make test-device")


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def kits(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The kit's folder by the provider that it is built for."""
    made = {}
    for provider in ("webgpu", "wasm"):
        config = KitConfig(kits=("web",), uses_webgpu=provider == "webgpu")
        store = ArtifactStore(root=tmp_path_factory.mktemp(provider))
        made[provider] = put_kit("web", read_kit_source(model_path), config=config, store=store)
    return made


@contextmanager
def _page(driver: Any, folder: Path, *flags: str) -> Iterator[Any]:
    browser = driver.chromium.launch(executable_path=find_browser(), args=["--no-sandbox", *flags])
    try:
        with KitServer(folder) as server:
            page = browser.new_page(viewport={"width": 900, "height": 900})
            page.goto(server.url)
            wait_until_ready(page)
            yield page
    finally:
        browser.close()


@pytest.fixture(scope="module")
def webgpu(driver: Any, kits: dict[str, Path]) -> Iterator[Any]:
    """The page of the build with WebGPU, on Chromium's software device."""
    with _page(driver, kits["webgpu"], *SOFTWARE) as page:
        yield page


def test_badge_names_the_adapter_and_that_it_is_software(webgpu: Any, model_path: Path) -> None:
    webgpu.wait_for_selector("#badge[data-status=pass]", timeout=240_000)
    golden = Card.loads(ModelSource.read(model_path).path.with_suffix(".card.json").read_text()).golden
    assert golden is not None
    badge = webgpu.inner_text("#badge")
    assert f"passed on webgpu (google swiftshader, a software device), {golden.shape[0]} pictures" in badge
    assert "webgpu (google swiftshader, a software device)" in webgpu.inner_text("#runtime")
    assert webgpu.evaluate("() => kit.provider") == "webgpu"


@pytest.mark.slow
def test_ten_drawn_digits_are_answered_as_by_webassembly(webgpu: Any, driver: Any, kits: dict[str, Path]) -> None:
    with _page(driver, kits["wasm"]) as wasm:
        answers = [[_draw(page, strokes) for strokes in STROKES.values()] for page in (webgpu, wasm)]
    assert len(answers[0]) == 10
    assert answers[0] == answers[1]


def _draw(page: Any, strokes: Any) -> tuple[str, str]:
    page.click("#clear")
    draw(page, strokes)
    settle(page)
    # A slow device still answers an unfinished drawing: this one is asked for last.
    page.evaluate("() => kit.answer(kit.pad.picture(), { fit: 'mnist' })")
    return page.inner_text("#answer"), page.inner_text("#probability")


@pytest.mark.parametrize("provider", ["webgpu", "wasm"])
def test_logits_of_two_hundred_pictures_are_those_of_onnx_runtime(
    request: pytest.FixtureRequest, driver: Any, kits: dict[str, Path], model_path: Path, provider: str
) -> None:
    source = ModelSource.read(model_path)
    with WorkerRuntime(source, RuntimeSettings(optimisation="none")) as runtime:
        expected = runtime.run({"images": PICTURES})
    card = Card.loads(source.path.with_suffix(".card.json").read_text())
    text = base64.b64encode(PICTURES.tobytes()).decode()
    if provider == "webgpu":
        logits, labels = request.getfixturevalue("webgpu").evaluate(LOGITS, text)
    else:
        with _page(driver, kits["wasm"]) as page:
            assert page.evaluate("() => kit.provider") == "wasm"
            logits, labels = page.evaluate(LOGITS, text)
    error = float(np.abs(np.reshape(logits, (200, 10)) - expected["logits"]).max())
    assert 0 < error < card.bound["logits"]
    assert labels == expected["label"].tolist()


def test_refused_adapter_falls_back_to_webassembly_and_the_page_says_why(driver: Any, kits: dict[str, Path]) -> None:
    with _page(driver, kits["webgpu"], *REFUSED) as page:
        page.wait_for_selector("#badge[data-status=pass]", timeout=120_000)
        assert page.evaluate("() => kit.provider") == "wasm"
        assert "passed on wasm" in page.inner_text("#badge")
        assert "not on webgpu: " in page.inner_text("#runtime")
        refused = page.evaluate(
            "async () => { const { load } = await import('./index.js');"
            " return load({ provider: 'webgpu' }).then(() => '', (error) => error.message); }"
        )
    assert refused.startswith("webgpu cannot run the model: ")
