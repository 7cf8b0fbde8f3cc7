"""The pictures of one opened stream, one by one, and what is known of their times."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from edgevision.errors import SourceError
from edgevision.streams.encoded import EncodedPicture
from edgevision.streams.reasons import Reason
from edgevision.streams.sources.ffmpeg import decoder_options, explain
from edgevision.streams.sources.jpeg_packets import CODEC, JpegPackets

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame

_NS_IN_US = 1000
_NS_IN_S = 1_000_000_000
# Pictures without times: FFmpeg counts them, and says 25 a second.
_TIMELESS = frozenset({"mpjpeg", "mjpeg", "jpeg_pipe"})


class Picture(NamedTuple):
    """One picture. ``stamp_s``: its time stamp, from wherever the stream begins to count; None where a camera sends none.
    ``captured_ns``: the sender's clock (UTC), None until it has told it; of a film, see ``Decoder``.
    ``picture``: PyAV's, or one that stands alone and is still to be decoded; None for a damaged one."""

    picture: VideoFrame | EncodedPicture | None
    stamp_s: float | None
    captured_ns: int | None


class Decoder:
    """Takes packets from ``container`` until there is a picture. Owns neither: who opened the container closes it.

    Pictures of a live camera that sends MJPEG are not decoded here: each stands alone, and most may be replaced before the model is free. Those
    of other codecs are, all of them: each is needed for the next.

    What is not whole is given as a picture without pixels, so that it can be counted: a packet that cannot be decoded, a picture
    that FFmpeg had to mend, and after either of them, or at the start, all until the next key frame.

    ``began_ns``: the moment of the first picture (UTC), where it is known at once, as of a film; None: the sender tells.
    """

    def __init__(self, container: InputContainer, *, live: bool, began_ns: int | None = None) -> None:
        """Raises SourceError where the container has no pictures, or none that can be decoded."""
        if not container.streams.video:
            raise SourceError(Reason.UNSUPPORTED, "it sends no pictures")
        self._stream = container.streams.video[0]
        context = self._stream.codec_context
        if context is None:  # PyAV's types do not say so
            raise SourceError(Reason.UNSUPPORTED, "its pictures are packed in a way that it does not tell")
        context.options = decoder_options(live=live)
        context.thread_type, context.thread_count = "SLICE", 1  # threads that work on several frames hold frames back
        self._alone = JpegPackets(context) if live and context.name == CODEC else None
        self._timeless = live and container.format.name in _TIMELESS
        self._packets: Iterator[Packet[Any]] = container.demux(self._stream)
        self._pictures: deque[VideoFrame | Packet[Any]] = deque()
        self._broken = True  # until the first key frame
        self._began_ns = began_ns
        self._sender_offset_ns: int | None = None  # sender's UTC − time stamp
        self._ended = False

    @property
    def announced_fps(self) -> float | None:
        """The rate that the stream tells. It is often wrong."""
        rate = None if self._timeless else self._stream.average_rate
        return float(rate) if rate else None

    def step(self) -> Picture | None:
        """Read one packet, or give one picture of the last. Returns None where there is no picture yet, or none any more: see
        ``ended``. Raises SourceError where the connection is lost."""
        if not self._pictures:
            damaged = self._read()
            if damaged:
                return Picture(None, None, None)
        if not self._pictures:
            return None
        return self._whole(self._pictures.popleft())

    @property
    def ended(self) -> bool:
        """Whether all pictures were given."""
        return self._ended and not self._pictures

    def _read(self) -> bool:
        """Take one packet; whether it was damaged."""
        from av.error import EOFError as EndOfStream
        from av.error import FFmpegError

        lost: tuple[Reason, str] | None = None
        try:
            packet = next(self._packets, None)
        except EndOfStream:
            packet = None
        except (FFmpegError, ValueError) as error:
            packet, lost = None, explain(error, opening=False)
        if lost is not None:
            raise SourceError(*lost)  # not in the handler: a chained error would carry the URL
        if packet is None:
            self._ended = True
            return False
        self._learn_time(packet)
        if packet.is_corrupt:  # the network lost a part of it
            self._broken = True
        if self._alone is not None:
            if packet.size:  # the last one is empty: it tells decoders to give what they hold
                self._pictures.append(packet)
            return False
        try:
            self._pictures.extend(packet.decode())
        except EndOfStream:
            pass
        except (FFmpegError, ValueError):
            self._broken = True
            return True
        return False

    def _learn_time(self, packet: Packet[Any]) -> None:
        """From the producer reference time, which FFmpeg makes of the last sender report: so it follows the sender's clock."""
        if packet.pts is None or packet.time_base is None or not packet.has_sidedata("prft"):
            return
        (utc_us,) = struct.unpack_from("=q", bytes(packet.get_sidedata("prft")))
        self._sender_offset_ns = utc_us * _NS_IN_US - round(packet.pts * packet.time_base * _NS_IN_S)

    def _whole(self, picture: VideoFrame | Packet[Any]) -> Picture:
        stamp_s = captured_ns = None
        if not self._timeless and picture.pts is not None and picture.time_base is not None:
            stamp = picture.pts * picture.time_base
            stamp_s = float(stamp)
            if self._began_ns is not None and self._sender_offset_ns is None:
                self._sender_offset_ns = self._began_ns - round(stamp * _NS_IN_S)  # stamps of recordings begin anywhere
            if self._sender_offset_ns is not None:
                captured_ns = self._sender_offset_ns + round(stamp * _NS_IN_S)
        return Picture(self._pixels(picture), stamp_s, captured_ns)

    def _pixels(self, picture: VideoFrame | Packet[Any]) -> VideoFrame | EncodedPicture | None:
        """The picture, or what will make it; None for one that is not whole."""
        if self._alone is not None:
            packet = cast("Packet[Any]", picture)
            return None if packet.is_corrupt else self._alone.picture(packet)
        decoded = cast("VideoFrame", picture)
        if decoded.is_corrupt:
            self._broken = True
        elif decoded.key_frame:
            self._broken = False
        return None if self._broken else decoded
