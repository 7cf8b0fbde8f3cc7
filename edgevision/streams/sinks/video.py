"""Annotated video: a file for each camera."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import Any

from edgevision.errors import InputError, MissingExtraError
from edgevision.frames import ImageArray
from edgevision.streams.pictures import annotated
from edgevision.streams.results import StreamResult
from edgevision.streams.sinks.base import Item
from edgevision.streams.sinks.mqtt import topic_of

SUFFIXES = (".mkv", ".mp4")
_TICKS = 1000  # a second: time in the file is in milliseconds
_CODECS = ("libx264", "mpeg4")  # the first that this build of FFmpeg has
# What makes a file that can be watched without its end, which a killed program does not write: pieces of about a second.
_WHOLE = {".mkv": {"cluster_time_limit": "1000"}, ".mp4": {"movflags": "frag_keyframe+empty_moov"}}
_LONGEST_PAUSE_S = 1.0  # between two frames in the file: a camera that was away for an hour makes no hour of standstill


class VideoSink:
    """Writes each result's frame with the answer on it, in the pace in which frames were captured.

    ``path``: of ``shop.mkv`` the file of camera ``till-1`` is ``shop-till-1.mkv``; a file that is there already is replaced when the
    camera's first frame comes. Both kinds, .mkv and .mp4, can be watched up to the last second where the program was killed.
    A camera that changes its size begins a new file, ``shop-till-1-2.mkv``.

    Raises InputError for another suffix, MissingExtraError without PyAV.
    """

    wants_frames = True

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        if self._path.suffix.lower() not in SUFFIXES:
            raise InputError(f"a video's name ends in {' or '.join(SUFFIXES)}, got {self._path.name!r}")
        _av()
        self.name = f"video:{path}"
        self._films: dict[str, _Film] = {}
        self._parts: dict[str, int] = {}  # camera → how many files with at least a frame it has

    def open(self) -> None:
        """Make the folder. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, item: Item) -> None:
        """Add a frame, where the item is a result with one."""
        picture = annotated(item) if isinstance(item, StreamResult) else None
        if picture is None or not isinstance(item, StreamResult):
            return
        film = self._films.get(item.camera)
        if film is not None and not film.takes(picture):
            del self._films[item.camera]
            film.close()
            film = None
        if film is None:
            part = self._parts.get(item.camera, 0) + 1
            film = self._films[item.camera] = _Film(self._path_of(item.camera, part), part, picture)
        film.add(picture, item.captured_ns)
        # Now, and not before: on a full disk, each try would begin a file of its own.
        self._parts[item.camera] = film.part

    def close(self, timeout_s: float) -> None:
        """Write what the encoders hold back, and close the files: all of them, even where one cannot be written."""
        films, self._films = self._films, {}
        with contextlib.ExitStack() as stack:
            for film in films.values():
                stack.callback(film.close)

    def _path_of(self, camera: str, part: int) -> Path:
        name = f"{self._path.stem}-{topic_of(camera)}" + (f"-{part}" if part > 1 else "")
        return self._path.with_name(name + self._path.suffix)


class _Film:
    """One file. ``part``: which of its camera's."""

    def __init__(self, path: Path, part: int, first: ImageArray) -> None:
        self.part = part
        av = _av()
        self._container = av.open(str(path), "w", options={"flush_packets": "1", **_WHOLE[path.suffix.lower()]})
        codec = next(name for name in _CODECS if name in av.codecs_available)
        self._stream = self._container.add_stream(codec, rate=_TICKS)
        self._height, self._width = first.shape[:2]
        self._stream.width, self._stream.height = _even(self._width), _even(self._height)
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = Fraction(1, _TICKS)
        self._stream.codec_context.gop_size = 25
        if codec == "libx264":
            self._stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        self._ticks: int | None = None  # of the last picture
        self._last_ns: int | None = None

    def takes(self, picture: ImageArray) -> bool:
        """Whether the picture has the film's size."""
        return picture.shape[:2] == (self._height, self._width)

    def add(self, picture: ImageArray, captured_ns: int | None) -> None:
        """Add a picture, as long after the one before as it was captured after it; without its time, 40 ms."""
        av = _av()
        self._ticks = 0 if self._ticks is None else self._ticks + self._pause_ticks(captured_ns)
        self._last_ns = captured_ns
        frame = av.VideoFrame.from_ndarray(picture[: _even(self._height), : _even(self._width)], format="bgr24")
        frame.pts, frame.time_base = self._ticks, Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """The last frames, and the end."""
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()

    def _pause_ticks(self, captured_ns: int | None) -> int:
        if captured_ns is None or self._last_ns is None:
            return _TICKS // 25
        pause_s = (captured_ns - self._last_ns) / 1e9
        return max(1, round(_TICKS * min(pause_s, _LONGEST_PAUSE_S)))


def _even(pixels: int) -> int:
    """Video has chroma for two by two pixels: an odd row or column at the end is left out."""
    return max(2, pixels - pixels % 2)


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "stream", "writing video") from error
    return av
