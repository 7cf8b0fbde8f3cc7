"""One simulated camera: its process, the proxy in front of it, and what can go wrong with either."""

from __future__ import annotations

import dataclasses
import json
import selectors
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

import edgevision
from edgevision.errors import DeviceError
from edgevision.streams.camsim.proxy import FaultProxy
from edgevision.streams.camsim.server import PATH, CameraSettings

SYSTEM_PYTHON = "/usr/bin/python3"  # the one that Debian's python3-gi is for
PACKAGES = (
    "python3-gi python3-gst-1.0 gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-rtsp glib-networking"
)
_CURE = f"install it with: apt-get install --no-install-recommends {PACKAGES}"
_START_S = 60.0  # GStreamer looks at all its plugins at its first start
_SERVE = "import sys; sys.path.append(sys.argv[1]); from edgevision.streams.camsim.server import main; main()"


def has_gstreamer() -> bool:
    """Whether simulated cameras can run on this machine."""
    try:
        need_gstreamer()
    except DeviceError:
        return False
    return True


def need_gstreamer() -> None:
    """Raises DeviceError, which says what to install, where simulated cameras cannot run."""
    look = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    if not Path(SYSTEM_PYTHON).exists():
        raise DeviceError(f"simulated cameras need {SYSTEM_PYTHON} with GStreamer's RTSP server; {_CURE}")
    done = subprocess.run([SYSTEM_PYTHON, "-E", "-s", "-c", look], capture_output=True, check=False)
    if done.returncode:
        raise DeviceError(f"simulated cameras need GStreamer's RTSP server, which {SYSTEM_PYTHON} lacks; {_CURE}")


class SimulatedCamera:
    """A real RTSP camera whose pictures carry their time and number. A context manager; it runs until it is closed.

    Readers come through ``proxy``, so that the network can fail too. ``shift_s``: how far its clock is wrong.

    >>> with SimulatedCamera(CameraSettings(fps=22.4)) as camera:  # doctest: +SKIP
    ...     print(camera.url)
    rtsp://127.0.0.1:40123/cam
    """

    def __init__(self, settings: CameraSettings, *, port: int = 0, shift_s: float = 0.0) -> None:
        """Starts it. ``port``: of the proxy. Raises DeviceError where it does not start."""
        self._settings = settings
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _kill; nobody reads a pipe all the time
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, "-E", "-s", "-c", _SERVE, str(Path(edgevision.__file__).parents[1])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._messages,
        )  # fmt: skip
        try:
            own_port = self._started()
            self.proxy = FaultProxy(("127.0.0.1", own_port), port=port, shift_s=shift_s)
        except OSError as error:
            self._kill()
            raise DeviceError(f"port {port} cannot be used: {error.strerror}; give another one") from None
        except DeviceError:
            self._kill()
            raise

    @property
    def url(self) -> str:
        """Where it is, without user and password."""
        scheme = "rtsp" if self._settings.certificate is None else "rtsps"
        return f"{scheme}://127.0.0.1:{self.proxy.port}{PATH}"

    @property
    def process_id(self) -> int:
        """Of its process."""
        return self._process.pid

    def freeze(self) -> None:
        """Stop the camera's process in the middle of whatever it does; its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the camera and its proxy."""
        self.proxy.close()
        self._kill()

    def __enter__(self) -> SimulatedCamera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _started(self) -> int:
        """The port that the camera's process tells once it serves."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        values = dataclasses.asdict(self._settings)
        try:
            self._process.stdin.write((json.dumps(values) + "\n").encode())
            self._process.stdin.flush()
        except BrokenPipeError:  # it ended already, and says why below
            pass
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            told = self._process.stdout.readline().split() if selector.select(_START_S) else []
        if len(told) != 2 or told[0] != b"ready":
            self._process.kill()
            self._process.wait()
            raise DeviceError(f"the simulated camera did not start: {self._last_words()}; {_CURE}")
        return int(told[1])

    def _last_words(self) -> str:
        self._messages.seek(0)
        lines = self._messages.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._messages):
            if stream is not None:
                stream.close()
