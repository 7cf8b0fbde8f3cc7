"""Packets of MJPEG that are decoded later, elsewhere and several at once, against the decoder of the stream itself."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
from films import noise

from edgevision.errors import DamagedFrameError, SourceError
from edgevision.frames import Frame, PixelFormat
from edgevision.streams.encoded import EncodedPicture
from edgevision.streams.sources.decoding import Decoder
from edgevision.streams.sources.planes import PlaneReader

pytestmark = pytest.mark.requires("av")


def film(format: str = "yuvj420p", count: int = 6, container: str = "mjpeg") -> bytes:
    """MJPEG of noise with one hue, in FFmpeg's pixel ``format``."""
    written = io.BytesIO()
    with av.open(written, "w", format=container) as output:
        stream = output.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, format
        for luma in noise(count, 48, 64):
            picture = av.VideoFrame.from_ndarray(np.stack([luma, luma, luma // 2], -1), format="rgb24")
            output.mux(stream.encode(picture.reformat(format=format)))
        output.mux(stream.encode())
    return written.getvalue()


def pictures_of(data: bytes, *, live: bool, container: str = "mjpeg") -> list[tuple[object, float | None]]:
    """Each picture with its time stamp; the file is closed before any is looked at."""
    with av.open(io.BytesIO(data), format=container) as opened:
        decoder = Decoder(opened, live=live)
        found = []
        while not decoder.ended:
            picture = decoder.step()
            if picture is not None:
                found.append((picture.picture, picture.stamp_s))
        return found


def check_same(frame: Frame, expected: Frame) -> None:
    assert (frame.format, frame.encoding, frame.width) == (expected.format, expected.encoding, expected.width)
    for plane, theirs in zip(frame.planes, expected.planes, strict=True):
        np.testing.assert_array_equal(plane, theirs)


@pytest.mark.parametrize(
    ("format", "becomes"),
    [("yuvj420p", PixelFormat.I420), ("yuvj422p", PixelFormat.BGR), ("yuvj444p", PixelFormat.BGR)],
)
def test_they_are_what_the_streams_own_decoder_gives(format, becomes):
    data = film(format)
    later, at_once = pictures_of(data, live=True), pictures_of(data, live=False)
    assert all(isinstance(one, EncodedPicture) and not one.is_decoded for one, _ in later)
    reader = PlaneReader()
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda one: one[0].decoded(), later))
    assert len(found) == 6
    for frame, (expected, _) in zip(found, at_once, strict=True):
        assert frame.format is becomes
        check_same(frame, reader.frame(expected))


@pytest.mark.parametrize(
    ("container", "stamps"), [("mjpeg", [None] * 6), ("matroska", [0.0, 0.04, 0.08, 0.12, 0.16, 0.2])]
)
def test_a_camera_s_own_times_are_kept_and_none_are_made_up(container, stamps):
    """MJPEG alone holds no times; FFmpeg would say 25 pictures a second, however many come."""
    data = film(container=container)
    assert [stamp for _, stamp in pictures_of(data, live=True, container=container)] == stamps


def test_a_damaged_one_costs_itself_alone():
    data = film()
    starts = [at for at in range(len(data) - 2) if data[at : at + 3] == b"\xff\xd8\xff"]
    assert len(starts) == 6
    broken = bytearray(data)
    broken[starts[2] + 4 : starts[3]] = bytes(starts[3] - starts[2] - 4)
    found = []
    for picture, _ in pictures_of(bytes(broken), live=True):
        try:
            found.append(picture.decoded().height)
        except DamagedFrameError:
            found.append(None)
    assert found == [48, 48, None, 48, 48, 48]


def test_films_are_decoded_as_they_are_read():
    assert not any(isinstance(one, EncodedPicture) for one, _ in pictures_of(film(), live=False))


def test_a_picture_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr("edgevision.streams.sources.ffmpeg._DECODER", {"max_pixels": "100"})
    with pytest.raises(SourceError):
        pictures_of(film(), live=True)[0][0].decoded()
