"""`toolkit compare`."""

from __future__ import annotations

__all__ = ["compare_command"]

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.completion import ALLOWANCES, json_files, one_of
from toolkit.cli.context import require_there
from toolkit.cli.options import Json, option
from toolkit.cli.output import Output
from toolkit.errors import CheckFailedError, require_known

Old = Annotated[Path, typer.Argument(help="What toolkit bench had written.", autocompletion=json_files)]
New = Annotated[Path, typer.Argument(help="What it has written now.", autocompletion=json_files)]
FailIf = Annotated[
    list[str] | None, option("A regression: 'p99>+5%', 'throughput<-3%'; repeatable.", metavar="METRIC>+N%")
]
Allow = Annotated[
    list[str] | None,
    option("What may differ: machine, model or settings; repeatable.", complete=one_of(ALLOWANCES), metavar="WHAT"),
]


def compare_command(
    old: Old,
    new: New,
    *,
    fail_if: FailIf = None,
    allow: Allow = None,
    as_json: Json = False,
) -> None:
    """Hold two bench results beside one another; intervals decide. Exit 1 on a regression: a gate for CI."""
    from toolkit.bench.compare import compare_results, parse_threshold
    from toolkit.bench.report import read_result
    from toolkit.counts import count_of
    from toolkit.render.comparison import render_comparison

    thresholds = tuple(parse_threshold(text) for text in fail_if or ())
    for word in allow or ():
        require_known(word, ALLOWANCES, what="--allow")
    comparison = compare_results(
        *(read_result(require_there(path, made_by="toolkit bench")) for path in (old, new)),
        names=(str(old), str(new)),
        thresholds=thresholds,
        allow=frozenset(allow or ()),
    )
    Output(as_json=as_json).report(comparison.to_json(), *render_comparison(comparison))
    if comparison.regressions:
        first = comparison.regressions[0]
        reason = first.problem or next(text for text, verdict in first.verdicts.items() if verdict == "regression")
        rows = f"{len(comparison.regressions)} of {count_of(len(comparison.changes), 'row')}"
        is_whole = not any(change.problem for change in comparison.regressions)
        raise CheckFailedError(f"{rows} got worse{'' if is_whole else ' or cannot be compared'}: {reason}")
