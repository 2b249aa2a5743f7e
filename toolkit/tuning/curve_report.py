"""What a learning curve showed: single trainings, and a row a size with its intervals."""

from __future__ import annotations

__all__ = ["CurveReport", "CurveRow", "CurveTraining"]

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toolkit.counts import count_of
from toolkit.errors import DataError
from toolkit.intervals import spread, t_interval, wilson_interval
from toolkit.tuning.fit import FitResult

SCHEMA = "toolkit/learning-curve/1"
# Student's interval of fewer reaches from 0 to 100 %: what is told of them is their range.
FEWEST_FOR_INTERVAL = 3
AT_LEAST_ONE = {"size", "count", "train_count", "epochs", "steps"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveTraining:
    """One training.

    Attributes:
        size: training images.
        seed: of its start, its order and its subset.
        result: how it ended.
    """

    size: int
    seed: int
    result: FitResult


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveRow:
    """One size; accuracies are shares, means over the seeds.

    Attributes:
        size: training images.
        seeds: trainings.
        epochs: of each training.
        steps: optimizer steps of each training.
        train_accuracy: on the training images as they are, after the last epoch.
        train_std: sample standard deviation over the seeds; None for one seed.
        train_ci95: Wilson's interval for one seed, Student's over several.
        train_range: the lowest and the highest seed's.
        validation_accuracy: on the held-out images.
        validation_std: as `train_std`.
        validation_ci95: as `train_ci95`.
        validation_range: as `train_range`.
        seconds: mean wall time of a training.
    """

    size: int
    seeds: int
    epochs: int
    steps: int
    train_accuracy: float
    train_std: float | None
    train_ci95: tuple[float, float]
    train_range: tuple[float, float]
    validation_accuracy: float
    validation_std: float | None
    validation_ci95: tuple[float, float]
    validation_range: tuple[float, float]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveReport:
    """A learning curve, whole or as far as it got.

    Attributes:
        settings: what all trainings share.
        device: where they ran.
        trainings: those done.
    """

    settings: Mapping[str, Any]
    device: str
    trainings: tuple[CurveTraining, ...]

    def has(self, size: int, seed: int) -> bool:
        """Whether a training is done."""
        return any((item.size, item.seed) == (size, seed) for item in self.trainings)

    def rows(self) -> list[CurveRow]:
        """Return a row for each size, smallest first."""
        sizes = sorted({item.size for item in self.trainings})
        return [_summarise([item for item in self.trainings if item.size == size]) for size in sizes]

    @property
    def has_intervals(self) -> bool:
        """Whether every size has seeds enough for an interval over them."""
        rows = self.rows()
        return bool(rows) and all(row.seeds >= FEWEST_FOR_INTERVAL for row in rows)

    def notes(self) -> list[str]:
        """Return in words what was equal for all sizes and what the intervals are."""
        epochs, fitted = self.settings["recipe"]["epochs"], self.settings["fitted_to_size"]
        if self.settings["equal"] == "steps":
            equal = f"every size trained for {count_of(self.settings['steps'], 'step')}, rounded up to whole epochs"
        elif fitted:
            equal = f"{', '.join(fitted)} fitted to every size as a training fits them"
        else:
            equal = f"every size trained for the recipe's {count_of(epochs, 'epoch')}, so a larger one for more steps"
        seeds = max((row.seeds for row in self.rows()), default=1)
        over = (
            "95 % intervals: Student's over the seeds, which differ in the start, the order and the subset; "
            "that the validation images are a sample themselves is not in them"
            if self.has_intervals
            else f"in brackets the lowest and the highest of {seeds} seeds: an interval needs {FEWEST_FOR_INTERVAL}"
            if seeds > 1
            else "95 % intervals: Wilson's, of the images judged; one seed tells nothing of other seeds"
        )
        held = f"{self.settings['validation_count']:,} held-out training images, the same for all"
        return [f"validation: {held}; the test images were not touched", equal, over]

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/learning-curve/1`.

        Keys:
            data: `name` and `sha256` of the data set.
            validation_count: held-out images, the same for every size.
            equal: what all sizes have in common: `epochs` or `steps`.
            steps: optimizer steps of each training where those are equal; else null.
            recipe: every field.
            fitted_to_size: fields that were fitted to each size.
            test_images_used: 0: they are not touched.
            notes: what was equal and what the intervals are, in words.
            rows: one for each size; keys as in `CurveRow`, and `interval`: `t` (Student) or `wilson`.
            trainings: `size`, `seed` and how each training ended.
        """
        return {
            "schema": SCHEMA,
            **self.settings,
            "device": self.device,
            "test_images_used": 0,
            "notes": self.notes(),
            "rows": [{**asdict(row), "interval": "t" if row.seeds > 1 else "wilson"} for row in self.rows()],
            "trainings": [{"size": item.size, "seed": item.seed, **asdict(item.result)} for item in self.trainings],
        }

    @classmethod
    def from_json(cls, value: Any) -> CurveReport:
        """Read a report back.

        Raises:
            DataError: it is no report of a learning curve.
        """
        try:
            if value["schema"] != SCHEMA:
                raise DataError(f"the schema is {value['schema']!r}; expected {SCHEMA}")
            keys = ("data", "validation_count", "equal", "steps", "recipe")
            trainings = tuple(
                CurveTraining(size=item.pop("size"), seed=item.pop("seed"), result=FitResult(**item))
                for item in map(dict, value["trainings"])
            )
            for item in trainings:
                _check_training(item)
            # Reports of earlier versions fitted nothing.
            settings = {"fitted_to_size": value.get("fitted_to_size", []), **{key: value[key] for key in keys}}
            return cls(settings=settings, device=value["device"], trainings=trainings)
        except (TypeError, KeyError, ValueError) as error:
            raise DataError(f"this is no report of a learning curve: {error}") from error


def _check_training(item: CurveTraining) -> None:
    """Refuse figures that no training can have left.

    Raises:
        ValueError: names the first such figure.
    """
    figures = {"size": item.size, "seed": item.seed, **asdict(item.result)}
    for name, value in figures.items():
        kinds = (int, float) if name in {"train_loss", "seconds"} else (int,)
        is_left_out = name == "train_correct" and value is None
        if not is_left_out and (type(value) not in kinds or value < (name in AT_LEAST_ONE)):
            raise ValueError(f"{name} of a training is {value!r}; expected a number that it can have left")


def _summarise(trainings: Sequence[CurveTraining]) -> CurveRow:
    results = [item.result for item in trainings]
    train_counts = [(item.train_correct or 0, item.train_count) for item in results]
    counts = [(item.correct, item.count) for item in results]
    train, validation = _share(train_counts), _share(counts)
    return CurveRow(
        size=trainings[0].size,
        seeds=len(results),
        epochs=results[0].epochs,
        steps=results[0].steps,
        train_accuracy=train[0],
        train_std=train[1],
        train_ci95=train[2],
        train_range=_range(train_counts),
        validation_accuracy=validation[0],
        validation_std=validation[1],
        validation_ci95=validation[2],
        validation_range=_range(counts),
        seconds=statistics.fmean(item.seconds for item in results),
    )


def _share(counts: Sequence[tuple[int, int]]) -> tuple[float, float | None, tuple[float, float]]:
    """Return mean, standard deviation and interval of shares given as (right, of)."""
    shares = [right / count for right, count in counts]
    if len(shares) == 1:
        return shares[0], None, wilson_interval(*counts[0])
    return statistics.fmean(shares), spread(shares), t_interval(shares)


def _range(counts: Sequence[tuple[int, int]]) -> tuple[float, float]:
    shares = [right / count for right, count in counts]
    return min(shares), max(shares)
