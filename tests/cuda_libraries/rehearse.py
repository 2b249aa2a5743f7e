"""Trainings on `cuda:0` of which nothing is computed: torch's fake tensors know shape, type and device.

Run by the CUDA build of torch, which needs no driver for it; prints JSON. Of a step, what asks the
device itself is replaced: the backward pass leaves zeros as gradients.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from toolkit.network.cnn import CNN, ContractNetwork
from toolkit.training.recipe import Recipe
from toolkit.training.recipe_catalog import RECIPES, resolve_recipe
from toolkit.training.session import _validate
from toolkit.training.steps.epoch import Cycle, train_epoch
from toolkit.training.steps.state import AVERAGE_EVERY, make_state

ROOT = Path(__file__).resolve().parents[2]
DEVICE, HOST = "cuda", "cpu"
IMAGES, CLASSES, SIDE = 300, 10, 28
AUGMENTED = ["rotation_degrees=10", "scale=0.1", "shear=0.1", "shift_pixels=2", "batch_shift_pixels=1"]
AUGMENTED += ["clutter_probability=0.5", "average_decay=0.99", "label_smoothing=0.05"]
# torch 2.14.1 crashes where it takes a network of fake tensors apart: none is, not even at the end.
KEPT: list[Any] = []
COPIES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}


class Watch(TorchDispatchMode):
    """Counts what passes between host and device, by the function of ours that does it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = {name: Counter[str]() for name in ("reads", "copies_out", "copies_in")}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        if function is torch.ops.aten._local_scalar_dense.default:  # item, float, int, bool
            self._note("reads", args[0].device.type == DEVICE)
            return False if args[0].dtype is torch.bool else 0.0 if args[0].is_floating_point() else 0
        answer = function(*args, **(kwargs or {}))
        if function in COPIES:
            sources = {item.device.type for item in args if isinstance(item, Tensor)}
            self._note("copies_out", DEVICE in sources and answer.device.type == HOST)
            self._note("copies_in", HOST in sources and answer.device.type == DEVICE)
        return answer

    def read_list(self, tensor: Tensor) -> list[float]:
        """Stand for `tolist`, which copies a tensor to the host at once."""
        self._note("reads", tensor.device.type == DEVICE)
        return [0.0] * len(tensor)

    def _note(self, kind: str, happened: bool) -> None:
        if happened:
            self.seen[kind][_place()] += 1


def _place() -> str:
    """Return the innermost function of the toolkit that is running."""
    frames = (
        frame for frame in reversed(traceback.extract_stack()) if (ROOT / "toolkit") in Path(frame.filename).parents
    )
    return next((f"{Path(frame.filename).stem}.{frame.name}" for frame in frames), "elsewhere")


def rehearse(work: Callable[[], None], mode: FakeTensorMode) -> dict[str, Any]:
    """Run it on fake tensors; tell what passed between host and device, and how it failed."""
    watch, problem = Watch(), ""

    def read_list(tensor: Tensor) -> list[float]:
        return watch.read_list(tensor)

    with (
        patch.object(FakeTensor, "tolist", read_list),
        # What an autocast asks of the driver; a GPU of sm_80 or later would say so.
        patch.object(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
        patch.object(torch.cuda, "is_bf16_supported", lambda: True),
        patch.object(nn.Module, "_apply", _move),
    ):
        try:
            with mode, watch:
                work()
        except Exception as error:  # whatever it is, it is what the rehearsal found
            frames = [item for item in traceback.extract_tb(error.__traceback__) if "/toolkit/" in item.filename]
            where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
            problem = f"{type(error).__name__}: {str(error).splitlines()[0]}{where}"
    return {"problem": problem, **{name: dict(counter) for name, counter in watch.seen.items()}}


def _move(module: nn.Module, function: Callable[[Tensor], Tensor]) -> nn.Module:
    """Stand for what `to` does: torch swaps fake tensors in place, which corrupts its memory (seen with 2.14.1)."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            part._parameters[name] = None if parameter is None else nn.Parameter(function(parameter.detach()))
        for name, buffer in part._buffers.items():
            part._buffers[name] = None if buffer is None else function(buffer)
    return module


def train(recipe: Recipe, *, bfloat16: bool) -> None:
    """Make a network and its state, train for as long as the average follows once, judge, answer by the contract."""
    shape = (SIDE, SIDE) if recipe.network.channels == 1 else (SIDE, SIDE, 3)
    network = CNN(recipe.network, mean=torch.zeros(shape), std=torch.ones(())).to(DEVICE)
    images = torch.zeros((IMAGES, *shape), dtype=torch.uint8).to(DEVICE)
    labels = torch.zeros(IMAGES, dtype=torch.int64).to(DEVICE)
    state = make_state(network, recipe, seed=0, bfloat16=bfloat16)
    KEPT.append((state, images, labels))

    def leave_zeros(_: Tensor) -> None:
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)

    with patch.object(Tensor, "backward", leave_zeros):
        for _ in range(AVERAGE_EVERY):
            train_epoch(state, images, labels=labels, recipe=recipe, cycle=Cycle(0, AVERAGE_EVERY))
            state.position.finish_epoch()
    _validate(state.judged, (images, labels))
    ContractNetwork(state.judged).eval()(images[:2])


def trainings() -> dict[str, tuple[Recipe, bool]]:
    """Return every recipe as it is; one with every augmentation, on grey and on coloured images; in both precisions."""
    augmented = resolve_recipe("fast", settings=[*AUGMENTED, "batch_size=128"])
    recipes = {name: resolve_recipe(name, settings=["batch_size=128"]) for name in RECIPES}
    found = {name: (recipe, 1) for name, recipe in recipes.items()} | {
        "augmented, grey": (augmented, 1),
        "augmented, coloured": (augmented, 3),
    }
    return {
        f"{name}, {'bfloat16' if bfloat16 else 'float32'}": (
            recipe.for_data(height=SIDE, width=SIDE, channels=channels, classes=CLASSES),
            bfloat16,
        )
        for name, (recipe, channels) in found.items()
        for bfloat16 in (False, True)
    }


def trace() -> None:
    """Trace the network on the device, as the exporter does on the host."""
    recipe = resolve_recipe("fast").for_data(height=SIDE, width=SIDE, channels=1, classes=CLASSES)
    network = ContractNetwork(CNN(recipe.network)).eval().to(DEVICE)
    images = torch.zeros((2, SIDE, SIDE), dtype=torch.uint8, device=DEVICE)
    torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))


def backward() -> None:
    """What a step does and cannot be rehearsed."""
    layer = nn.Linear(2, 2).to(DEVICE)
    functional.relu(layer(torch.ones((1, 2), device=DEVICE))).sum().backward()


def main() -> None:
    """Print what each part did."""
    warnings.simplefilter("ignore")
    gc.disable()
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    found = {
        name: rehearse(lambda given=given: train(given[0], bfloat16=given[1]), mode)
        for name, given in trainings().items()
    }
    parts = {"trace": trace, "backward": backward}
    parts_found = {name: rehearse(work, mode) for name, work in parts.items()}
    sys.stdout.write(json.dumps({"trainings": found, **parts_found}))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
