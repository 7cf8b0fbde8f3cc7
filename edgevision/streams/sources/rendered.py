"""Pictures that a function draws, as a camera would send them: demos and tests without a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from edgevision.errors import InputError, SourceError
from edgevision.frames import Frame, ImageArray
from edgevision.streams.captured import Captured
from edgevision.streams.reasons import Reason

Render = Callable[[float], ImageArray]


class RenderedCamera:
    """A camera whose picture of the moment ``time_s``, counted from its first opening, is ``render(time_s)``: H×W×3 uint8 BGR.

    ``paced``: the moments are those of this machine's clock, and a slow renderer misses some. Otherwise they are ``1 / fps``
    apart, as fast as they are drawn. It ends after ``seconds``.

    >>> import numpy as np
    >>> camera = RenderedCamera("shelf", lambda time_s: np.zeros((4, 6, 3), np.uint8), fps=10, seconds=0.2, paced=False)
    >>> camera.open()
    >>> [camera.read().frame.height, camera.read().frame.width, camera.read()]
    [4, 6, None]
    """

    def __init__(
        self, camera: str, render: Render, *, fps: float, seconds: float = float("inf"), paced: bool = True
    ) -> None:
        if not fps > 0:
            raise InputError(f"camera {camera!r}: fps is more than 0, got {fps!r}")
        self.live = paced
        self._camera = camera
        self._render = render
        self._fps = fps
        self._seconds = seconds
        self._began_s: float | None = None
        self._turn = 0  # the next moment's number
        self._interrupted = threading.Event()

    @property
    def announced_fps(self) -> float:
        """The rate that was asked for."""
        return self._fps

    def open(self) -> None:
        """Begin, or go on."""
        self._interrupted.clear()
        if self._began_s is None:
            self._began_s = time.monotonic()

    def read(self) -> Captured | None:
        """The picture of the next moment; None at the end."""
        if self._began_s is None:
            raise SourceError(Reason.GONE, "it is not open")
        now_s = time.monotonic()
        if self.live:
            self._turn = max(self._turn, int((now_s - self._began_s) * self._fps))
        moment_s = self._turn / self._fps
        self._turn += 1
        if moment_s >= self._seconds - 1e-9:
            return None
        if self.live and self._interrupted.wait(max(0.0, self._began_s + moment_s - now_s)):
            return None
        captured_s = time.monotonic()
        captured_ns = time.time_ns()
        frame = Frame.from_array(self._render(moment_s), camera=self._camera, captured_ns=captured_ns)
        return Captured(frame, time.monotonic(), captured_s)

    def close(self) -> None:
        """Nothing has to be given back."""

    def interrupt(self) -> None:
        """``read`` comes back with None."""
        self._interrupted.set()
