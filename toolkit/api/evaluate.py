"""`toolkit.evaluate`: a run or a model file judged on labelled images."""

from __future__ import annotations

__all__ = ["evaluate", "report_evaluation"]

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from toolkit.api.data import load_judged, load_recorded, remember_data
from toolkit.api.failures import in_callers_words
from toolkit.api.listener import Listener, NoteKeeper
from toolkit.api.subjects import PathLike, find_run_or_model
from toolkit.api.words import write_call
from toolkit.artifacts import ArtifactStore
from toolkit.data.pictures import LabelledPictures
from toolkit.environment import describe_environment
from toolkit.errors import UsageError
from toolkit.evaluation.candidate import Candidate, ModelCandidate, open_candidate
from toolkit.evaluation.evaluate import EvaluatedPictures, evaluate_pictures
from toolkit.evaluation.report import EvaluationReport, Rival
from toolkit.runs.origin import find_origin
from toolkit.runs.run import read_run

if TYPE_CHECKING:
    from toolkit.api.data import Data

# What PyTorch judges a run on, and the default for files.
RUNS_PROVIDER = "cpu"


@in_callers_words
def evaluate(
    model: PathLike,
    data: Data | None = None,
    *,
    provider: str = RUNS_PROVIDER,
    against: PathLike | None = None,
    listener: Listener | None = None,
) -> EvaluationReport:
    """Judge a run or a model file on labelled images, and another one on the same.

    Args:
        model: an `.onnx` file, a run's name or folder (with `@12` or `@best` for a kept checkpoint), or what
            `toolkit.train` or `toolkit.export` returned.
        data: what to judge on: a name, a path, `(images, labels)`, a `toolkit.Dataset`; the test images of what it was
            made with by default. Of a data set with a test part that part is judged, of arrays all.
        provider: where an `.onnx` file runs: `cpu`, `cuda`, `tensorrt`, `openvino`.
        against: another run or file to compare with, image by image.
        listener: hears how far it is.

    Returns:
        The accuracy with its interval, every answer, and the mistakes.

    Raises:
        UsageError: there is no such model, run or data, or a provider is named for a run.
        DataError: the data cannot be used, have classes that the model does not know, or are not the recorded ones.
        ModelError: the model or run cannot be used.
        ProviderError: the provider asked for is not active.
    """
    call, told = write_call(evaluate, locals()), NoteKeeper(listener)
    store = ArtifactStore.default()
    with ExitStack() as stack:
        candidate, *rivals = (
            stack.enter_context(open_candidate(find_run_or_model(item, store=store), provider=provider))
            for item in ([model] if against is None else [model, against])
        )
        if provider != RUNS_PROVIDER and not any(isinstance(item, ModelCandidate) for item in (candidate, *rivals)):
            raise UsageError(
                f"--provider {provider} is for .onnx files; {candidate.title} is judged by PyTorch on the CPU: "
                "leave it out, or judge the file that toolkit export makes of it"
            )
        rival = next(iter(rivals), None)
        pictures = _load(candidate, remember_data(model, data), store=store, listener=told)
        if rival is not None and pictures.sha256 == candidate.data["sha256"] != rival.data.get("sha256"):
            told.note(
                f"warning: {rival.title} was trained on other data than {pictures.name}; it may have seen these images"
            )
        with told.progress(f"judging {pictures.name.rpartition('/')[2]}", unit="images") as bar:
            judged = evaluate_pictures(candidate, pictures, rival=rival, progress=bar)
    for words in judged.images.notes:
        told.note(words)
    report = report_evaluation(candidate, judged, pictures=pictures, rival=rival, command=told.repeat(call))
    return replace(report, notes=tuple(told.notes))


def report_evaluation(
    candidate: Candidate,
    judged: EvaluatedPictures,
    *,
    pictures: LabelledPictures,
    rival: Candidate | None = None,
    command: str,
) -> EvaluationReport:
    """Return the report of a candidate that was judged.

    Args:
        candidate: the model.
        judged: its answers, and the rival's where there is one.
        pictures: what it was judged on.
        rival: the other model.
        command: what repeats it.
    """
    against = None
    if judged.rival is not None and judged.paired is not None and rival is not None:
        against = Rival(title=rival.title, identity=rival.identity, figures=judged.rival.report, paired=judged.paired)
    return EvaluationReport(
        kind=candidate.kind,
        name=candidate.name,
        identity=candidate.identity,
        classes=candidate.classes,
        result=judged.result,
        images=judged.images.split.images,
        notes=judged.images.notes,
        against=against,
        is_test=bool(pictures.sha256),
        is_own=pictures.sha256 == candidate.data["sha256"],
        command=command,
        environment=describe_environment(),
    )


def _load(candidate: Candidate, data: Data | None, *, store: ArtifactStore, listener: Listener) -> LabelledPictures:
    recorded, size = _recorded(candidate, store), (candidate.input.height, candidate.input.width)
    if data is not None:
        return load_judged(data, recorded, listener=listener, size=size)
    dataset = load_recorded(None, recorded, listener=listener, size=size)
    dataset.require_same(candidate.data, owner=candidate.title)
    return LabelledPictures.of_test(dataset)


def _recorded(candidate: Candidate, store: ArtifactStore) -> dict[str, Any]:
    """Return what is known of the data: a card must not tell where a user's own lie, the run it came from does."""
    if not isinstance(candidate, ModelCandidate):
        return candidate.data
    origin = find_origin(candidate.checkpoint_sha256, store=store, data_sha256=candidate.data.get("sha256", ""))
    return candidate.data if origin is None else read_run(origin).data
