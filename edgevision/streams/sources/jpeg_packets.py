"""Packets of MJPEG, each of which is a whole picture → pictures that are decoded when somebody needs their pixels."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from edgevision.errors import DamagedFrameError
from edgevision.frames import Frame
from edgevision.streams.encoded import EncodedPicture
from edgevision.streams.reasons import Reason
from edgevision.streams.sources.ffmpeg import decoder_options
from edgevision.streams.sources.planes import PlaneReader

if TYPE_CHECKING:
    from av.codec.context import CodecContext
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext

CODEC = "mjpeg"


class JpegPackets:
    """Makes pictures of one stream's packets. ``context``: the stream's own, which knows what the container told of it.

    The decoders are its own and not the stream's, so that pictures outlive the connection; there are as many as pictures were ever decoded at
    once. They decode as the stream's would, to the last bit.
    """

    def __init__(self, context: CodecContext) -> None:
        self._extradata = context.extradata
        self._tag = context.codec_tag
        self._idle: deque[tuple[VideoCodecContext, PlaneReader]] = deque()

    def picture(self, packet: Packet[Any]) -> EncodedPicture:
        """The picture of a packet."""
        return EncodedPicture(partial(self._decode, packet), partial(bytes, packet))

    def _decode(self, packet: Packet[Any]) -> Frame:
        """In any thread."""
        from av.error import FFmpegError

        try:
            context, reader = self._idle.pop()
        except IndexError:
            context, reader = self._new_context(), PlaneReader()
        try:
            pictures = context.decode(packet)
            if pictures and not pictures[-1].is_corrupt:
                return reader.frame(pictures[-1])
        except (FFmpegError, ValueError):
            pass
        finally:
            self._idle.append((context, reader))
        raise DamagedFrameError(Reason.CORRUPT, "a picture is damaged")

    def _new_context(self) -> VideoCodecContext:
        from av.codec.context import CodecContext

        context = cast("VideoCodecContext", CodecContext.create(CODEC, "r"))
        context.options = decoder_options(live=True)
        context.thread_type, context.thread_count = "SLICE", 1
        context.codec_tag = self._tag
        if self._extradata is not None:
            context.extradata = self._extradata
        return context
