"""BatchNormalization in every opset."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator
from typing import Any

from conformance.cases import Case, one_node, values, versions_of


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    yield from _batch_normalization()


def _batch_normalization() -> Iterator[Case]:
    import torch

    for opset in versions_of("BatchNormalization"):
        for sizes in ((2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 3, 2, 3, 2)):
            for epsilon in (None, 0.5):
                drawn = values("BatchNormalization")
                arrays = (drawn.normal(*sizes), *(drawn.normal(3) for _ in range(3)), drawn.positive(3))
                options: dict[str, Any] = {} if epsilon is None else {"epsilon": epsilon}
                if opset < 7:
                    options["is_test"] = 1
                if opset == 1:
                    options["consumed_inputs"] = [0, 0, 0, 0, 0]

                def by_torch(x: Any, *rest: Any, epsilon: float | None = epsilon) -> Any:
                    scale, bias, mean, variance = rest
                    return torch.nn.functional.batch_norm(
                        x, mean, variance, scale, bias, eps=float(torch.tensor(epsilon or 1e-5, dtype=torch.float32))
                    )

                yield one_node("BatchNormalization", *arrays, opset=opset, torch=by_torch, **options)
        if opset in (7, 8):
            drawn = values("spatial")
            arrays = (drawn.normal(2, 3, 4), *(drawn.normal(3, 4) for _ in range(3)), drawn.positive(3, 4))
            yield one_node("BatchNormalization", *arrays, opset=opset, spatial=0)
        drawn = values("training")
        arrays = (drawn.normal(4, 3, 2, 2), *(drawn.normal(3) for _ in range(3)), drawn.positive(3))
        mode: dict[str, Any] = {"training_mode": 1} if opset >= 14 else {}
        if opset == 1:
            mode["consumed_inputs"] = [0, 0, 0, 0, 0]
        yield one_node("BatchNormalization", *arrays, opset=opset, outputs=3, momentum=0.75, **mode)
