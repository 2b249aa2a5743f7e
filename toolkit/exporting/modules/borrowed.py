"""A copy of a module, to be traced and asked; the module itself and the caller's process are left as they were.

The copy has tensors one after the other, in and out, as a graph has, whatever `forward` takes and returns.
"""

from __future__ import annotations

__all__ = ["Borrowed", "FlatModule", "borrow_module", "undisturbed"]

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.errors import ModelError, UsageError, first_line
from toolkit.exporting.modules.classifier import ImageClassifier, make_golden_call
from toolkit.exporting.modules.config import ModuleExportConfig
from toolkit.exporting.modules.example import Example, read_example, to_tensors
from toolkit.onnx_file.source import MODEL_CAP_BYTES

WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)
PRECISIONS = {torch.float32: "fp32", torch.float16: "fp16"}
CHANCE = "is another each time for the same input: it draws at random, or counts its calls, in eval mode too"


@dataclass(frozen=True, slots=True, kw_only=True)
class Borrowed:
    """A copy of a module on the CPU in eval mode.

    Attributes:
        face: the copy behind tensors.
        example: what it takes.
        outputs: names of what it returns.
        precision: arithmetic of most of its weights.
        parameters: numbers in its parameters.
        by_mode: kinds of its parts that are in training mode and compute otherwise in eval mode.
    """

    face: FlatModule
    example: Example
    outputs: tuple[str, ...]
    precision: str
    parameters: int
    by_mode: tuple[str, ...]


@contextmanager
def undisturbed() -> Iterator[None]:
    """Run a module without any trace in the caller's process, and whatever modes that is in."""
    with (
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(mode=False),
        torch.no_grad(),
        torch.autocast("cpu", enabled=False),
        torch.device("cpu"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def borrow_module(module: nn.Module, example: Any, *, config: ModuleExportConfig, name: str) -> Borrowed:
    """Copy a module and run the copy on its example.

    Raises:
        UsageError: it is no module, or the example or the names do not fit it.
        ModelError: it cannot be copied, does not answer its example, or answers by chance.
    """
    if not isinstance(module, nn.Module):
        raise UsageError(f"a {type(module).__name__} is no torch.nn.Module")
    module = module.module if isinstance(module, WRAPPERS) else module
    module = getattr(module, "_orig_mod", module)  # what torch.compile returns
    precision = _require_exportable(module, name=name)
    if config.classes:
        module = ImageClassifier(module, config)
    read = read_example(module, example, config=config)
    try:
        face = FlatModule(deepcopy(module).cpu().eval(), read.keywords)
    except Exception as error:  # so many classes have ways of their own
        raise ModelError(f"{name} cannot be copied, and itself it must not be changed: {first_line(error)}") from error
    outputs = _name_outputs(face, read, config=config, name=name)
    if config.classes:
        read = replace(read, further=make_golden_call(read.arrays["images"], classes=len(config.classes)))
    return Borrowed(
        face=face,
        example=read,
        outputs=outputs,
        precision=precision,
        parameters=sum(item.numel() for item in module.parameters()),
        by_mode=_list_by_mode(module),
    )


def _list_by_mode(module: nn.Module) -> tuple[str, ...]:
    """Return the kinds of parts in training mode whose `forward` asks for the mode; a chance of 0 drops nothing."""
    kinds = set()
    for part in module.modules():
        code = getattr(type(part).forward, "__code__", None)
        asks = code is None or "training" in code.co_names or getattr(part, "track_running_stats", False)
        chances = [item for name in ("p", "dropout") if isinstance(item := getattr(part, name, None), int | float)]
        if part.training and asks and (any(chances) or not chances):
            kinds.add(type(part).__name__)
    return tuple(sorted(kinds))


def _require_exportable(module: nn.Module, *, name: str) -> str:
    """Return what a module computes in.

    Raises:
        ModelError: no single file can hold it, or no engine run it.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise ModelError(f"{name} is a TorchScript module, which torch exports no more; give the module it was made of")
    weights = list({id(item): item for item in (*module.parameters(), *module.buffers())}.values())
    if any(nn.parameter.is_lazy(item) or item.is_meta for item in weights):
        raise ModelError(f"{name} has weights without numbers; load them, or run a lazy module once, before the export")
    size = sum(item.nbytes for item in weights)
    if size >= MODEL_CAP_BYTES:
        raise ModelError(f"the weights of {name} take {size / 2**30:.2f} GiB; one .onnx file holds less than 2 GiB")
    counts: dict[torch.dtype, int] = {}
    for item in weights:
        if item.is_floating_point():
            counts[item.dtype] = counts.get(item.dtype, 0) + item.numel()
    if strange := counts.keys() - PRECISIONS:
        raise ModelError(
            f"{name} has weights of {', '.join(sorted(map(str, strange)))}; float32 and float16 are exported: give "
            "copy.deepcopy(module).float()"
        )
    return PRECISIONS[max(counts, key=lambda dtype: counts[dtype], default=torch.float32)]


def _name_outputs(face: FlatModule, example: Example, *, config: ModuleExportConfig, name: str) -> tuple[str, ...]:
    try:
        first, again = (face.answer(*to_tensors(example.arrays)) for _ in range(2))
    except Exception as error:  # a module may raise whatever it likes
        raise ModelError(
            f"{name} does not answer its example: {type(error).__name__}: {first_line(error)}; the example is "
            f"{', '.join(f'{key} {array.dtype} {list(array.shape)}' for key, array in example.arrays.items())}"
        ) from error
    if not first:
        raise ModelError(f"{name} returns no tensor for its example; there is nothing that a file could answer")
    for (output, one), (_, other) in zip(first, again, strict=True):
        if one.is_complex() or one.is_quantized or one.layout is not torch.strided:
            raise ModelError(f"{output!r} of {name} is {one.dtype}, {one.layout}; ONNX has dense real numbers only")
        if not _is_same(one, other):
            raise ModelError(f"{output!r} of {name} {CHANCE}")
    found = tuple(output for output, _ in first)
    names = config.output_names or found
    if len(names) != len(found):
        raise UsageError(f"{len(names)} output names for the outputs {', '.join(found)}; give as many")
    if twice := set(names) & set(example.arrays) or {item for item in names if names.count(item) > 1}:
        raise UsageError(f"{', '.join(sorted(twice))} names two tensors of the file; give output_names of their own")
    return names


def _is_same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))


class FlatModule(nn.Module):
    """A module behind a face of tensors only.

    Args:
        inner: the module.
        keywords: the parameters of its `forward` that the tensors are handed to; empty for their order.
    """

    def __init__(self, inner: nn.Module, keywords: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.inner = inner
        self._keywords = keywords

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return every tensor of what the module returns, in its order."""
        return tuple(tensor for _, tensor in self.answer(*tensors))

    def answer(self, *tensors: Tensor) -> list[tuple[str, Tensor]]:
        """Return every tensor of what the module returns with its name.

        Raises:
            TypeError: something in it is neither a tensor nor made of tensors.
        """
        if self._keywords:
            answer = self.inner(**dict(zip(self._keywords, tensors, strict=True)))
        else:
            answer = self.inner(*tensors)
        return list(_walk(answer, ""))


def _walk(value: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    """Yield tensors by name: keys and fields as they are, places in a tuple as numbers; None is passed over."""
    if isinstance(value, Tensor):
        yield path or "output", value
    elif value is not None:
        for name, part in _parts_of(value, path or "output"):
            yield from _walk(part, name)


def _parts_of(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    beneath = "" if path == "output" else f"{path}_"
    if isinstance(value, Mapping):
        yield from ((f"{beneath}{key}", part) for key, part in value.items())
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((f"{beneath}{item.name}", getattr(value, item.name)) for item in fields(value))
    elif hasattr(value, "_fields"):
        yield from ((f"{beneath}{name}", part) for name, part in zip(value._fields, value, strict=True))
    elif isinstance(value, tuple | list):
        yield from ((f"{path}_{number}", part) for number, part in enumerate(value))
    else:
        raise TypeError(f"{path} is a {type(value).__name__}, not a tensor")
