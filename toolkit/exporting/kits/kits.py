"""Kits: a folder for each way to embed a model, with its card, code to copy, and a self-check in that very runtime."""

from __future__ import annotations

__all__ = ["KITS", "KitConfig", "KitResult", "put_kit", "read_kit_source", "write_kits"]

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from exporters.kits import KITS, render_kit
from toolkit.artifacts import ArtifactStore
from toolkit.durable import replaced_folder, settle_folder, write_atomic
from toolkit.errors import ResourceError, UsageError, require_known
from toolkit.exporting.kits.carried import carried_modules
from toolkit.exporting.kits.doubts import golden_doubts
from toolkit.exporting.kits.self_check import SelfCheck, run_selfcheck
from toolkit.exporting.kits.sources import licences_page, network_sources, web_runtime_files
from toolkit.exporting.kits.triton import triton_files
from toolkit.exporting.kits.values import KitSource, kit_values
from toolkit.holding import hold
from toolkit.onnx_file.source import ModelSource
from toolkit.progress import ShowProgress
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.contract import require_contract
from toolkit.runtimes.workers.client import blame_the_file, open_worker

Files = dict[PurePosixPath, bytes]
LICENCES = "LICENSES.md"
# Of the golden vectors, for kits that read the card where they run; those of C have them compiled in.
VERDICTS, WITH_VERDICTS = "golden_doubts.json", ("python", "node", "web")
INTERFACES = ("classifier.h", "classifier.c", "classifier.hpp")
CARRIED_FOLDER = "_toolkit"
SIZES_UNKNOWN = "Code, weights and working memory were not measured where this was written: `make size`."


@dataclass(frozen=True, slots=True, kw_only=True)
class KitConfig:
    """Which kits to write.

    Attributes:
        kits: names, or `all`.
        uses_webgpu: the web kit carries the larger build that has WebGPU.
        force: replace a folder that exists.
    """

    kits: tuple[str, ...]
    uses_webgpu: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        for kit in self.kits:
            require_known(kit, (*KITS, "all"), what="kit")
        if self.uses_webgpu and "web" not in self.names:
            raise UsageError("--webgpu is of the web kit; ask for it: --kit web")

    @property
    def names(self) -> tuple[str, ...]:
        """Every kit meant, each once."""
        return KITS if "all" in self.kits else tuple(dict.fromkeys(self.kits))


@dataclass(frozen=True, slots=True, kw_only=True)
class KitResult:
    """A kit that was written.

    Attributes:
        kit: its name.
        folder: where it lies.
        size_bytes: of all its files.
        check: what its self-check said.
    """

    kit: str
    folder: Path
    size_bytes: int
    check: SelfCheck


def read_kit_source(path: Path) -> KitSource:
    """Read a model that keeps the contract; it is opened in a worker first.

    Raises:
        ModelError: it breaks the contract; says which clause.
    """
    source = ModelSource.read(path)
    with (
        blame_the_file(path.name),
        open_worker(source, RuntimeSettings(), allow_foreign=False) as worker,
    ):
        card = require_contract(worker.info, name=path.name)
    return KitSource(path=path, model=source.model, card=card)


def write_kits(
    source: KitSource,
    config: KitConfig,
    *,
    store: ArtifactStore,
    progress: ShowProgress | None = None,
) -> tuple[KitResult, ...]:
    """Write kits into `kits/<model>-<kit>/` and let each check itself.

    A self-check that cannot run for want of a tool is told as such; the kit is there all the same.

    Raises:
        UsageError: a folder exists and `force` is not set.
        ResourceError: what a kit bundles cannot be had, or another process writes the same kit.
        ModelError: a code generator refuses the model.
    """
    for kit in config.names:
        _require_free(_folder_of(kit, source, store=store), config)
    results = []
    for number, kit in enumerate(config.names):
        if progress:
            progress(number, len(config.names))
        with hold(_folder_of(kit, source, store=store)):
            folder = _put_kit(kit, source, config=config, store=store)
            check = run_selfcheck(kit, folder)
            if check.sizes:
                _state_sizes(folder / "README.md", check.sizes)
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        results.append(KitResult(kit=kit, folder=folder, size_bytes=size, check=check))
    if progress:
        progress(len(config.names), len(config.names))
    return tuple(results)


def _state_sizes(readme: Path, sizes: dict[str, int]) -> None:
    """Write what the compiler told into the kit's README."""
    table = (
        "| | built here with -O2 |\n|---|---|\n"
        f"| code | {sizes['code'] / 1e3:,.0f} kB |\n"
        f"| weights, read-only | {sizes['weights'] / 1e6:,.2f} MB |\n"
        f"| working memory, on the stack | {sizes['stack'] / 1e3:,.0f} kB |"
    )
    write_atomic(readme, readme.read_text().replace(SIZES_UNKNOWN, table).encode())


def put_kit(kit: str, source: KitSource, *, config: KitConfig, store: ArtifactStore) -> Path:
    """Write one kit without its self-check and return its folder.

    Raises:
        UsageError, ResourceError, ModelError: as `write_kits`.
    """
    with hold(_folder_of(kit, source, store=store)):
        return _put_kit(kit, source, config=config, store=store)


def _put_kit(kit: str, source: KitSource, *, config: KitConfig, store: ArtifactStore) -> Path:
    folder = _folder_of(kit, source, store=store)
    _require_free(folder, config)
    _put(_make_files(kit, source, config=config), folder)
    return folder


def _folder_of(kit: str, source: KitSource, *, store: ArtifactStore) -> Path:
    # Build tools of several languages stumble over quotes, colons and semicolons in a path.
    return store.root / "kits" / f"{re.sub(r'[^a-zA-Z0-9._-]+', '_', source.stem)}-{kit}"


def _require_free(folder: Path, config: KitConfig) -> None:
    settle_folder(folder)
    if folder.exists() and not config.force:
        raise UsageError(f"the kit {folder} exists; take it away or --force")
    if folder.exists() and not (folder / LICENCES).is_file():
        raise UsageError(f"{folder} is no kit, so it is not replaced; take it away")


def _make_files(kit: str, source: KitSource, *, config: KitConfig) -> Files:
    values = kit_values(source, uses_webgpu=config.uses_webgpu)
    files: Files = {}
    if kit == "c":
        generated, cgen = network_sources(source)
        files |= generated
        values |= {"cgen_version": cgen, "c_sizes": SIZES_UNKNOWN}
    if kit == "web":
        files |= web_runtime_files(uses_webgpu=config.uses_webgpu)
    for name, text in render_kit(kit, values).items():
        files[_renamed(name, kit, package=source.package)] = text.encode()
    files[PurePosixPath("model.onnx")] = source.model
    files[PurePosixPath("model.card.json")] = source.card.dumps().encode()
    if kit in WITH_VERDICTS:
        files[PurePosixPath(VERDICTS)] = json.dumps(golden_doubts(source.card)).encode()
    if kit == "python":
        files = _as_package(files, source.package)
    files[PurePosixPath(LICENCES)] = licences_page(source.card, kit).encode()
    return triton_files(files, source) if kit == "triton" else files


def _renamed(name: PurePosixPath, kit: str, *, package: str) -> PurePosixPath:
    """Return a file's name in its kit: in C and C++ the interface is called as the model is."""
    is_interface = kit in {"c", "cpp"} and name.name in INTERFACES
    return PurePosixPath(package + name.suffix) if is_interface else name


def _as_package(files: Files, package: str) -> Files:
    """Put a Python kit's files where pip looks for them, the product's own modules among them."""
    inside = {name: data for name, data in files.items() if name.suffix in {".py", ".json", ".onnx"}}
    carried = carried_modules(f"{package}.{CARRIED_FOLDER}")
    inside |= {PurePosixPath(CARRIED_FOLDER) / name: text.encode() for name, text in carried.items()}
    outside = {name: data for name, data in files.items() if name not in inside}
    return {**outside, **{PurePosixPath(package) / name: data for name, data in inside.items()}}


def _put(files: Files, folder: Path) -> None:
    """Write a kit whole or not at all."""
    try:
        with replaced_folder(folder) as made:
            for name, data in files.items():
                target = made / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
    except OSError as error:
        raise ResourceError(f"cannot write the kit {folder}: {error.strerror or error}") from error
