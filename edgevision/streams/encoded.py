"""Pictures that came as files and are still as they came: decoded once, when somebody needs their pixels."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from edgevision.decode.formats import read_header
from edgevision.errors import DamagedFrameError, ImageError, SourceError
from edgevision.frames import Frame
from edgevision.streams.reasons import Reason


def _nobody() -> None:
    return None


class EncodedPicture:
    """One picture that stands alone, such as a JPEG: no other is needed to decode it. Thread-safe.

    ``decode``: makes the frame, or raises; called once at most, in the thread of whoever asks first. OpenCV and FFmpeg work without the GIL, so
    that several pictures are decoded at once. ``data``: gives the file's bytes, for ``digest``; None where nobody will ask for it.

    ``on_damage`` may be set: called by the thread that finds that it cannot be decoded, before the error is raised. It must be quick.
    """

    def __init__(self, decode: Callable[[], Frame], data: Callable[[], bytes] | None = None) -> None:
        self.on_damage: Callable[[], None] = _nobody
        self._decode: Callable[[], Frame] | None = decode
        self._data = data
        self._frame: Frame | None = None
        self._damage: SourceError | None = None
        self._lock = threading.Lock()

    @property
    def is_decoded(self) -> bool:
        """Whether the frame is there: asking for it costs nothing."""
        return self._frame is not None

    def frame(self) -> Frame:
        """Its pixels. Raises DamagedFrameError, each time, where it has none, and what else ``decode`` raises as SourceError."""
        with self._lock:
            if self._decode is not None:
                self._try(self._decode)
                self._decode = None  # what it holds is let go
            if self._damage is not None:
                raise type(self._damage)(self._damage.reason, str(self._damage))
            assert self._frame is not None
            return self._frame

    def digest(self) -> int | None:
        """A number that differs where pictures differ, of the bytes that pixels depend on: a time of day in a comment or in EXIF makes no other
        picture. None: it cannot be told."""
        return None if self._data is None else _digest(self._data())

    def _try(self, decode: Callable[[], Frame]) -> None:
        try:
            self._frame = decode()
        except SourceError as error:
            self._damage = error.with_traceback(None)
        except ImageError as error:
            self._damage = DamagedFrameError(Reason.CORRUPT, str(error))
        except Exception as error:  # whatever a library does with a damaged file: one frame is lost
            self._damage = DamagedFrameError(Reason.CORRUPT, f"it cannot be decoded ({type(error).__name__}: {error})")
        if self._damage is not None:
            self.on_damage()


@dataclass(frozen=True, eq=False)
class EncodedFrame:
    """A frame that is not decoded yet. ``camera``, ``sequence`` and ``captured_ns`` as ``Frame`` has them."""

    picture: EncodedPicture
    camera: str | None = None
    sequence: int | None = None
    captured_ns: int | None = None

    def decode(self) -> Frame:
        """The frame. Raises DamagedFrameError."""
        return replace(self.picture.frame(), camera=self.camera, sequence=self.sequence, captured_ns=self.captured_ns)


def _digest(data: bytes) -> int:
    try:
        parts = read_header(data).parts
    except ImageError:  # damaged, or a kind that is told apart as a whole
        parts = None
    digest = 0
    for part in (data,) if parts is None else parts:
        digest = zlib.crc32(part, digest)
    return digest
