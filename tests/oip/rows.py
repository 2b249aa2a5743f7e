"""What the rows of the suite share: their mark, and how an error has to look."""

from __future__ import annotations

__all__ = ["FORMS", "oip", "own_server", "require_error"]

import importlib.util
import os

import pytest
from oip.wire import Answer

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
