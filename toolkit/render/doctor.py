"""What works here: the doctor's verdict in sentences, its rows as a table, and the runtimes that are installed."""

from __future__ import annotations

__all__ = ["render_doctor", "runtimes_table"]

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.console import RenderableType
from rich.text import Text

from toolkit.nvidia import JOINT
from toolkit.render.ending import command_line
from toolkit.render.tables import RowTable, make_table
from toolkit.runtimes.providers import describe_device

if TYPE_CHECKING:
    from toolkit.doctor.report import DoctorReport, DoctorRow
    from toolkit.runtimes.installed import RuntimeRow

STYLES = {"pass": "green", "absent": "yellow", "fail": "bold red"}
ENGINE_WORDS = {"ort": "ONNX Runtime", "torch": "PyTorch", "torch-compile": "compiled PyTorch"}
RUN_ON = "This release ran on Linux x86-64; not on Windows, macOS, arm64 or an NVIDIA GPU."
NO_FILE = "cannot open shared object file: No such file or directory"


class Area(NamedTuple):
    """What a user asks about.

    Attributes:
        title: its name.
        judges: the rows that say whether it works.
        parts: the rows of what it is made of, the deepest first: where one lacks, the next ones cannot work either.
    """

    title: str
    judges: tuple[str, ...]
    parts: tuple[str, ...] = ()


CUDA_PARTS = (
    *("GPU", "NVIDIA driver", "CUDA runtime", "cuBLAS", "cuBLASLt", "cuRAND", "cuFFT", "NVRTC", "cuDNN"),
    "CUDA versions",
)
AREAS = (
    Area("The CPU", ("ort/cpu", "torch/cpu"), ("onnxruntime installation",)),
    Area("CUDA", ("ort/cuda", "torch/cuda"), CUDA_PARTS),
    Area("TensorRT", ("ort/tensorrt",), ("TensorRT", "TensorRT's ONNX parser")),
    Area("OpenVINO's provider", ("ort/openvino",)),
    Area("WebGPU", ("ort/webgpu",)),
    Area("Metal", ("torch/mps",)),
)


def render_doctor(report: DoctorReport, *, every: bool = False) -> list[RenderableType]:
    """Return what works and what does not, each cause and each remedy once; then the machine.

    Args:
        report: of the examination.
        every: whether a table of all that was examined follows.
    """
    rows = {row.name: row for row in report.rows}
    told: set[str] = set()
    lines = [line for area in AREAS for line in _area_lines(area, rows, told=told)]
    known = {name for area in AREAS for name in (*area.judges, *area.parts)}
    lines += _engine_lines([row for row in report.rows if row.name not in known], told=told)
    lines += [f"Machine: {_machine(report)}.", RUN_ON]
    table: list[RenderableType] = ["", _table(report.rows)] if every else []
    # A remedy is one line to be copied, however long.
    return [*(command_line(line) if "pip install" in line else line for line in lines), *table]


def runtimes_table(rows: Iterable[RuntimeRow]) -> RowTable:
    """Return one row for each runtime: its version, or the command that brings it."""
    header = ("runtime", "installed", "runs on", "what brings it")
    # References are what engines are compared with, and nobody runs them by name.
    engines = [row for row in rows if not row.is_reference]
    return make_table(header, map(_runtime_cells, engines), below={"what brings it"})


def _area_lines(area: Area, rows: dict[str, DoctorRow], *, told: set[str]) -> list[str]:
    """Return the sentence of an area, and below it each cause with its remedy where those are not told yet."""
    judges = [rows[name] for name in area.judges if name in rows]
    if not judges:
        return []
    if area.title == "Metal" and judges[0].status == "absent":
        return []  # of Apple's computers alone
    works = [row for row in judges if row.status == "pass"]
    broken = [
        row for row in (rows[name] for name in (*area.parts, *area.judges) if name in rows) if _counts(row, works)
    ]
    head = f"{area.title} works: {', '.join(map(_engine_of, works))}" if works else ""
    if not broken:
        return [f"{head}."]
    missing = ", ".join(_engine_of(row) for row in judges if row not in works)
    head = f"{head}; not {missing}" if head and missing else head or f"{area.title} does not work"
    causes = _causes(broken, told=told)
    if not causes:
        return [f"{head}: it waits for what is told above."]
    if len(causes) == 1:
        return [f"{head}: {causes[0][0].rstrip('.')}.", *causes[0][1:]]
    return [
        f"{head}, for {len(causes)} reasons:",
        *(line for first, *rest in causes for line in (f"  - {first}", *rest)),
    ]


def _counts(row: DoctorRow, works: Sequence[DoctorRow]) -> bool:
    """Say whether a row explains what does not work: where an engine works, a part that it does not use does not."""
    return row.status == "fail" or (row.status == "absent" and (row.kind in {"provider", "runtime"} or not works))


def _causes(rows: Sequence[DoctorRow], *, told: set[str]) -> list[list[str]]:
    """Return, for each cause that nothing before it explains, its words and its remedies, a line each."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        subject, colon, words = row.reason.partition(": ")
        is_library = row.kind == "library" and bool(colon)
        groups.setdefault((row.mend, words if is_library else row.reason), []).append(subject if is_library else "")
    causes = []
    for (mend, reason), subjects in groups.items():
        remedies = [part for part in mend.split(JOINT) if part]
        new = [part for part in remedies if part not in told]
        is_explained = any(reason in other for _, other in groups if other != reason)
        if (remedies and not new) or (not remedies and is_explained):
            continue  # what was told brings this, too
        told.update(new)
        words = "not found" if reason == NO_FILE else reason
        named = ", ".join(filter(None, subjects))
        causes.append([f"{named}: {words}" if named else words, *(f"      {_say_remedy(part)}" for part in new)])
    return causes


def _engine_lines(rows: Sequence[DoctorRow], *, told: set[str]) -> list[str]:
    """Return the sentences of the other engines, and of whatever else was examined."""
    works = [row.name.removesuffix("/cpu") for row in rows if row.status == "pass"]
    absent = [row.name.removesuffix("/cpu") for row in rows if row.status == "absent" and row.kind == "runtime"]
    lines = [f"These engines work: {', '.join(works)}."] if works else []
    for row in rows:
        if row.status == "fail" or (row.status == "absent" and row.kind != "runtime"):
            lines += [line for first, *rest in _causes([row], told=told) for line in (f"{row.name}: {first}.", *rest)]
    if absent:
        lines.append(f"Not installed: {', '.join(absent)}; what brings each: toolkit runtimes list")
    return lines


def _engine_of(row: DoctorRow) -> str:
    name = row.name.split("/")[0]
    words = f"{ENGINE_WORDS.get(name, name)} {row.version or ''}".strip()
    return f"{words} on {describe_device(row.device)}" if row.device else words


def _say_remedy(remedy: str) -> str:
    return f"install {remedy}" if remedy.startswith("an ") else remedy


def _machine(report: DoctorReport) -> str:
    cpu = report.environment["cpu"]
    gpus = ", ".join(str(gpu["name"]) for gpu in report.environment["gpus"] or []) or "no GPU"
    where = report.environment.get("platform") or {}
    system = " ".join(str(where[key]) for key in ("system", "machine") if where.get(key))
    return ", ".join(filter(None, (cpu["model"] or "unknown CPU", f"{cpu['logical_cores']} cores", gpus, system)))


def _table(rows: Iterable[DoctorRow]) -> RowTable:
    caption = "pass of an engine: it opened, and a convolution on it gave the right answer"
    return make_table(
        ("what", "status", "nodes placed", "version"), map(_cells, rows), folded={"version"}, caption=caption
    )


def _cells(row: DoctorRow) -> list[Text]:
    placed = ", ".join(f"{count} on {name}" for name, count in row.placement.items())
    status = Text(row.status.upper() if row.status == "fail" else row.status, style=STYLES[row.status])
    version = row.version or ("none" if row.kind == "gpu" else "not installed")
    return [Text(row.name), status, Text(placed), Text(version)]


def _runtime_cells(row: RuntimeRow) -> tuple[str | Text, ...]:
    brought_by = f"{row.distribution} {row.version}" if row.distribution else "installed, version unknown"
    found = Text(brought_by) if row.installed else Text("not installed", "yellow")
    # Of those that do not open model files.
    needs = "; a run's network" if row.executes == "run" else ""
    return row.runtime, found, ", ".join(row.devices) + needs, Text("" if row.installed else row.install)
