"""Control flow: Loop."""

from __future__ import annotations

__all__: list[str] = []

from typing import Any

import numpy as np
from onnx.reference.ops.op_loop import Loop

from toolkit.runtimes.references.operators.declared import operator


@operator("Loop")
class _Loop(Loop):
    """Operators.md, Loop: a condition that is left out is true; the evaluator (1.23) takes it for false."""

    def _run(self, M: Any, cond: Any, *args: Any, **context: Any) -> Any:
        return super()._run(M, np.array(True) if cond is None else cond, *args, **context)  # type: ignore[no-untyped-call]  # onnx
