"""Files of kits that no template holds: the network as C, ONNX Runtime for the web, and whose work a kit carries."""

from __future__ import annotations

__all__ = ["licences_page", "network_sources", "web_runtime_files"]

import re
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path, PurePosixPath

from toolkit.card import Card
from toolkit.errors import ModelError, ResourceError
from toolkit.exporters import kits as templates
from toolkit.exporting.kits.values import KitSource, safe_words
from toolkit.programs import run_program
from toolkit.runtimes.installed import find_private_folder, install_private
from toolkit.runtimes.workers.time_limits import GENERATE_S

# Everything is compiled in and nothing is taken from the heap.
EVERYTHING, NOTHING = "1000000000000", "0"
WEIGHT = re.compile(r"\bweight\d+_")
WEB_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
WEBGPU_FILES = (
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
APACHE = "https://www.apache.org/licenses/LICENSE-2.0"
NOTICES = "https://github.com/microsoft/onnxruntime/blob/main/ThirdPartyNotices.txt"


def network_sources(source: KitSource) -> tuple[dict[PurePosixPath, bytes], str]:
    """Return `network.c` and `network_data.c`, written by emx-onnx-cgen for one picture, and its version.

    Raises:
        ResourceError: emx-onnx-cgen is not installed.
        ModelError: it refuses the model, or hangs.
    """
    import onnx

    try:
        cgen = version("emx-onnx-cgen")
    except ModuleNotFoundError as error:
        raise ResourceError(
            "emx-onnx-cgen, which writes C, is not installed; get it with: pip install 'onnx-parity-toolkit[kit-c]'"
        ) from error
    model = onnx.ModelProto.FromString(source.model)
    del model.metadata_props[:]  # it would stand in a comment, golden vectors and all
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "model.onnx").write_bytes(model.SerializeToString())
        options = ["--input-dim", "batch=1", "--emit-data-file", "--model-name", f"{source.identifier}_network"]
        options += ["--large-weight-threshold", EVERYTHING, "--large-temp-threshold", NOTHING]
        command = [sys.executable, "-P", "-m", "emx_onnx_cgen", "compile", *options, "model.onnx", "network.c"]
        if words := run_program(command, folder=path, timeout_s=GENERATE_S):
            raise ModelError(f"emx-onnx-cgen makes no C of {source.path.name}: {words[-1]}")
        written = {file.name: file.read_text() for file in sorted(path.glob("network*.c"))}
    # The weights are global, and called alike in every network of this kind: an app may hold several.
    named = {name: WEIGHT.sub(rf"{source.identifier}_\g<0>", text) for name, text in written.items()}
    return {PurePosixPath(name): text.encode() for name, text in named.items()}, cgen


def web_runtime_files(*, uses_webgpu: bool) -> dict[PurePosixPath, bytes]:
    """Return onnxruntime-web's files for `ort/`; the package is brought into its private folder where it is not there.

    Raises:
        ResourceError: it cannot be installed.
    """
    try:
        folder = find_private_folder("ort-web")
    except ResourceError:
        folder = install_private("ort-web")
    dist = folder / "node_modules" / "onnxruntime-web" / "dist"
    names = WEBGPU_FILES if uses_webgpu else WEB_FILES
    return {PurePosixPath("ort", name): (dist / name).read_bytes() for name in names}


def licences_page(card: Card, kit: str) -> str:
    """Return `LICENSES.md` of a kit: the model, the pictures in its card, the code, and what is bundled."""
    author, licence = safe_words(card.author), safe_words(card.licence)
    parts = ["# Licences", "", f"- **The model** `{safe_words(card.name)}`, by {author}: {licence}."]
    if licence == "NOASSERTION":
        parts[-1] += " NOASSERTION says nothing: ask its author."
    parts += [_data(card), f"- **The code of this kit** was written by onnx-parity-toolkit: Apache-2.0 ({APACHE})."]
    if kit == "web":
        parts.append(
            "- **ONNX Runtime Web** in `ort/`: MIT, below. The WebAssembly file holds code of other projects, "
            f"whose notices are at {NOTICES}."
        )
    if kit == "c":
        parts.append("- `network.c` and `network_data.c` are the model, written out by emx-onnx-cgen (Apache-2.0).")
    bundled = ["", "```", templates.read_licence("onnxruntime").strip(), "```"] if kit == "web" else []
    return "\n".join([*parts, *bundled, ""])


def _data(card: Card) -> str:
    name, licence = (safe_words(str(card.data.get(key) or "unknown")) for key in ("name", "licence"))
    trained = f"- **Trained on** {name}: {licence}."
    if card.golden is None or card.golden.origin != "data":
        return trained
    return f"{trained} The card's golden vectors are pictures of it, under the same licence, unchanged."
