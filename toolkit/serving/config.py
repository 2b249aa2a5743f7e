"""How a server is to serve; light enough for the command line to read its defaults from."""

from __future__ import annotations

__all__ = ["LOOPBACK", "ServeConfig"]

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.errors import UsageError
from toolkit.prediction.config import EngineChoice

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """How a server is to serve.

    Attributes:
        engine: what runs the models; 0 threads are all cores but one, which is left to the server itself.
        host: the address to listen on; any but this machine's own needs `public`.
        port: 0 takes a free one.
        grpc_port: of gRPC; 0 takes a free one, None: there is none.
        public: others than this machine may come.
        max_batch: most rows in a call of the engine, and so in a request.
        max_wait_ms: how long a batch that is not full waits for more rows; 0: it forms only while the engine is busy.
        max_queue: most rows that wait for one model.
        timeout_ms: how long a request may take that says nothing itself; 0: a second, or ten of the largest batches.
        max_connections: most connections at the same time.
        receive_s: most seconds for a request to come in.
        watch: a file that changes takes the place of the one in service.
        repository: clients may load and unload the models that the server was started with.
        allow_external_data: weights may lie beside a model.
        token_file: who calls has to send what it holds as a bearer token; None: nobody has to.
        tls_certificate: with `tls_key` what the server shows; None: no TLS.
        tls_key: its private key.
        tls_client_authority: clients have to show a certificate that this one signed; None: they need none.
    """

    engine: EngineChoice = field(default_factory=EngineChoice)
    host: str = LOOPBACK
    port: int = 8000
    grpc_port: int | None = None
    public: bool = False
    max_batch: int = 64
    max_wait_ms: float = 0.0
    max_queue: int = 1024
    timeout_ms: float = 0.0
    max_connections: int = 1000
    receive_s: float = 30.0
    watch: bool = False
    repository: bool = False
    allow_external_data: bool = False
    token_file: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_authority: Path | None = None

    def __post_init__(self) -> None:
        for name, least in (("max_batch", 1), ("max_wait_ms", 0), ("max_queue", self.max_batch), ("timeout_ms", 0)):
            if not least <= getattr(self, name) <= 1e9:
                option = name.replace("_", "-")
                raise UsageError(f"--{option} is {getattr(self, name):g}; expected {least} or more")
        if self.grpc_port == self.port != 0:
            raise UsageError(f"--port and --grpc-port are both {self.port}; give gRPC another one")
        if not self.public and not _is_loopback(self.host):
            raise UsageError(f"--host {self.host} lets others than this machine come in; say so with --public")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise UsageError("--tls-cert and --tls-key go together; one of them is missing")
        if self.tls_client_authority and not self.tls_certificate:
            raise UsageError("--tls-client-ca needs --tls-cert and --tls-key")
        if self.repository and self.public and not self.token_file and not self.tls_client_authority:
            raise UsageError(
                "--repository with --public lets anybody unload models; it needs --token-file or --tls-client-ca"
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
