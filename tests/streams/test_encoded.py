"""Pictures that are decoded once, when somebody needs them, and what is told of them before."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from picture_files import encoded, photo

from edgevision.decode import to_frame
from edgevision.errors import DamagedFrameError, ImageError, SourceError
from edgevision.frames import Frame
from edgevision.streams.encoded import EncodedFrame, EncodedPicture
from edgevision.streams.reasons import Reason

BLACK = Frame.from_array(np.zeros((2, 2, 3), np.uint8))


def picture_of(data: bytes) -> EncodedPicture:
    return EncodedPicture(lambda: to_frame(data), lambda: data)


def test_it_is_decoded_once_whoever_asks_and_is_what_the_decoder_gives():
    data = encoded(".jpg", photo())
    calls: list[int] = []
    both = threading.Barrier(4)

    def decode() -> Frame:
        calls.append(1)
        return to_frame(data)

    picture = EncodedPicture(decode)
    frame = EncodedFrame(picture, "till", 7, 123)

    def ask() -> Frame:
        both.wait(10)
        return frame.decoded()

    assert not picture.is_decoded
    with ThreadPoolExecutor(4) as threads:
        found = [one.result() for one in [threads.submit(ask) for _ in range(4)]]
    assert len(calls) == 1
    assert picture.is_decoded
    assert len({id(one) for one in found}) == 1
    for one in found[:1]:
        assert (one.camera, one.sequence, one.captured_ns) == ("till", 7, 123)
        np.testing.assert_array_equal(one.planes[0], to_frame(data).planes[0])


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (ImageError("the end is missing"), DamagedFrameError, Reason.CORRUPT),
        (DamagedFrameError(Reason.CORRUPT, "the end is missing"), DamagedFrameError, Reason.CORRUPT),
        (SourceError(Reason.UNSUPPORTED, "the end is missing"), SourceError, Reason.UNSUPPORTED),
        (MemoryError("the end is missing"), DamagedFrameError, Reason.CORRUPT),
    ],
)
def test_damage_is_told_each_time_and_found_once(error, kind, reason):
    calls: list[int] = []
    told: list[int] = []

    def decode() -> Frame:
        calls.append(1)
        raise error

    picture = EncodedPicture(decode)
    picture.on_damage = lambda: told.append(1)
    for _ in range(3):
        with pytest.raises(kind, match="the end is missing") as caught:
            EncodedFrame(picture).decoded()
        assert type(caught.value) is kind
        assert caught.value.reason is reason
    assert (len(calls), len(told)) == (1, 1)
    assert not picture.is_decoded


def test_the_digest_is_of_what_pixels_depend_on():
    data = encoded(".jpg", photo())
    noted = data[:2] + b"\xff\xfe\0\x07" + b"12:34" + data[2:]  # a comment, as of a camera that writes the time of day
    other = encoded(".jpg", photo(seed=1))
    assert picture_of(data).digest() == picture_of(noted).digest()
    assert picture_of(data).digest() != picture_of(other).digest()
    assert picture_of(b"no picture").digest() != picture_of(b"nor this").digest()
    assert EncodedPicture(lambda: BLACK).digest() is None


def test_a_picture_under_two_names_is_decoded_once_and_is_two_frames():
    """As a source gives it, and as it is counted."""
    pixels = iter([BLACK])
    came = EncodedFrame(EncodedPicture(lambda: next(pixels)), "till")
    counted = replace(came, sequence=3)
    assert came.decoded() is came.decoded()
    assert counted.decoded() is counted.decoded()
    assert (came.decoded().sequence, counted.decoded().sequence) == (None, 3)
    assert came.decoded().planes[0] is counted.decoded().planes[0]


def test_a_decoded_picture_keeps_its_digest_but_not_its_file():
    class File:
        def decode(self) -> Frame:
            return BLACK

        def data(self) -> bytes:
            return b"bytes"

    for asked_before in (True, False):
        file = File()
        gone = weakref.ref(file)
        picture = EncodedPicture(file.decode, file.data)
        digest = picture.digest() if asked_before else None
        del file
        picture.decoded()
        assert gone() is None
        assert picture.digest() == digest
