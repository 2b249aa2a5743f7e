"""One prediction from inputs to rows: the library's face of `toolkit predict`."""

from __future__ import annotations

__all__ = ["run_prediction", "stopping_kept"]

import os
import signal
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

from toolkit.artifacts import check_output
from toolkit.counts import count_of
from toolkit.environment import usable_cores
from toolkit.errors import ResourceError, StoppedError, ToolkitError, UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.prediction.config import RAY
from toolkit.prediction.execute import Execution
from toolkit.prediction.open_model import DescribedModel, open_model
from toolkit.prediction.pipeline.blocks import COLUMNS
from toolkit.prediction.sinks.sink import choose_format
from toolkit.prediction.sinks.target import FileTarget, StreamTarget, part_of, require_free
from toolkit.prediction.sources.open import STDIN, refuse_output_among
from toolkit.regular_file import printable_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from toolkit.prediction.config import PredictionConfig
    from toolkit.prediction.ray import RayCluster
    from toolkit.prediction.report import PredictionReport
    from toolkit.prediction.sinks.sink import Sink
    from toolkit.prediction.sinks.target import Target
    from toolkit.progress import ShowProgress

SIGTERM_EXIT = 128 + signal.SIGTERM


def run_prediction(
    config: PredictionConfig,
    *,
    progress: ShowProgress | None = None,
    stream: BinaryIO | None = None,
    stdin: BinaryIO | None = None,
    keeper: Sink | None = None,
) -> PredictionReport:
    """Predict every image of every input and write one row for each, as it is answered.

    The output's name and the provider are judged before any input is opened. An input that cannot be used is an error
    row; call `raise_for_errors` on the report to make it the end. A run that is stopped leaves a result behind that
    `resume` goes on with.

    Args:
        config: what to do.
        progress: called with (rows done, rows in all or None) after every block.
        stream: where the rows go instead of `config.output`; binary, left open.
        stdin: where an input called `-` reads names from; this process's own by default.
        keeper: takes the answers instead of any output.

    Raises:
        UsageError: no output, one that would overwrite something, nothing that could be resumed, or a wish that has no
            effect for this model.
        ModelError: the model cannot be used.
        ProviderError: the provider asked for is not active.
        ResourceError: the output cannot be written, or a package is not installed.
        StoppedError: a signal came; the message says how to go on.
    """
    if keeper is not None:
        stream = BytesIO()
    form = choose_format(config.form, config.output if stream is None else None)
    # A notebook's standard input has no bytes.
    names: BinaryIO = stdin or getattr(sys.stdin, "buffer", None) or BytesIO()
    _check_outputs(config, stdin=names, to_stream=stream is not None)
    source = ModelSource.read(config.model)
    with ExitStack() as stack:
        cluster = stack.enter_context(_reach_cluster(config)) if config.executor == RAY else None
        if cluster is None:
            # As many runs at once as there are cores: all of them then do what else a batch needs, too.
            opened = open_model(source, config.engine, wishes=config.settings, runs_at_once=usable_cores())
            stack.enter_context(opened.runtime)
        model = opened if cluster is None else cluster.open_model(source, config)
        target = _open_output(config, _identity(config, model, form=form), stream=stream)
        stack.enter_context(target)
        how: dict[str, Any] = {"target": target, "stdin": names, "cluster": cluster, "keeper": keeper}
        execution = Execution(config=config, model=model, form=form, **how)
        # Of answers that are only kept in memory an interrupt leaves nothing that could be gone on with.
        with nullcontext() if keeper else stopping_kept(target, config.output if stream is None else None):
            return execution.run(progress)


@contextmanager
def stopping_kept(target: Target, output: Path | None) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a `StoppedError` that names the unfinished result.

    After an error of the model or of the inputs nothing is kept; after one of the machine (a full disk, say) it is.

    Args:
        target: what rows are written to.
        output: the file, None where it is a stream.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != SIGTERM_EXIT:
            raise
        number = signal.SIGTERM if isinstance(stop, SystemExit) else signal.SIGINT
        raise StoppedError(_describe(target, output), signal=number) from stop
    except ResourceError:
        raise
    except ToolkitError:
        target.discard()
        raise


def _check_outputs(config: PredictionConfig, *, stdin: BinaryIO, to_stream: bool) -> None:
    """Refuse outputs that would overwrite something, before anything is opened.

    Args:
        config: what is asked for.
        stdin: where a list of inputs comes from.
        to_stream: rows go to a stream instead of the output.

    Raises:
        UsageError: there is no output, it exists and `force` is not set, or it is one of the inputs or their list.
    """
    if not to_stream:
        if config.output is None:
            raise UsageError("no output; give a file or a stream for the rows")
        _refuse_own_inputs(config.output, config, stdin=stdin)
        require_free(config.output, resume=config.resume, force=config.force)
    if config.gallery is not None:
        if config.output is not None and config.gallery.resolve() == config.output.resolve():
            raise UsageError(f"{config.gallery} is both the output and the gallery; choose another name")
        _refuse_own_inputs(config.gallery, config, stdin=stdin)
        check_output(config.gallery, force=config.force)


def _refuse_own_inputs(output: Path, config: PredictionConfig, *, stdin: BinaryIO) -> None:
    check_output(output, force=True, inputs=(config.model,))
    if output.exists():
        for path in config.inputs:
            refuse_output_among(str(path), (output,))
            if str(path) == STDIN and _is_read_from(stdin, output):
                raise UsageError(f"the output {output} is also the list on standard input; choose another name")


def _is_read_from(stdin: BinaryIO, output: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stdin.fileno()), output.stat())
    except (OSError, ValueError):  # no file is behind it
        return False


def _reach_cluster(config: PredictionConfig) -> RayCluster:
    from toolkit.prediction.ray import RayCluster

    return RayCluster(provider=config.engine.provider, workers=config.processes)


def _open_output(config: PredictionConfig, identity: dict[str, Any], *, stream: BinaryIO | None) -> Target:
    """Open what the rows go to.

    Raises:
        UsageError: an unfinished result stands in the way, or cannot be gone on with.
        ResourceError: the file cannot be written.
    """
    if stream is not None:
        return StreamTarget(stream)
    assert config.output is not None
    return FileTarget(config.output, identity, resume=config.resume, force=config.force)


def _identity(config: PredictionConfig, model: DescribedModel, *, form: str) -> dict[str, Any]:
    """Return what must not change between a run and the one that goes on with it."""
    info = model.info
    return {
        "model": model.source.sha256,
        "inputs": [printable_name(str(path)) for path in config.inputs],
        "runtime": info.runtime,
        "provider": info.provider_active,
        "precision": config.engine.precision,
        "fit": config.settings.fit,
        "polarity": config.settings.polarity,
        "format": form,
        "probabilities": config.probabilities,
        "truths": config.truths,
        "columns": ",".join(COLUMNS),
    }


def _describe(target: Target, output: Path | None) -> str:
    rows = f"stopped after {count_of(target.progress.rows, 'row')}"
    if output is None or not target.progress.rows:
        return rows
    return f"{rows}, which lie in {part_of(output)}; go on with the same command and --output {output} --resume"
