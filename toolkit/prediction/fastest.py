"""`--runtime auto`: of the engines that are here, the fastest that answers the golden vectors as it must.

Trying them takes as long as opening them all, so what was found is remembered, for this file and all that its speed
hangs on: the processor, the threads, the packages. A memory of anything else, or a torn one, is none.
"""

from __future__ import annotations

__all__ = ["FastestEngine", "find_fastest"]

import contextlib
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.artifacts import cache_folder
from toolkit.durable import read_json, write_json
from toolkit.environment import THREAD_VARIABLES, describe_cpu
from toolkit.errors import DataError, ResourceError, UsageError
from toolkit.plain import from_plain, to_plain
from toolkit.prediction.engine_trials import Contender, list_contenders, try_engines
from toolkit.prediction.report import TriedEngine
from toolkit.progress import ShowProgress, tell_nobody
from toolkit.runtimes.workers.probe import identify_code, record_path

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.onnx_file.source import ModelSource
    from toolkit.prediction.config import EngineChoice
    from toolkit.runtimes.workers.client import Opener

SCHEMA = "toolkit/fastest/1"
# Two measurements of one engine differ by as much: of those as fast as the fastest it is the first of the registry.
AS_FAST = 0.95
# Of the rates; the report has all.
SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class FastestEngine:
    """The engine to take.

    Attributes:
        model: the file that it runs.
        runtime: its name in the registry.
        precision: its arithmetic: `fp32`, of a quantised file too, or `bf16`.
        tried: all engines, the fastest first, those left out last.
        is_remembered: whether they were tried before and not now.
    """

    model: Path
    runtime: str
    precision: str
    tried: tuple[TriedEngine, ...]
    is_remembered: bool

    def describe(self) -> list[str]:
        """Return which engine it is and why, and what was left out, a sentence each."""
        names = {item: f"{item.runtime} in {item.precision}" for item in self.tried}
        rates = [f"{name} {item.images_per_s:,.0f}" for item, name in names.items() if not item.reason]
        left_out = [f"{name} ({item.reason})" for item, name in names.items() if item.reason]
        when = "as remembered" if self.is_remembered else "measured now"
        shown = f"{', '.join(rates[:SHOWN])}{f' and {len(rates) - SHOWN} slower ones' if rates[SHOWN:] else ''}"
        taken = f"runtime auto runs {self.model.name} on {self.runtime}"
        return [
            f"{taken}; images/s of the engine alone, {when}: {shown}",
            *([f"runtime auto left out {'; '.join(left_out)}"] if left_out else []),
        ]


def find_fastest(
    source: ModelSource,
    choice: EngineChoice,
    *,
    batch: int,
    allow_bf16: bool = False,
    allow_int8: bool = False,
    opener: Opener | None = None,
    progress: ShowProgress = tell_nobody,
) -> FastestEngine:
    """Return the fastest installed engine of those whose answers to the golden vectors are within rounding's bound.

    Args:
        source: the model.
        choice: threads; a provider or a precision besides is refused.
        batch: images in one call.
        allow_bf16: engines may compute in bfloat16, held to that arithmetic's bound.
        allow_int8: they may run `<name>.int8.onnx` beside the model, held to that file's own card.
        opener: as for `try_engines`.
        progress: as for `try_engines`.

    Raises:
        UsageError: something is asked for that the choice leaves no room for, or the file carries no golden vectors.
        ToolkitError: the first engine's error, where none can be taken.
    """
    if choice.provider != "cpu":
        raise UsageError(
            f"--runtime auto chooses among engines on cpu; for --provider {choice.provider} name the engine"
        )
    if choice.precision != "fp32":
        raise UsageError(
            f"--runtime auto takes --allow-bf16 and --allow-int8 instead of --precision {choice.precision}"
        )
    contenders = list_contenders(source, threads=choice.threads, allow_bf16=allow_bf16, allow_int8=allow_int8)
    identity = _identify(contenders, batch=batch)
    tried = _recall(identity, contenders)
    is_remembered = tried is not None
    if tried is None:
        tried = try_engines(contenders, batch=batch, opener=opener, progress=progress)
        with contextlib.suppress(ResourceError):
            write_json(_record_path(identity), {"identity": identity, "tried": to_plain(tried)})
    rates = [item.images_per_s or 0.0 for item in tried]
    chosen = contenders[next(number for number, rate in enumerate(rates) if rate >= AS_FAST * max(rates))]
    return FastestEngine(
        model=chosen.source.path,
        runtime=chosen.settings.runtime,
        precision=chosen.settings.precision,
        tried=tuple(sorted(tried, key=lambda item: -(item.images_per_s or 0.0))),
        is_remembered=is_remembered,
    )


def _identify(contenders: list[Contender], *, batch: int) -> dict[str, Any]:
    """Return everything that the measurements hang on, but for what else the machine is doing meanwhile."""
    return {
        "schema": SCHEMA,
        "engines": [
            [item.settings.runtime, item.precision, item.settings.threads, item.source.path.name, item.source.sha256]
            for item in contenders
        ],
        "batch": batch,
        "cpu": describe_cpu(),
        "threads": {name: os.environ.get(name) for name in THREAD_VARIABLES},
        **identify_code(item.settings.runtime for item in contenders),
    }


def _recall(identity: dict[str, Any], contenders: list[Contender]) -> tuple[TriedEngine, ...] | None:
    """Return what was measured under this very identity; None where nothing was, or nothing that can be believed."""
    try:
        record = read_json(_record_path(identity))
        tried: tuple[TriedEngine, ...] = from_plain(tuple[TriedEngine, ...], record["tried"])
        is_same = record["identity"] == identity
    except (DataError, ResourceError, KeyError, TypeError, ValueError, AttributeError):
        return None
    wanted = [(item.settings.runtime, item.precision) for item in contenders]
    rates = [item.images_per_s for item in tried]
    is_whole = wanted == [(item.runtime, item.precision) for item in tried] and any(rates)
    is_sound = all(rate is None or (isinstance(rate, float) and 0 < rate < math.inf) for rate in rates)
    return tried if is_same and is_whole and is_sound else None


def _record_path(identity: dict[str, Any]) -> Path:
    return record_path(cache_folder() / "fastest", identity)
