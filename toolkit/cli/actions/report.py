"""What `toolkit report` does: read results, draw those of benchmarks, write one page of all."""

from __future__ import annotations

__all__ = ["write_page"]

from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.artifacts import claim_outputs
from toolkit.cli.output import draw_picture, note
from toolkit.durable import read_json, write_atomic
from toolkit.errors import DataError

if TYPE_CHECKING:
    from toolkit.render.report import Part


def write_page(files: list[Path], target: Path, *, force: bool) -> None:
    """Write a page of results, with a picture beside it for each model that was measured.

    Args:
        files: what commands wrote.
        target: where the page goes.
        force: whether it and its pictures may exist.

    Raises:
        DataError: a file is no result; the page holds the others, if there are any.
    """
    from toolkit.counts import count_of
    from toolkit.render.report import render_page

    parts, problems = _read_all(files)
    if not parts:
        raise DataError(f"none of {count_of(len(files), 'file')} is a result: {problems[0]}")
    pictures = _draw(parts, target, force=force, inputs=files)
    page = render_page(parts, pictures={model: path.name for model, path in pictures.items()}, problems=problems)
    write_atomic(target, page.encode())
    note(f"{count_of(len(parts), 'result')} on one page")
    for path in (target, *pictures.values()):
        note(f"{'page' if path is target else 'picture'} {path}")
    if problems:
        raise DataError(f"{len(problems)} of {count_of(len(files), 'file')} left out: {problems[0]}")


def _read_all(files: list[Path]) -> tuple[list[Part], list[str]]:
    """Return the results that can be used, and why the others cannot."""
    from toolkit.render.report import KINDS, Part, render_page

    parts: list[Part] = []
    problems: list[str] = []
    for path in files:
        try:
            value = read_json(path)
        except DataError as error:
            problems.append(str(error))
            continue
        schema = value.get("schema") if isinstance(value, dict) else None
        if schema not in KINDS:
            problems.append(f"{path} is no result of a known kind; its schema is {schema!r}, known: {', '.join(KINDS)}")
            continue
        several = [Part(path.name, value), *_parts_inside(path.name, value)]
        try:
            for part in several:
                render_page([part], pictures={})
                _draw_one(part)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            problems.append(f"{path} does not hold what its schema {schema!r} says ({type(error).__name__}: {error})")
            continue
        parts += several
    return parts, problems


def _parts_inside(name: str, value: dict[str, Any]) -> list[Part]:
    """Return the results of the commands that a proof is made of."""
    from toolkit.proving.report import PROOF_SCHEMA
    from toolkit.render.report import KINDS, Part

    steps = value["steps"] if value["schema"] == PROOF_SCHEMA else ()
    known = [(step["name"], step["report"]) for step in steps if (step["report"] or {}).get("schema") in KINDS]
    return [Part(f"{name}: {step}", report) for step, report in known]


def _draw_one(part: Part) -> None:
    """Draw a benchmark by itself, so that one that cannot be drawn is left out and the others are not."""
    from toolkit.bench.report import BENCH_SCHEMA
    from toolkit.plots.bench import draw_bench

    if part.value["schema"] == BENCH_SCHEMA:
        draw_bench([part.value])


def _draw(parts: list[Part], target: Path, *, force: bool, inputs: list[Path]) -> dict[str, Path]:
    """Draw the benchmarks of each model into a file beside the page."""
    from toolkit.bench.report import BENCH_SCHEMA, model_name
    from toolkit.plots.bench import draw_bench

    by_model: dict[str, list[Part]] = {}
    for part in parts:
        if part.value["schema"] == BENCH_SCHEMA and any(row.get("latency_ms") for row in part.value["rows"]):
            by_model.setdefault(model_name(part.value), []).append(part)
    pictures = {model: target.with_name(f"{target.stem}-{Path(model).stem}.png") for model in by_model}
    claim_outputs(*pictures.values(), force=force, inputs=inputs)
    return {
        model: path
        for model, path in pictures.items()
        if draw_picture(path, lambda: draw_bench([part.value for part in by_model[model]]))  # noqa: B023 - called at once
    }
