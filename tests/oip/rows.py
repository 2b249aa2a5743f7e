"""What the rows of the suite share: their mark, and how an error has to look."""

from __future__ import annotations

__all__ = ["FORMS", "oip", "own_server", "require_error", "require_rows_in_order"]

import importlib.util
import os

import numpy as np
import pytest
from oip.wire import Answer, ToldModel

oip = pytest.mark.oip
own_server = pytest.mark.skipif(
    any(os.environ.get(name) for name in ("TOOLKIT_OIP_URL", "TOOLKIT_OIP_GRPC", "TOOLKIT_TRITON"))
    or importlib.util.find_spec("uvicorn") is None,
    reason="the row needs a server of its own, and the extra `serve`",
)
FORMS = ["json", "binary"]


def require_error(answer: Answer, status: int) -> str:
    """Return the message of an error, whose body is `{"error": "..."}` and nothing else."""
    assert answer.status == status, f"{answer.status} {answer.body[:300]!r}"
    assert answer.headers["content-type"].startswith("application/json")
    assert list(answer.document) == ["error"], answer.body
    message = answer.document["error"]
    assert isinstance(message, str)
    assert message
    return message


def require_rows_in_order(wire: ToldModel, form: str) -> None:
    """Require that each row of a batch is answered as it is alone, in its place."""
    if not wire.has_batches:
        pytest.skip("the model has no open first size in every input and output")
    arrays = wire.make_arrays(batch=wire.up_to(5), seed=2)
    together = wire.infer_arrays(form, arrays)
    for number in range(wire.up_to(5)):
        alone = wire.infer_arrays(form, {name: array[number : number + 1] for name, array in arrays.items()})
        for name, array in alone.items():
            if array.dtype == object:
                np.testing.assert_array_equal(array[0], together[name][number])
            else:
                # Another batch size may add in another order.
                np.testing.assert_allclose(array[0], together[name][number], rtol=1e-4, atol=1e-4)
