"""Kits: a folder for each way to embed a model, with its card, code to copy, and a self-check in that very runtime."""

from __future__ import annotations

__all__ = ["KITS", "KitConfig", "KitResult", "MissingKit", "WrittenKits", "put_kit", "read_kit_source", "write_kits"]

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolkit.artifacts import ArtifactStore
from toolkit.durable import replaced_folder, settle_folder, write_atomic
from toolkit.errors import ModelError, ResourceError, UsageError, require_known
from toolkit.exporters import kits as templates
from toolkit.exporting.kits.carried import carried_modules
from toolkit.exporting.kits.doubts import golden_doubts
from toolkit.exporting.kits.self_check import SelfCheck, run_selfcheck
from toolkit.exporting.kits.sources import licences_page, network_sources, web_runtime_files
from toolkit.exporting.kits.triton import triton_files
from toolkit.exporting.kits.values import KitSource, kit_values, require_usable_name
from toolkit.holding import hold
from toolkit.onnx_file.source import ModelSource
from toolkit.progress import ShowProgress, tell_nobody
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.contract import require_contract
from toolkit.runtimes.workers.client import blame_the_file, open_worker

KITS = templates.KITS
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
        kits: names, or `all`: those that can be made here.
        name: what they are called in symbols, packages, titles and folders; None: as the data set, in folders as the
            model's file.
        uses_webgpu: the web kit carries the larger build that has WebGPU.
        provider: where they check themselves: `cpu` or `cuda`.
        force: replace a folder that exists.
    """

    kits: tuple[str, ...]
    name: str | None = None
    uses_webgpu: bool = False
    provider: str = "cpu"
    force: bool = False

    def __post_init__(self) -> None:
        for kit in self.kits:
            require_known(kit, (*KITS, "all"), what="kit")
        require_known(self.provider, ("cpu", "cuda"), what="provider of a kit")
        if self.name is not None:
            require_usable_name(self.name)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingKit:
    """A kit of `all` that cannot be made here.

    Attributes:
        kit: its name.
        reason: what it needs.
    """

    kit: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenKits:
    """What became of the kits that were asked for.

    Attributes:
        kits: those that were written.
        missing_kits: those of `all` that were not.
    """

    kits: tuple[KitResult, ...]
    missing_kits: tuple[MissingKit, ...] = ()


def read_kit_source(path: Path, *, name: str | None = None) -> KitSource:
    """Read a model that keeps the contract; it is opened in a worker first.

    Args:
        path: the file.
        name: what its kits are called; None: as the data set.

    Raises:
        ModelError: it breaks the contract; says which clause.
    """
    source = ModelSource.read(path)
    with (
        blame_the_file(path.name),
        open_worker(source, RuntimeSettings(), allow_foreign=False) as worker,
    ):
        card = require_contract(worker.info, name=path.name)
    return KitSource(path=path, model=source.model, card=card, given_name=name)


def write_kits(
    source: KitSource,
    config: KitConfig,
    *,
    store: ArtifactStore,
    progress: ShowProgress = tell_nobody,
) -> WrittenKits:
    """Write kits into `kits/<model>-<kit>/` and let each check itself; of `all`, those that can be made.

    A self-check that cannot run for want of a tool is told as such; the kit is there all the same.

    Raises:
        UsageError: a folder exists and `force` is not set.
        ResourceError: what a kit bundles cannot be had, and the kit was named or none could be made; or another process
            writes the same kit.
        ModelError: in the same way: a code generator refuses the model.
    """
    for kit in config.names:
        _require_free(_folder_of(kit, source, store=store), config)
    results: list[KitResult] = []
    missing: list[MissingKit] = []
    for number, kit in enumerate(config.names):
        progress(number, len(config.names))
        try:
            results.append(_write_kit(kit, source, config=config, store=store))
        except (ResourceError, ModelError) as error:
            is_last_hope = number + 1 == len(config.names) and not results
            if kit in config.kits or is_last_hope:
                raise
            missing.append(MissingKit(kit=kit, reason=str(error)))
    progress(len(config.names), len(config.names))
    return WrittenKits(kits=tuple(results), missing_kits=tuple(missing))


def _write_kit(kit: str, source: KitSource, *, config: KitConfig, store: ArtifactStore) -> KitResult:
    with hold(_folder_of(kit, source, store=store)):
        folder = _put_kit(kit, source, config=config, store=store)
        check = run_selfcheck(kit, folder, provider=config.provider)
        if check.sizes:
            _state_sizes(folder / "README.md", check.sizes)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return KitResult(kit=kit, folder=folder, size_bytes=size, check=check)


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
    for name, text in templates.render_kit(kit, values).items():
        files[_renamed(name, kit, package=source.package)] = text.encode()
    files[PurePosixPath("model.onnx")] = source.model
    files[PurePosixPath("model.card.json")] = source.card.dumps().encode()
    if kit in WITH_VERDICTS:
        files[PurePosixPath(VERDICTS)] = json.dumps(golden_doubts(source.card)).encode()
    if kit == "python":
        files = _as_package(files, source.package)
    if kit == "triton":
        files |= _carried(CARRIED_FOLDER)
    files[PurePosixPath(LICENCES)] = licences_page(source.card, kit).encode()
    return triton_files(files, source) if kit == "triton" else files


def _renamed(name: PurePosixPath, kit: str, *, package: str) -> PurePosixPath:
    """Return a file's name in its kit: in C and C++ the interface is called as the model is."""
    is_interface = kit in {"c", "cpp"} and name.name in INTERFACES
    return PurePosixPath(package + name.suffix) if is_interface else name


def _as_package(files: Files, package: str) -> Files:
    """Put a Python kit's files where pip looks for them, the product's own modules among them."""
    inside = {name: data for name, data in files.items() if name.suffix in {".py", ".json", ".onnx"}}
    inside |= _carried(f"{package}.{CARRIED_FOLDER}")
    outside = {name: data for name, data in files.items() if name not in inside}
    return {**outside, **{PurePosixPath(package) / name: data for name, data in inside.items()}}


def _carried(package: str) -> Files:
    return {PurePosixPath(CARRIED_FOLDER) / name: text.encode() for name, text in carried_modules(package).items()}


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
