"""The settings of a row as something to copy: a session in Python, or a command."""

from __future__ import annotations

__all__ = ["settings_snippet"]

import shlex
from typing import TYPE_CHECKING

from toolkit.runtimes.provider_list import PROVIDERS

if TYPE_CHECKING:
    from toolkit.bench.report import BenchRow
    from toolkit.runtimes.source import ModelSource


def settings_snippet(row: BenchRow, source: ModelSource) -> str:
    """Return code that opens the model as the row did.

    Args:
        row: a row that was measured.
        source: the model of the sweep; a row of another precision has the file beside it.
    """
    path = source.path.name if row.settings.get("file") is None else str(row.settings["file"])
    provider = row.provider_active or row.provider_requested
    if row.runtime != "ort" or PROVIDERS[provider].plugin:
        threads = ["--threads", str(row.threads)] if row.threads else []
        where = ["--provider", provider] if row.runtime == "ort" else []
        arithmetic = ["--precision", row.precision] if row.precision in {"bf16", "tf32"} else []
        batch = ["--batch", str(row.batch)]
        return shlex.join(
            ["toolkit", "predict", path, "IMAGES", "--runtime", row.runtime, *where, *arithmetic, *batch, *threads]
        )
    options = (row.settings.get("engine") or {}).get("provider_options")
    entry = f'("{PROVIDERS[provider].ort_name}", {options})' if options else f'"{PROVIDERS[provider].ort_name}"'
    return "\n".join(
        [
            "options = onnxruntime.SessionOptions()",
            f"options.intra_op_num_threads = {row.threads or 0}",
            f"session = onnxruntime.InferenceSession({path!r}, options, providers=[{entry}])",
            f"# {row.batch} items in a call",
        ]
    )
