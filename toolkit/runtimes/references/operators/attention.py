"""Attention, as the evaluator has it but for its fourth output."""

from __future__ import annotations

__all__: list[str] = []

from typing import Any

from onnx.reference.ops.op_attention import Attention, Attention_23, Attention_25

from toolkit.runtimes.references.operators.declared import Array, operator


def _declare(base: type[Attention], since: int, before: int | None) -> None:
    @operator("Attention", since=since, before=before)
    class Own(base):  # type: ignore[valid-type,misc]  # one of two
        """Operators.md, Attention: `qk_matmul_output_mode` 0 is the bare product; the evaluator (1.23) bounds it."""

        def _run(self, *inputs: Array | None, **attributes: Any) -> tuple[Array, ...]:
            answers: tuple[Array, ...] = super()._run(*inputs, **attributes)
            if attributes["qk_matmul_output_mode"] or not attributes["softcap"]:
                return answers
            return (*answers[:3], super()._run(*inputs, **attributes | {"softcap": None})[3])


_declare(Attention_23, 23, 25)
_declare(Attention_25, 25, None)
