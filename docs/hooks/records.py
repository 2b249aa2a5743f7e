"""What is written: reports, the card, rows of predictions; from the records' own docstrings.

What a key means stands where the code defines it: under `Attributes:` of its dataclass, or, where the JSON is not the
record's fields, under `Keys:` of the method that makes it.
"""

from __future__ import annotations

__all__ = ["PARTS"]

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import griffe
from markdown_text import table
from mkdocs.exceptions import PluginError
from source import read_code
from written_keys import find_keys

from toolkit.prediction.pipeline.blocks import COLUMNS

RECIPES = "Each of `rows` has the recipe's `name`, its `base`, and `fields`; each of these:"
# Kind: what prints it; the record or the function that makes it; where that record stands, if it is not the whole.
REPORTS = {
    "evaluation": ("evaluate", "evaluation.report.EvaluationReport", ""),
    "export": ("export", "exporting.report.ExportReport", ""),
    "module-export": (
        "",
        "exporting.modules.report.ModuleExportReport",
        "What `toolkit.export` of a module of yours says.",
    ),
    "int8": ("export --precision int8", "exporting.report.Int8Report", ""),
    "kits": ("export MODEL --kit", "exporting.kits.kits.WrittenKits", ""),
    "parity": ("parity", "parity.report.ParityReport", ""),
    "parity-replay": ("parity --replay", "parity.diagnosis.replay.ReplayReport", ""),
    "predictions": ("predict", "prediction.report.PredictionReport", ""),
    "bench": ("bench", "bench.report.BenchReport", ""),
    "comparison": ("compare", "bench.compare.Comparison", ""),
    "inspect": ("inspect", "evaluation.inspect.InspectReport", ""),
    "selftest": ("selftest", "evaluation.selftest.SelftestReport", ""),
    "doctor": ("doctor", "doctor.report.DoctorReport", ""),
    "prove": ("prove", "proving.report.ProofReport", ""),
    "runtimes": ("runtimes list", "runtimes.installed.RuntimeRow", "Each of `rows` has:"),
    "runs": ("runs", "training.listing.RunList", ""),
    "recipes": ("recipes", "training.recipe_fields.RecipeField", RECIPES),
    "tune": ("tune", "tuning.tune.TuneReport", ""),
    "learning-curve": ("learning-curve", "tuning.curve_report.CurveReport", ""),
    "data": ("data info", "data.info", ""),
    "data-fetch": ("data fetch", "data.describe.fetch_by_name", ""),
}
# What every report has, told once.
COMMON = {"schema", "command", "environment"}
KEY = re.compile(r"^(\S+): (.+(?:\n[ ]{4,}.+)*)", re.MULTILINE)
JSON_TYPES = {
    "str": "text",
    "Path": "text",
    "Status": "text",
    "bytes": "text",
    "int": "integer",
    "float": "number",
    "bool": "true or false",
    "None": "null",
    "tuple": "list",
    "dict": "object",
    "Mapping": "object",
}


class _Key(NamedTuple):
    name: str
    kind: str
    words: str
    record: griffe.Class | None


def _tell_reports() -> str:
    return "\n".join(_tell_report(kind, *report) for kind, report in REPORTS.items())


def _tell_report(kind: str, verb: str, path: str, where: str) -> str:
    words = f"Printed by `toolkit {verb} --json`. {where}" if verb else where
    return f"## toolkit/{kind}/1 {{#{kind}}}\n\n{words}\n\n{_describe(read_code()[path], set())}"


def _tell_card() -> str:
    return _describe(read_code()["card.Card"], set())


def _tell_columns() -> str:
    words = _attributes(read_code()["prediction.pipeline.blocks.Row"])
    return table(("column", "meaning"), [(f"`{name}`", _cell(words[name])) for name in COLUMNS])


def _describe(record: Any, seen: set[str]) -> str:
    """Return what a record says of itself and its keys, then the records inside it."""
    seen.add(record.name)
    keys = [*_keys(record)]
    rows = [(f"`{key.name}`" + f"<br><small>{key.kind}</small>" * bool(key.kind), key.words) for key in keys]
    inner = [key.record for key in keys if key.record is not None and key.record.name not in seen]
    further = [f"**{each.name}.** {_describe(each, seen)}" for each in inner]
    words = _first_line(record) if record.is_class else ""
    return "\n".join([f"{words}\n\n{table(('key', 'meaning'), rows)}", *further])


def _first_line(record: Any) -> str:
    return " ".join(record.docstring.value.split("\n\n")[0].split())


def _keys(record: Any) -> Iterator[_Key]:
    method = record.members.get("to_json") if record.is_class else record
    words = _attributes(record)
    told = dict(KEY.findall(_section(method, "keys"))) if method else {}
    written = [*words] if method is None else find_keys(method, fields=words) if record.is_class else []
    for name in dict.fromkeys([*written, *told]):
        if name in COMMON or "NDArray" in str(getattr(record.members.get(name), "annotation", "")):
            continue
        meaning = told.get(name) or words.get(name) or words.get(f"is_{name}") or _property_words(record, name)
        if not meaning:
            raise PluginError(f"{record.path} writes a key {name!r} that nothing explains; say so in its docstring")
        is_told = name in told  # its words say what it is
        kind, inner = ("", None) if is_told else (_kind(record, name), _inner(record, name))
        yield _Key(name, kind, _cell(meaning), inner)


def _attributes(record: Any) -> dict[str, str]:
    sections = [
        section for section in record.docstring.parsed if section.kind is griffe.DocstringSectionKind.attributes
    ]
    return {item.name: item.description for section in sections for item in section.value}


def _property_words(record: Any, name: str) -> str:
    found = record.members.get(name)
    return _first_line(found) if found is not None and found.docstring else ""


def _section(method: Any, title: str) -> str:
    found = [section.value for section in method.docstring.parsed if section.title and section.title.lower() == title]
    return str(found[0].contents) if found else ""


def _kind(record: Any, name: str) -> str:
    """Return a key's type in JSON's words; empty where the code does not say."""
    found = record.members.get(name)
    annotation = None if found is None else found.annotation
    return "" if annotation is None else _json_type(annotation)


def _json_type(annotation: Any) -> str:
    if isinstance(annotation, griffe.ExprBinOp):
        return f"{_json_type(annotation.left)} or {_json_type(annotation.right)}"
    if isinstance(annotation, griffe.ExprSubscript):
        parts = getattr(annotation.slice, "elements", [annotation.slice])
        outer = _json_type(annotation.left)
        return f"{outer} of {_json_type(parts[0])}" if outer == "list" and "..." in map(str, parts) else outer
    return JSON_TYPES.get(str(annotation).rpartition(".")[2], str(annotation))


def _inner(record: Any, name: str) -> griffe.Class | None:
    """Return the record that a key's value is, or holds."""
    annotation = record.members[name].annotation if name in record.members else None
    if annotation is None or isinstance(annotation, str):
        return None
    for part in annotation.iterate(flat=True):
        if isinstance(part, griffe.ExprName):
            found = _look_up(record, part.canonical_path)
            if found is not None:
                return found
    return None


def _look_up(record: Any, path: str) -> griffe.Class | None:
    try:
        found = record.modules_collection[path]
    except KeyError:
        return None
    return found if found.is_class and found.docstring and "Attributes:" in found.docstring.value else None


def _cell(words: str) -> str:
    """Return a docstring's words as a cell: Markdown already, on one line."""
    return re.sub(r"\bNone\b", "null", " ".join(words.split()).replace("|", "\\|"))


PARTS = {"reports": _tell_reports, "card": _tell_card, "columns": _tell_columns}
