"""`toolkit selftest`."""

from __future__ import annotations

__all__ = ["selftest_command"]

from typing import Annotated

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import resolve_model
from toolkit.cli.options import AllowFallback, Json, ModelPath
from toolkit.cli.output import Output
from toolkit.errors import CheckFailedError

Provider = Annotated[str, typer.Option("--provider", help="Where to run: cpu, cuda, tensorrt or openvino.")]


def selftest_command(
    model: ModelPath = None, provider: Provider = "cpu", allow_fallback: AllowFallback = False, as_json: Json = False
) -> None:
    """Replay the golden vectors of a model's card. Needs neither torch nor data."""
    from toolkit.evaluation.selftest import run_selftest
    from toolkit.runtimes.base import RuntimeSettings
    from toolkit.runtimes.contract import require_contract
    from toolkit.runtimes.probe import ensure_probed
    from toolkit.runtimes.registry import open_runtime
    from toolkit.runtimes.source import ModelSource

    output = Output(as_json=as_json)
    source = ModelSource.read(resolve_model(model, store=ArtifactStore.default()))
    settings = RuntimeSettings(provider=provider, allow_fallback=allow_fallback)
    ensure_probed(source, settings)
    with open_runtime(source, settings) as runtime:
        report = run_selftest(runtime, require_contract(runtime.info, name=str(source.path)))
    verdict = "PASS" if report.passed else "FAIL"
    error = "none finite" if report.max_abs_logit_error is None else f"{report.max_abs_logit_error:.2g}"
    fallback = f" (fallback, {provider} was asked for)" if report.fallback else ""
    model_entry = {"path": str(source.path), "sha256": source.sha256}
    output.report(
        {**report.to_json(), "model": model_entry},
        f"{verdict} {report.vectors} golden vectors on {report.provider}{fallback}: largest logit error {error}, "
        f"tolerance {report.tolerance:.2g}",
    )
    if not report.passed:
        raise CheckFailedError(f"self-test of {source.path} failed: {'; '.join(report.failures)}")
