"""What a parity matrix covers."""

from __future__ import annotations

__all__ = ["WHOLE_BATCH", "ParityConfig"]

from dataclasses import dataclass

from toolkit.errors import UsageError, require_known

# Batch size for the whole test set.
WHOLE_BATCH = 64
# What an engine may compute a float32 file in; what a file itself is stored in is not asked for here.
ARITHMETICS = ("fp32", "tf32", "bf16", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityConfig:
    """The axes of the matrix.

    Attributes:
        runtimes: registry names; None for ONNX Runtime, and PyTorch where the run is at hand.
        providers: ONNX Runtime's providers; `all` tries every one and may skip.
        precisions: what engines compute in; None for float32, and with the runtimes `all` for everything they can.
        threads: thread counts; 0 is the engine's own choice.
        optimisations: ONNX Runtime's graph optimisation levels.
        small_batches: further batch sizes, run on the first `small_count` images.
        small_count: images for the small batches; not a multiple of most of them, so that a rest occurs.
        sample: judge only so many evenly spaced test images; None for all.
        allow_fallback: let a provider fall back to the CPU, marked.
    """

    runtimes: tuple[str, ...] | None = None
    providers: tuple[str, ...] = ("cpu",)
    precisions: tuple[str, ...] | None = None
    threads: tuple[int, ...] = (0, 1)
    optimisations: tuple[str, ...] = ("all", "none")
    small_batches: tuple[int, ...] = (1, 2, 3, 7, 257)
    small_count: int = 514
    sample: int | None = None
    allow_fallback: bool = False

    def __post_init__(self) -> None:
        for name in self.precisions or ():
            require_known(name, ARITHMETICS, what="precision")
        if min(self.small_count, *self.small_batches) < 1:
            raise UsageError("batch sizes and image counts must be at least 1")
        if self.sample is not None and self.sample < 1:
            raise UsageError(f"the sample is {self.sample}; expected at least 1 image")
