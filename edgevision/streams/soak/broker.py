"""The broker of a soak, behind a door that can be shut: the runtime comes through the door, whoever counts what arrived does not."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from edgevision.errors import DeviceError, InputError
from edgevision.streams.camsim.proxy import FaultProxy

_HOST = "127.0.0.1"
_START_S = 20.0
_CURE = "install it with: apt-get install --no-install-recommends mosquitto; or give a broker of yours with --broker HOST:PORT"


def find_mosquitto() -> str:
    """Where the program is. Raises DeviceError, which says what to do, where it is not installed."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise DeviceError(f"a soak needs an MQTT broker, and mosquitto is not installed; {_CURE}")
    return found


def parse_address(text: str) -> tuple[str, int]:
    """``HOST[:PORT]``. Raises InputError.

    >>> parse_address("broker.shop"), parse_address("10.0.0.9:2883")
    (('broker.shop', 1883), ('10.0.0.9', 2883))
    """
    host, colon, port = text.partition(":")
    if not host or "/" in host or (colon and not (port.isdecimal() and 0 < int(port) < 65536)):
        raise InputError(f"a broker is HOST or HOST:PORT, without TLS and password, got {text!r}")
    return host, int(port or 1883)


class SoakBroker:
    """A broker, ours or the user's, with a door before it. A context manager.

    ``host`` and ``port``: the broker itself; ``door``: the port of 127.0.0.1 through which the runtime comes.
    """

    def __init__(self, folder: Path, address: tuple[str, int] | None = None) -> None:
        """``folder``: for mosquitto's settings. ``address``: of the user's broker; None: mosquitto is started.

        Raises DeviceError where mosquitto is missing or does not start, or nobody answers at the address.
        """
        self._process: subprocess.Popen[bytes] | None = None
        if address is None:
            address = self._start_mosquitto(folder)
        self.host, self.port = address
        try:
            socket.create_connection(address, 5.0).close()
        except OSError as error:
            self._end_process()
            raise DeviceError(f"no broker answers at {self.host}:{self.port} ({error}); {_CURE}") from None
        self.door = FaultProxy(address)

    def away(self) -> None:
        """Break the runtime's connection, and refuse others."""
        self.door.down()

    def back(self) -> None:
        """Let it in again."""
        self.door.up()

    def close(self) -> None:
        """End the door, and mosquitto if it is ours."""
        self.door.close()
        self._end_process()

    def __enter__(self) -> SoakBroker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start_mosquitto(self, folder: Path) -> tuple[str, int]:
        program = find_mosquitto()
        with socket.create_server((_HOST, 0)) as free:
            address = _HOST, int(free.getsockname()[1])
        settings = folder / "mosquitto.conf"
        # It queues no more than 1000 messages for a reader by itself, and drops the rest: of what comes at once after it was away.
        settings.write_text(f"listener {address[1]} {_HOST}\nallow_anonymous true\nmax_queued_messages 0\n")
        self._process = subprocess.Popen(
            [program, "-c", str(settings)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until_s = time.monotonic() + _START_S
        while time.monotonic() < until_s and self._process.poll() is None:
            try:
                socket.create_connection(address, 1.0).close()
            except OSError:
                time.sleep(0.05)
            else:
                return address
        self._end_process()
        raise DeviceError(
            f"mosquitto did not start; try: mosquitto -c FILE with 'listener {address[1]} {_HOST}'; {_CURE}"
        )

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
