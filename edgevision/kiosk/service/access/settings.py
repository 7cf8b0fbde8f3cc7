"""How the service is reached, and what anybody may take of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """What one request, one connection and all of them may take. Each is far above what a kiosk needs, and far below what hurts.

    Sizes:
        header_bytes: the request line and all headers.
        headers: how many.
        target_bytes: path and query. Longest in use: a product's name.
        body_bytes: the longest body of any route; a route allows less, as a rule.
        message_bytes: one message of a WebSocket. A JPEG of the model's size has 50 to 500 kB.

    Connections:
        connections: of everybody together. Each costs up to 0.4 MB (buffers of 256 kB, 64 kB and the header).
        connections_each: of one address, so that no single machine takes all. Not of this machine itself.

    Times in seconds:
        handshake_s: until TLS is agreed.
        header_s: from a connection's beginning, or a request's first byte, to the end of its headers.
        keep_alive_s: a connection without a request.
        body_pause_s, body_bytes_per_s: a body comes at least at this rate; behind by ``body_pause_s`` it is cut. Wi-Fi may pause so long.
        message_s: from the first byte of a WebSocket's message to its last.
        write_s: an answer that the other side does not take.
        linger_s: how long what is left of a refused body is thrown away, so that the other side reads why.
        token_check_s: how often a long answer or a WebSocket looks whether its token still holds.
    """

    header_bytes: int = 16 << 10
    headers: int = 64
    target_bytes: int = 4096
    body_bytes: int = 64 << 20
    message_bytes: int = 8 << 20
    connections: int = 256
    connections_each: int = 64
    handshake_s: float = 10.0
    header_s: float = 10.0
    keep_alive_s: float = 15.0
    body_pause_s: float = 10.0
    body_bytes_per_s: float = 4096.0
    message_s: float = 30.0
    write_s: float = 30.0
    linger_s: float = 2.0
    token_check_s: float = 5.0


@dataclass(frozen=True)
class FailureOptions:
    """What follows wrong tokens of one address.

    ``free``: so many are forgiven. Then the address waits ``first_s`` seconds, twice as long after each further one, at most
    ``longest_s``. ``forget_s`` after the last one all is forgotten. ``addresses``: how many are remembered, the latest.
    """

    free: int = 5
    first_s: float = 1.0
    longest_s: float = 60.0
    forget_s: float = 900.0
    addresses: int = 4096


@dataclass(frozen=True)
class AccessSettings:
    """How the service is reached.

    host: the address to listen at. Other than this machine's own it needs tokens and TLS, or ``insecure``.
    tokens: the file of tokens; None: nobody needs one.
    tls: make a certificate, or take the one made before. certificate, key: PEM files of your own instead.
    insecure: go without tokens or TLS. Whoever reaches the address can then use the service, or read along.
    host_names: further names and addresses that this service answers to.
    allow_origins: web pages of other servers that may call it, such as ``https://shop.example``.
    allow_frames: the same for showing it inside them.
    """

    host: str = "127.0.0.1"
    tokens: Path | None = None
    tls: bool = False
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False
    host_names: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    allow_frames: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    failures: FailureOptions = field(default_factory=FailureOptions)

    @property
    def uses_tls(self) -> bool:
        """Whether the service speaks HTTPS."""
        return self.tls or self.certificate is not None
