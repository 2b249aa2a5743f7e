"""`toolkit.diagnose`: which engines and providers really work on this machine."""

from __future__ import annotations

__all__ = ["diagnose"]


from toolkit.api.failures import in_callers_words
from toolkit.api.listener import Listener
from toolkit.api.subjects import PathLike, held_output, write_report
from toolkit.api.words import Names, split_names, write_call
from toolkit.doctor.checks import DEFAULT_ENGINES, run_doctor
from toolkit.doctor.report import DoctorReport


@in_callers_words
def diagnose(
    *,
    runtime: Names = DEFAULT_ENGINES,
    output: PathLike | None = None,
    force: bool = False,
    listener: Listener | None = None,
) -> DoctorReport:
    """Say which engines and providers really work here: each runs a convolution in a process of its own.

    Args:
        runtime: engines to examine: `"ort,torch"` or a list; `all`. ONNX Runtime and PyTorch by default.
        output: where the report is written as JSON; nowhere by default.
        force: overwrite an output that exists.
        listener: hears how far it is.

    Returns:
        A row for each thing examined: whether it works, else why not and what brings it. `report.require("cuda")`
        raises where it does not work.

    Raises:
        UsageError: an engine is unknown, or the output exists.
    """
    call, told = write_call(diagnose, locals()), listener or Listener()
    with held_output(output, force=force) as target:
        report = run_doctor(command=told.repeat(call), engines=split_names(runtime), show=told.progress)
        write_report(target, report)
    return report
