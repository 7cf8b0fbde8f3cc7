"""A Station whose camera is the service's own, and what people may see of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.errors import SourceError
from edgevision.frames import Frame
from edgevision.kiosk.events import StationEvent
from edgevision.kiosk.service.status import CameraReport

if TYPE_CHECKING:
    from edgevision.kiosk.station.station import Station
    from edgevision.streams.captured import Captured
    from edgevision.streams.sources.base import Source

_RATE_FRAMES = 30  # that the frame rate is measured over


class ShownSource:
    """A source of frames that also remembers the newest, for those who look. ``newest``, ``fps`` and ``age_s`` may be read by any thread, ``newest`` by any
    but an event loop's."""

    def __init__(self, source: Source, now_s: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._now_s = now_s
        self._newest: Captured | None = None
        self._times: deque[float] = deque(maxlen=_RATE_FRAMES)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)  # what some sources tell besides, such as announced_fps

    @property
    def newest(self) -> Frame | None:
        """The newest frame; None before the first, while the camera is closed, and where it is damaged. Decoded now, or waited for, where it
        came as a file; the same object each time."""
        newest = self._newest
        if newest is None:
            return None
        try:
            return newest.decoded()
        except SourceError:  # damaged: the next may be whole
            return None

    @property
    def fps(self) -> float | None:
        """Frames a second, of the last ones; None until there are two."""
        times = tuple(self._times)
        if len(times) < 2 or times[-1] <= times[0]:
            return None
        return (len(times) - 1) / (times[-1] - times[0])

    @property
    def age_s(self) -> float | None:
        """Seconds since the newest frame was captured; None before the first."""
        newest = self._newest
        return None if newest is None else max(0.0, self._now_s() - newest.captured_s)

    # ---- as a source ----

    @property
    def live(self) -> bool:
        """As the source says."""
        return self._source.live

    def open(self) -> None:
        """Open the source."""
        self._times.clear()
        self._source.open()

    def read(self) -> Captured | None:
        """Its next frame."""
        captured = self._source.read()
        if captured is not None:
            self._newest = captured
            self._times.append(captured.captured_s)
        return captured

    def close(self) -> None:
        """Close it. Nobody is shown an old picture."""
        self._newest = None
        self._source.close()

    def interrupt(self) -> None:
        """Make it come back soon."""
        self._source.interrupt()


class OwnCamera:
    """A Station and its camera. ``model``: as a Station takes it. ``tell``: called with each event, in the Station's thread.

    Raises InputError for a camera that cannot be one.
    """

    def __init__(self, model: Any, camera: str, name: str, tell: Callable[[StationEvent], None]) -> None:
        from edgevision.kiosk.station.station import Station
        from edgevision.streams.options import CameraOptions
        from edgevision.streams.sources.registry import make_source

        text = (
            f"paced:{camera}" if Path(camera).is_file() else camera
        )  # a Station counts in seconds: a film plays at its speed
        options = CameraOptions(name, text)
        self._shown = ShownSource(make_source(options))
        self._station: Station = Station(model, options, name=name, on_event=self._hand_on, source=self._shown)
        self._tell = tell
        self.name = name

    @property
    def newest(self) -> Frame | None:
        """The newest frame, for those who look. Decoded when it is asked for: not for an event loop's thread."""
        return self._shown.newest

    @property
    def state(self) -> str:
        """``empty``, ``moving``, ``still`` or ``blocked``."""
        return str(self._station.state)

    @property
    def blocked(self) -> str | None:
        """Why nothing can be told: ``dark``, ``covered``, ``hand`` or ``camera-gone``; or None."""
        reason = self._station.blocked
        return None if reason is None else reason.value

    @property
    def troubles(self) -> list[str]:
        """What went wrong in the Station, the last of it, without tracebacks."""
        return [f"{type(one).__name__}: {one}" for one in tuple(self._station.troubles)]

    def report(self) -> CameraReport:
        """How it is."""
        camera = self._station.camera_state
        age_s = self._shown.age_s
        return CameraReport(
            name=self.name,
            camera="connecting" if camera is None else camera.state.value,
            since_s=0.0 if camera is None else max(0.0, time.monotonic() - camera.since_s),
            words="" if camera is None else camera.words,
            fps=self._shown.fps,
            age_ms=None if age_s is None else 1000 * age_s,
            place=self.state,
        )

    def start(self) -> None:
        """Begin."""
        self._station.start()

    def refuse(self) -> None:
        """Begin nothing new. Returns at once."""
        self._station.refuse()

    def close(self, timeout_s: float) -> None:
        """Let the camera go."""
        self._station.close(timeout_s)

    def _hand_on(self, event: StationEvent) -> None:
        """Called in the Station's thread. Its events wait for readers too, with their pictures; here nobody reads them."""
        self._station.poll()
        self._tell(event)
