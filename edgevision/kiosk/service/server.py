"""The service's own server: uvicorn, with a strict parser, and an end within a bound that loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgevision.errors import InputError

if TYPE_CHECKING:
    from edgevision.kiosk.service.service import Service

HOST = "127.0.0.1"
PORT = 8765
STOP_S = 10.0
_LINGER_S = 0.5  # for requests that are on their way on connections that seem idle
_PAUSE_S = 0.02
_KEEP_ALIVE_S = 15
_BACKLOG = 256


def _nothing() -> None:
    return None


def _told(url: str) -> None:
    return None


@dataclass(frozen=True)
class ServerOptions:
    """Where the server listens, and how it ends.

    ``port``: 0: one that is free. ``stop_timeout_s``: what is under way when it is to stop may take so long. ``https``: whether it is spoken, which
    is the business of ``more``: further settings of uvicorn, such as those of ``access.server_options``.
    """

    host: str = HOST
    port: int = PORT
    stop_timeout_s: float = STOP_S
    https: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.port, bool) or not isinstance(self.port, int) or not 0 <= self.port <= 65535:
            raise InputError(f"a port is 0…65535, got {self.port!r}")
        if not (math.isfinite(self.stop_timeout_s) and self.stop_timeout_s > 0):
            raise InputError(f"stop_timeout_s is a finite number over 0, got {self.stop_timeout_s!r}")


def listen(options: ServerOptions) -> socket.socket:
    """A socket that listens where the options say. Raises InputError."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    # The protocol is named: asyncio sends at once (TCP_NODELAY) on sockets alone that say they are TCP. On others each answer would come
    # 40 ms later, when the client acknowledges its beginning.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two programs listen on one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # for servers other than asyncio's: connections inherit it
        listener.bind((options.host, options.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        what = f"cannot listen on {options.host} port {options.port}: {error.strerror or error}"
        raise InputError(f"{what}; {_cure(error)}") from error
    return listener


def _cure(error: OSError) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return "--host is an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them"
    return "give another --port, or end what uses it"


def url_of(listener: socket.socket, options: ServerOptions) -> str:
    """The address for a browser."""
    scheme = "https" if options.https else "http"
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}"


def serve(
    app: Any, service: Service, options: ServerOptions, *, stop: threading.Event, tick: Callable[[], None] = _nothing,
    started: Callable[[str], None] = _told,
) -> None:  # fmt: skip
    """Serve ``app`` until ``stop`` is set. Blocks; sets no signal handlers and no logging.

    ``tick``: called ten times a second, by the server's thread. ``started``: called with the URL, when requests are answered.

    At the end no connection is accepted any more, what was begun is answered, each answer tells its client to close the connection, and what has no end of
    its own is told to end (``Service.when_stopping``); all within ``stop_timeout_s``. Raises InputError where the address cannot be listened on.
    """
    with contextlib.closing(listen(options)) as listener:
        url = url_of(listener, options)
        config = _config(app, options)
        server = _server_type()(config, service, options, stop, tick, lambda: started(url))
        asyncio.run(server.serve([listener]))


def _config(app: Any, options: ServerOptions) -> Any:
    import uvicorn

    settings = {
        "http": "h11", "ws": "wsproto", "loop": "asyncio", "lifespan": "on", "interface": "asgi3",
        "log_config": None, "access_log": False, "server_header": False, "proxy_headers": False,
        "timeout_keep_alive": _KEEP_ALIVE_S, "backlog": _BACKLOG,
        "timeout_graceful_shutdown": max(1, math.ceil(options.stop_timeout_s - _LINGER_S)), **options.more,
    }  # fmt: skip
    return uvicorn.Config(app, **settings)


def _server_type() -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        """uvicorn's, which ends when ``stop`` is set, and not by signals."""

        def __init__(
            self, config: uvicorn.Config, service: Service, options: ServerOptions, stop: threading.Event, tick: Callable[[], None],
            begun: Callable[[], None],
        ) -> None:  # fmt: skip
            super().__init__(config)
            self._service = service
            self._stop_timeout_s = options.stop_timeout_s
            self._stop = stop
            self._tick = tick
            self._begun = begun

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """None: they are the program's."""
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            """Listen, and tell so."""
            await super().startup(sockets)
            self._begun()

        async def on_tick(self, counter: int) -> bool:
            """Ten times a second. Whether it is to end."""
            self._tick()
            return bool(await super().on_tick(counter)) or self._stop.is_set()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            """End: see ``serve``."""
            self._service.begin_to_stop()
            for one in self.servers:
                one.close()
            # In place: answers that are under way have this list already.
            self.server_state.default_headers.append((b"connection", b"close"))
            loop = asyncio.get_running_loop()
            until_s = loop.time() + min(_LINGER_S, self._stop_timeout_s / 2)
            while self.server_state.connections and loop.time() < until_s:
                await asyncio.sleep(_PAUSE_S)
            watchdog = loop.call_later(self._stop_timeout_s, self._give_up)
            try:
                await super().shutdown(sockets)
            finally:
                watchdog.cancel()

        def _give_up(self) -> None:
            """The time is over: uvicorn waits for nothing more."""
            self.force_exit = True

    return Server
