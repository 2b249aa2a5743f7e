"""Where a server is, as `--at` says it, and the token that it wants."""

from __future__ import annotations

__all__ = ["TOKEN_VARIABLE", "Address", "read_address", "read_token"]

import os
import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from toolkit.errors import ResourceError, UsageError
from toolkit.regular_file import read_regular

# Longer than any token.
MOST_TOKEN_BYTES = 4096
TOKEN_VARIABLE = "TOOLKIT_TOKEN_FILE"  # noqa: S105 - the name of a variable
AT = re.compile(r"(?P<base>.*?)(?:/v2(?:/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?)?)?/?")


class Address(NamedTuple):
    """An address in its parts.

    Attributes:
        url: as it was given.
        scheme: before `://`.
        host: name or number.
        port: None where the scheme's is meant.
        base: path before the protocol's.
        model: that the address names; None: it names none.
        version: of the model; None: it names none.
    """

    url: str
    scheme: str
    host: str
    port: int | None
    base: str
    model: str | None
    version: str | None

    @property
    def bracketed(self) -> str:
        """The host as it stands before a port."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def root(self) -> str:
        """The address without a model."""
        return f"{self.scheme}://{self.bracketed}{'' if self.port is None else f':{self.port}'}{self.base}"


def read_address(url: str, *, schemes: tuple[str, ...], example: str) -> Address:
    """Return the parts of an address, which may name a model by its path in the protocol.

    Clients of gRPC name host and port alone, so that is taken, too, where the first scheme is `grpc`.

    Raises:
        UsageError: it is none, or of another scheme.
    """
    if schemes[0] == "grpc" and "://" not in url:
        url = f"grpc://{url}"
    try:
        parts = urlsplit(url)
        host, port, found = parts.hostname, parts.port, AT.fullmatch(parts.path)
    except ValueError:
        host = None
    if not host or parts.scheme not in schemes or found is None or parts.query:
        raise UsageError(f"{url!r} is no address of a server; write it as {example}")
    model, version = (word and unquote(word) for word in (found["model"], found["version"]))
    return Address(url, parts.scheme, host, port, found["base"], model, version)


def read_token() -> str:
    """Return what a server wants to see before it answers, as a header's value; empty where no token was given.

    Raises:
        ResourceError: the file cannot be read.
    """
    path = os.environ.get(TOKEN_VARIABLE)
    if not path:
        return ""
    name = f"the file of {TOKEN_VARIABLE}, {path}"
    token = read_regular(path, most_bytes=MOST_TOKEN_BYTES, name=name, raises=ResourceError)
    return f"Bearer {token.decode('latin-1').strip()}"
