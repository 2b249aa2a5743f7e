"""`toolkit quickstart`: from nothing to a verified file, one step after the other."""

from __future__ import annotations

__all__ = ["quickstart_command"]

from typing import Annotated

from toolkit.api.words import DEFAULT_DATA
from toolkit.cli.completion import data_names
from toolkit.cli.options import Json, option
from toolkit.cli.output import Output
from toolkit.errors import CheckFailedError

Data = Annotated[str, option("mnist, mnist-mini (needs no network), or a folder with IDX files.", complete=data_names)]


def quickstart_command(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """From nothing to a verified model. Data, training, export, self-test, parity, prediction, benchmark."""
    from toolkit.training.process import prepare_process

    prepare_process()
    from toolkit.cli.actions.quickstart import Quickstart
    from toolkit.render.quickstart import quickstart_screen

    output = Output(as_json=as_json)
    quickstart = Quickstart(data, output=output)
    steps = (
        quickstart.train,
        quickstart.export,
        quickstart.selftest,
        quickstart.parity,
        quickstart.predict,
        quickstart.bench,
    )
    with output.progress("quickstart", unit="parts") as bar:
        for number, step in enumerate(steps):
            bar(number, len(steps))
            output.show(f"\n{step.__doc__}")
            step()
    result = quickstart.result()
    output.report(result, "", *quickstart_screen(result))
    if not result["passed"]:
        raise CheckFailedError("a check of the quickstart failed; see above")
