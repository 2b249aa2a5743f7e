"""What a client is told instead of an answer."""

from __future__ import annotations

__all__ = ["RefusedError"]


class RefusedError(Exception):
    """A request that gets no answer; its words are the client's.

    Args:
        message: what was wrong, with the value seen and the one expected.
        status: of HTTP.
        retry_after_s: after how many whole seconds another try may do better; 0: it is not for the client to wait.
        allow: of a method that a route does not have, those it has.
    """

    def __init__(self, message: str, *, status: int = 400, retry_after_s: int = 0, allow: str = "") -> None:
        super().__init__(message)
        self.status, self.retry_after_s, self.allow = status, retry_after_s, allow
