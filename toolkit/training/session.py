"""One training in memory: data on its device, the state, and the epochs one by one; writes nothing."""

from __future__ import annotations

__all__ = ["Machine", "Session", "choose_machine", "make_session", "to_device"]

import math
import os
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from toolkit.data.dataset import Split
from toolkit.errors import StoppedError, UsageError
from toolkit.network.cnn import CNN
from toolkit.network.config import plan_stages
from toolkit.network.device import TorchMachine, has_fast_bfloat16, select_device
from toolkit.runs.history import EpochRow
from toolkit.training.process import OPENMP_CHOICES, StopRequest
from toolkit.training.recipe import Recipe
from toolkit.training.steps.epoch import (
    AfterStep,
    count_right,
    find_cycle,
    predict_logits,
    rate_in_epoch,
    standardise,
    train_epoch,
)
from toolkit.training.steps.process_group import Group
from toolkit.training.steps.seeding import derive_seed
from toolkit.training.steps.state import TrainingState, make_state

# OpenMP crashes the process where the system refuses it a thread: a hundred thousand are too many anywhere.
MOST_THREADS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where and how a training computes.

    Attributes:
        device: `cpu`, `cuda` or `mps`.
        bfloat16: whether products are computed in bfloat16.
        threads: CPU threads.
    """

    device: str
    bfloat16: bool
    threads: int

    @property
    def precision(self) -> str:
        """`bfloat16` or `float32`: of the products."""
        return "bfloat16" if self.bfloat16 else "float32"

    def flags(self) -> dict[str, Any]:
        """Return torch's switches that change bits, as they stand."""
        return {
            "cudnn_deterministic": torch.backends.cudnn.deterministic,
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
            "matmul_tf32": torch.backends.cuda.matmul.allow_tf32,
            "cudnn_tf32": torch.backends.cudnn.allow_tf32,
            "openmp": {name: os.environ.get(name) for name in OPENMP_CHOICES},
            "channels_last": self.bfloat16,
            "fused_optimizer": self.device in {"cpu", "cuda"},
        }


@dataclass(slots=True, kw_only=True)
class Session:
    """A training that can be gone through epoch by epoch.

    Attributes:
        state: what training changes.
        recipe: as resolved for the data.
        cycles: lengths in epochs of the schedule's cycles.
        images: uint8, on the device, as they lie: those that are trained on may be some of them.
        places: int64 `[N]`, on the device: which of them each training image is.
        labels: int64 `[N]`, on the device.
        held_out: validation images and labels on the device; None without.
        stop: set by a signal.
    """

    state: TrainingState
    recipe: Recipe
    cycles: tuple[int, ...]
    images: Tensor
    places: Tensor
    labels: Tensor
    held_out: tuple[Tensor, Tensor] | None
    stop: StopRequest

    @property
    def epochs(self) -> int:
        """Epochs of all cycles."""
        return sum(self.cycles)

    def run_epoch(self, after_step: AfterStep | None = None) -> EpochRow:
        """Go on to the end of the epoch under way and judge; the position then stands at the next one.

        Raises:
            StoppedError: a signal asked for it; the step under way was finished.
            CheckFailedError: the loss or a gradient is not finite.
            ResourceError: another process of the group is gone.
        """
        place = self.state.position
        before, start = place.seconds, time.perf_counter()

        def note_step(step: int, steps: int) -> None:
            place.seconds = before + time.perf_counter() - start
            if after_step is not None:
                after_step(step, steps)
            if self.state.stop_signal:
                raise StoppedError(
                    f"stopped after step {step} of epoch {place.epoch + 1}", signal=self.state.stop_signal
                )

        cycle = find_cycle(self.cycles, place.epoch)
        # From where the position is: a training that goes on in the middle of an epoch ends that one first.
        train_epoch(
            self.state,
            self.images,
            places=self.places,
            labels=self.labels,
            recipe=self.recipe,
            cycle=cycle,
            stop=self.stop,
            after_step=note_step,
        )
        loss, accuracy = (None, None) if self.held_out is None else _validate(self.state.judged, self.held_out)
        # The position stands behind the last step, so its step is their number.
        row = EpochRow(
            epoch=place.epoch + 1,
            train_loss=place.loss_sum / len(self.labels),
            train_accuracy=place.right / len(self.labels),
            validation_loss=loss,
            validation_accuracy=accuracy,
            learning_rate=rate_in_epoch(self.recipe, cycle, epoch=place.epoch, step=place.step - 1, steps=place.step),
            seconds=before + time.perf_counter() - start,
        )
        place.finish_epoch()
        return row


def choose_machine(recipe: Recipe, *, device: str, threads: int) -> Machine:
    """Settle where to compute and set torch's switches accordingly.

    Args:
        recipe: asks for `float32` or `auto`.
        device: `auto`, `cpu`, `cuda` or `mps`.
        threads: CPU threads; 0 leaves torch its own choice.

    Raises:
        ProviderError: the device asked for does not work here.
        UsageError: more threads than any machine has.
    """
    if not 0 <= threads <= MOST_THREADS:
        raise UsageError(f"threads is {threads}; expected 0 to {MOST_THREADS}")
    machine = TorchMachine()
    chosen = select_device(device, machine=machine)
    bfloat16 = recipe.precision == "auto" and has_fast_bfloat16(chosen, machine=machine)
    if threads:
        torch.set_num_threads(threads)
    # The same seed gives the same bits: no algorithm chosen by a stopwatch, no shortened products.
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return Machine(device=chosen, bfloat16=bfloat16, threads=torch.get_num_threads())


def make_session(
    training: Split,
    validation: Split | None,
    *,
    recipe: Recipe,
    seed: int,
    machine: Machine,
    group: Group | None = None,
    cycles: tuple[int, ...] | None = None,
    stop: StopRequest | None = None,
) -> Session:
    """Put the data on its device and make a fresh network.

    Args:
        training: images to learn from.
        validation: images to judge by after every epoch, or None.
        recipe: as resolved for the data.
        seed: of the weights, the shuffling, the augmentation and the dropout.
        machine: where to compute.
        group: the processes that train together.
        cycles: of the schedule; the recipe's epochs by default.
        stop: set by a signal.

    Raises:
        DataError: every training pixel has the same value.
        UsageError: batches of one image that cannot be normalised.
    """
    _require_comparable(recipe)
    # On the CPU, so that every device and every process begins with the same weights.
    torch.manual_seed(derive_seed(seed, "weights"))
    mean, std = standardise(training)
    network = CNN(recipe.network, mean=mean, std=std).to(machine.device)
    images, places = _lay_out(training, machine.device)
    return Session(
        state=make_state(network, recipe, seed=seed, bfloat16=machine.bfloat16, group=group),
        recipe=recipe,
        cycles=cycles or (recipe.epochs,),
        images=images,
        places=places,
        labels=torch.from_numpy(training.labels).to(machine.device),
        held_out=None if validation is None else to_device(validation, machine.device),
        stop=stop or StopRequest(),
    )


def _require_comparable(recipe: Recipe) -> None:
    """Refuse a normalisation over a single value: of one image whose map has one pixel."""
    network = recipe.network
    smallest = min(math.prod(stage.pooled) for stage in plan_stages(network))
    if network.normalisation == "batch" and recipe.batch_size == 1 and smallest == 1:
        raise UsageError(
            f"batch_size is 1, and images of {network.height}x{network.width} shrink to one pixel: a batch "
            "normalisation has a single value to go by; expected batch_size of at least 2, or normalisation=none"
        )


def to_device(split: Split, device: str) -> tuple[Tensor, Tensor]:
    """Return a split's images and labels on a device, in order."""
    return torch.from_numpy(split.images).to(device), torch.from_numpy(split.labels).to(device)


def _lay_out(training: Split, device: str) -> tuple[Tensor, Tensor]:
    """Return images on a device, and which of them each training image is; for the CPU no pixel is copied."""
    if device == "cpu":
        return torch.from_numpy(training.stored), torch.from_numpy(training.places)
    images = torch.empty((len(training), *training.image_shape), dtype=torch.uint8, device=device)
    start = 0
    for piece in training.iterate_pieces():
        images[start : start + len(piece)] = torch.from_numpy(piece)
        start += len(piece)
    return images, torch.arange(len(training), device=device)


def _validate(network: CNN, held_out: tuple[Tensor, Tensor]) -> tuple[float, float]:
    images, labels = held_out
    logits = predict_logits(network, images)
    return float(functional.cross_entropy(logits, labels)), count_right(logits, labels) / len(labels)
