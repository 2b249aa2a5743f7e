"""A matrix on the test images of a data set, from the check of its providers to the report; engines opened here."""

from __future__ import annotations

from typing import Any

from toolkit.data.dataset import Dataset
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.check import record_reference
from toolkit.parity.config import ParityConfig
from toolkit.parity.matrix import judge_matrix
from toolkit.parity.report import ParityReport
from toolkit.parity.subject import require_providers
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.registry import open_runtime
from toolkit.runtimes.workers.client import Opener, open_worker


def run_parity(
    source: ModelSource, data: Dataset, config: ParityConfig, *, opener: Opener = open_worker
) -> ParityReport:
    subject = require_providers(source, config, opener=opener)
    assert subject.card is not None
    recording = record_reference(source, data, config=config, card=subject.card, opener=opener)
    return judge_matrix(source, recording, config=config, precision=subject.precision, opener=opener)


def open_here(source: ModelSource, settings: RuntimeSettings, **_: Any) -> Any:
    """Open an engine here: files of the tests' own making need no isolation, and a process each takes its time."""
    return open_runtime(source, settings)
