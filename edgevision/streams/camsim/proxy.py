"""A TCP proxy between a camera and its readers that can be a bad network: stalled, slow, broken, down, with a wrong clock."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

from edgevision.streams.camsim.sender_reports import ClockShifter

_PIECE = 16 * 1024
_LOOK_S = 0.05  # a connection that is held looks so often whether it may go on
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 seconds: closing sends a reset


class FaultProxy:
    """Passes connections to ``host``:``port`` on, from a port of 127.0.0.1; all methods may be called at any time.

    ``shift_s``: seconds by which a camera's sender reports are shifted, for connections without TLS.
    """

    def __init__(self, target: tuple[str, int], *, port: int = 0, shift_s: float = 0.0) -> None:
        """Raises OSError where the port is taken; 0: any that is free."""
        self._target = target
        self._shift_s = shift_s
        self._flowing = threading.Event()
        self._flowing.set()
        self._closed = threading.Event()
        self._bytes_s: float | None = None
        self._lock = threading.Lock()
        self._connections: list[tuple[socket.socket, socket.socket]] = []
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._start(self._accept, self._listener)

    def stall(self) -> None:
        """Hold everything back; connections stay open."""
        self._flowing.clear()

    def resume(self) -> None:
        """Let it flow again: what was held comes at once."""
        self._flowing.set()

    def slow(self, bytes_s: float | None) -> None:
        """Pass no more than so many bytes a second on, in each direction of each connection; None: all."""
        self._bytes_s = bytes_s

    def reset(self) -> None:
        """Break every connection."""
        with self._lock:
            connections, self._connections = self._connections, []
        for pair in connections:
            for one in pair:
                with contextlib.suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it, which closes it

    def down(self) -> None:
        """Break every connection, and refuse new ones."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.reset()

    def up(self) -> None:
        """Take connections again, on the same port."""
        with self._lock:
            if self._listener is not None or self._closed.is_set():
                return
            self._listener = socket.create_server(("127.0.0.1", self.port))
            listener = self._listener
        self._start(self._accept, listener)

    def close(self) -> None:
        """End. No thread is left."""
        self._closed.set()
        self._flowing.set()
        self.down()
        for thread in self._threads:
            thread.join(5.0)

    # ---- its threads ----

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, name="camsim proxy", daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # it was closed
                return
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, 5.0)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        with self._lock:
            self._connections.append((client, server))
        back = threading.Thread(target=self._pass_on, args=(server, client, True), name="camsim proxy", daemon=True)
        back.start()
        self._pass_on(client, server, False)
        back.join()
        with self._lock:
            self._connections = [pair for pair in self._connections if pair[0] is not client]
        client.close()
        server.close()

    def _pass_on(self, source: socket.socket, target: socket.socket, from_camera: bool) -> None:
        shifter = ClockShifter(self._shift_s) if from_camera and self._shift_s else None
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE):
                if shifter is not None:
                    data = shifter.feed(data)
                self._hold()
                target.sendall(data)
                if self._bytes_s is not None:
                    self._closed.wait(len(data) / self._bytes_s)
        for one in (source, target):  # so that the other direction ends too
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _hold(self) -> None:
        while not self._closed.is_set() and not self._flowing.wait(_LOOK_S):
            pass
