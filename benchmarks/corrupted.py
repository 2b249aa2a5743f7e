"""How a run or a model file fares on corrupted test images and on digits of other writers, alone or against another.

    python benchmarks/corrupted.py TARGET [--against OTHER] [--data NAME] [--output FILE.json]

TARGET and OTHER are run folders or `.onnx` files of the contract. Eleven families of corruptions after the MNIST-C
paper, each at one severity, and UCI's 1,797 digits (they need scikit-learn). Both models see the very same images; each
family has an exact McNemar test, corrected for their number. The report is written as JSON, with a picture of the
images beside it.
"""

from __future__ import annotations

__all__ = ["Judged", "judge_corrupted", "main"]

import argparse
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from corruptions.families import FAMILIES, corrupt_images
from corruptions.judging import CorruptionsReport, judge_corruptions
from corruptions.showing import corruptions_table, describe_corruptions, draw_corruptions
from numpy.typing import NDArray
from rich.console import Console

from toolkit.artifacts import ArtifactStore
from toolkit.data.pictures import load_pictures
from toolkit.durable import write_atomic, write_json
from toolkit.environment import describe_environment
from toolkit.evaluation.candidate import open_candidate
from toolkit.evaluation.evaluate import suit_images

# Examples of each family in the picture.
EXAMPLES = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """A report, and what it is about.

    Attributes:
        report: every row.
        images: uint8 `[N, H, W]` or `[N, H, W, 3]`, the clean ones.
        names: of the model and of the other one, None without it.
        identity: what a report records about the model.
        against: the same of the other model.
    """

    report: CorruptionsReport
    images: NDArray[np.uint8]
    names: tuple[str, str | None]
    identity: dict[str, Any]
    against: dict[str, Any] | None


def main() -> None:
    """Judge, write the report and the picture, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--data", help="a data set as toolkit evaluate takes it; the recorded one by default")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    judged = judge_corrupted(given.target, against=given.against, data=given.data)
    path = given.output or ArtifactStore.default().new_file(
        "reports", f"corruptions-{given.target.stem}", suffix=".json"
    )
    write_json(path, {**judged.report.to_json(), **judged.identity, "against": judged.against,
                      "environment": describe_environment()})  # fmt: skip
    write_atomic(path.with_suffix(".png"), _draw(judged))
    console = Console()
    console.print(corruptions_table(judged.report, names=judged.names))
    for line in describe_corruptions(judged.report, names=judged.names):
        console.print(line)
    console.print(f"report {path}, picture {path.with_suffix('.png')}", soft_wrap=True)


def judge_corrupted(target: Path, *, against: Path | None = None, data: str | None = None) -> Judged:
    """Open the models, load the test images that both are judged on, and judge.

    Args:
        target: a run folder or an `.onnx` file.
        against: another one, or None.
        data: name or path of a data set; None is the one that the target records.

    Raises:
        ModelError: a model cannot be used.
        DataError: the images do not fit.
    """
    with ExitStack() as stack:
        candidate = stack.enter_context(open_candidate(target))
        rival = None if against is None else stack.enter_context(open_candidate(against))
        recorded = candidate.data.get("source") or candidate.data["name"]
        pictures = load_pictures(
            data or recorded,
            trained_on=candidate.data,
            size=(candidate.input.height, candidate.input.width),
            on_note=print,
        )
        images = suit_images(candidate, pictures).split
        report = judge_corruptions(candidate, images, dataset=pictures.name, rival=rival)
    return Judged(
        report=report,
        images=images.images,
        names=(candidate.title, None if rival is None else rival.title),
        identity=candidate.identity,
        against=None if rival is None else rival.identity,
    )


def _draw(judged: Judged) -> bytes:
    # What an image gets depends on its place alone, so these are the very images that were judged.
    first, seed = judged.images[:EXAMPLES], judged.report.seed
    rows = {"clean": first, **{name: corrupt_images(first, name, seed=seed) for name in FAMILIES}}
    return draw_corruptions(rows, title=f"{judged.report.dataset}, corrupted with seed {seed}")


if __name__ == "__main__":
    main()
