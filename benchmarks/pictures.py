"""The pictures of README: a terminal and the web page, both of a real session.

    python benchmarks/pictures.py FOLDER

FOLDER is where `toolkit quickstart` ran. Written into docs/images: `terminal.svg`, what COMMAND shows in a terminal of
80 columns; `page.png`, the web kit of the same model with a digit drawn by mouse. Needs the extra `kits`, a Chromium,
and the engines that COMMAND names.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import io
import os
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from PIL import Image
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text
from strokes import STROKES
from terminal import Watched, watch
from web_page import draw, settle, wait_until_ready

from toolkit.artifacts import ArtifactStore
from toolkit.exporting.kits.browser import KitServer, find_browser
from toolkit.exporting.kits.kits import KitConfig, put_kit, read_kit_source

IMAGES = ROOT / "docs" / "images"
COLUMNS = 80
COMMAND = ("toolkit", "parity", "--threads", "0", "--runtime", "ort,torch,openvino,tract,ort-web,ncnn")
DIGIT = "5"
# Rich's own, but for its font, which it fetches from elsewhere.
SVG = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px/{line_height}px ui-monospace, Menlo, Consolas, monospace; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def main() -> None:
    """Make both."""
    parser = argparse.ArgumentParser(description="The pictures of README.")
    parser.add_argument("folder", type=Path, help="where toolkit quickstart ran")
    folder = parser.parse_args().folder
    IMAGES.mkdir(parents=True, exist_ok=True)
    store = ArtifactStore(root=folder / "artifacts")
    (IMAGES / "page.png").write_bytes(picture_page(store))
    (IMAGES / "terminal.svg").write_text(picture_terminal(folder), "utf-8")


def picture_terminal(folder: Path) -> str:
    """Run the command in a terminal and return its last screen."""
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    watched = watch(*COMMAND, columns=COLUMNS, environment=environment, cwd=folder)
    if watched.code:
        sys.exit("\n".join(watched.screen))
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)
    for line in ["$ " + " ".join(COMMAND), *watched.screen]:
        console.print(colour(watched).get(line, line), soft_wrap=False, markup=False)
    return console.export_svg(title="", code_format=SVG, unique_id="terminal")


def colour(watched: Watched) -> dict[str, Text]:
    """Return the lines that were written, in their colours, by their words."""
    written = (Text.from_ansi(re.split(r"\r|\x1b\[\d*[AK]", line)[-1]) for line in watched.raw.splitlines())
    return {text.plain.rstrip(): text for text in written}


def picture_page(store: ArtifactStore) -> bytes:
    """Serve the latest model's web kit, draw a digit, and return the page as a PNG of few colours."""
    source = read_kit_source(store.latest_model())
    with tempfile.TemporaryDirectory() as name:
        kit = put_kit("web", source, config=KitConfig(kits=("web",)), store=ArtifactStore(root=Path(name)))
        with KitServer(kit) as server, sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 860, "height": 600}, device_scale_factor=2)
            page.goto(server.url)
            wait_until_ready(page)
            page.wait_for_selector("#badge[data-status=pass]")
            draw(page, STROKES[DIGIT])
            settle(page)
            page.wait_for_timeout(500)  # until the bars have grown
            png = page.screenshot(full_page=True)
            browser.close()
    stream = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(128).save(stream, "PNG", optimize=True)
    return stream.getvalue()


if __name__ == "__main__":
    main()
