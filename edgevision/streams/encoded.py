"""Pictures that came as files and are still as they came: decoded once, when somebody needs their pixels."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from edgevision.decode.formats import read_header
from edgevision.errors import DamagedFrameError, ImageError, SourceError
from edgevision.frames import Frame
from edgevision.streams.reasons import Reason


class EncodedPicture:
    """One picture that stands alone, such as a JPEG: no other is needed to decode it. Thread-safe.

    ``decode``: makes the frame, or raises; called once at most, in the thread of whoever asks first. OpenCV and FFmpeg work without the GIL, so
    that several pictures are decoded at once. ``data``: gives the file's bytes, for ``digest``; None where nobody will ask for it. Both are let
    go once the picture is decoded.

    ``on_damage`` may be set: called by the thread that finds that it cannot be decoded, before the error is raised. It must be quick.
    """

    def __init__(self, decode: Callable[[], Frame], data: Callable[[], bytes] | None = None) -> None:
        self.on_damage: Callable[[], None] | None = None
        self._decode: Callable[[], Frame] | None = decode
        self._data = data
        self._frame: Frame | None = None
        self._damage: SourceError | None = None
        self._digest: int | None = None
        self._lock = threading.Lock()

    @property
    def is_decoded(self) -> bool:
        """Whether the frame is there: asking for it costs nothing."""
        return self._frame is not None

    def decoded(self) -> Frame:
        """Its pixels, in a frame of no camera yet. Raises DamagedFrameError, each time, where it has none, and what else ``decode`` raises as SourceError."""
        with self._lock:
            if self._decode is not None:
                self._try(self._decode)
                self._decode = self._data = None  # with the file that they hold
            if self._damage is not None:
                raise type(self._damage)(self._damage.reason, str(self._damage))
            assert self._frame is not None
            return self._frame

    def digest(self) -> int | None:
        """A number that differs where pictures differ, of the bytes that pixels depend on: a time of day in a comment or in EXIF makes no other
        picture. None: it cannot be told, as where the first to ask comes after it was decoded."""
        data = self._data
        if self._digest is None and data is not None:
            self._digest = _digest(data())
        return self._digest

    def _try(self, decode: Callable[[], Frame]) -> None:
        try:
            self._frame = decode()
        except SourceError as error:
            self._damage = error.with_traceback(None)
        except ImageError as error:
            self._damage = DamagedFrameError(Reason.CORRUPT, str(error))
        except Exception as error:  # whatever a library does with a damaged file: one frame is lost
            self._damage = DamagedFrameError(Reason.CORRUPT, f"it cannot be decoded ({type(error).__name__}: {error})")
        if self._damage is not None and self.on_damage is not None:
            self.on_damage()


@dataclass(frozen=True, eq=False)
class EncodedFrame:
    """A frame that is not decoded yet. ``camera``, ``sequence`` and ``captured_ns`` as ``Frame`` has them."""

    picture: EncodedPicture
    camera: str | None = None
    sequence: int | None = None
    captured_ns: int | None = None
    _made: list[Frame] = field(default_factory=list, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def decoded(self) -> Frame:
        """The frame: one object, whoever asks and however often. Raises as ``EncodedPicture.decoded`` does."""
        pixels = self.picture.decoded()
        with self._lock:
            if not self._made:
                self._made.append(
                    replace(pixels, camera=self.camera, sequence=self.sequence, captured_ns=self.captured_ns)
                )
            return self._made[0]


def _digest(data: bytes) -> int:
    try:
        parts = read_header(data).parts
    except ImageError:  # damaged, or a kind that is told apart as a whole
        parts = None
    digest = 0
    for part in (data,) if parts is None else parts:
        digest = zlib.crc32(part, digest)
    return digest
