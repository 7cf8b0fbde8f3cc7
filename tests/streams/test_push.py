"""Frames that an app puts in itself."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from picture_files import encoded, photo

from edgevision.decode import read_image
from edgevision.errors import EdgeVisionError, InputError
from edgevision.frames import Frame
from edgevision.streams.clock import FakeClock
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Ledger
from edgevision.streams.mailbox import Mailbox
from edgevision.streams.options import EVERY, Service
from edgevision.streams.sources.push import PushSource

PICTURE = np.zeros((4, 6, 3), np.uint8)


def attached(service: Service) -> tuple[PushSource, Mailbox, Ledger]:
    source, ledger = PushSource("till"), Ledger()
    mailbox = Mailbox(service, partial(ledger.settle, "till"))
    source.attach(mailbox, ledger, FakeClock(now_s=5.0))
    return source, mailbox, ledger


def test_a_frame_is_numbered_named_and_timed():
    source, mailbox, ledger = attached(Service())
    assert source.put(PICTURE, captured_ns=123, age_s=0.5)
    (waiting,) = mailbox.waiting()
    assert (waiting.camera, waiting.sequence, waiting.frame.captured_ns) == ("till", 0, 123)
    assert (waiting.received_s, waiting.captured_s) == (5.0, 4.5)
    assert waiting.frame.planes[0] is PICTURE  # not copied
    assert ledger.account("till").captured == 1


def test_what_a_frame_knows_already_is_kept():
    source, mailbox, _ = attached(Service())
    source.put(Frame.from_array(PICTURE[..., ::-1], format="rgb", camera="other", captured_ns=7))
    (waiting,) = mailbox.waiting()
    assert (waiting.camera, waiting.frame.captured_ns, waiting.frame.format.value) == ("till", 7, "rgb")


def test_what_is_dropped_is_settled():
    source, mailbox, ledger = attached(Service(fps=1))
    assert source.put(PICTURE)
    assert not source.put(PICTURE)
    assert ledger.counts("till") == {Fate.SKIPPED: 1}
    mailbox.close()
    assert not source.put(PICTURE)  # the camera was removed
    assert ledger.counts("till") == {Fate.SKIPPED: 1, Fate.STOPPED: 2}
    assert ledger.account("till").balanced


def test_waiting_for_room_is_bounded():
    source, _, ledger = attached(Service(EVERY))
    for _ in range(8):
        assert source.put(PICTURE, wait_s=0.01)
    assert source.put(PICTURE, wait_s=0.01)
    assert ledger.counts("till") == {Fate.OVERFLOW: 1}


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_bytes_of_a_file_are_kept_as_they_are_and_decoded_when_they_are_taken(kind):
    source, mailbox, _ = attached(Service())
    data = encoded(".jpg", photo())
    mine = bytearray(data)
    assert source.put(kind(mine), captured_ns=123, age_s=0.5)
    mine[:] = bytes(len(mine))  # the app uses its memory again
    taken = mailbox.take()
    assert taken.must_be_decoded
    assert (taken.camera, taken.sequence, taken.captured_s) == ("till", 0, 4.5)
    frame = taken.decoded()
    np.testing.assert_array_equal(frame.planes[0], read_image(data))
    assert (frame.camera, frame.sequence, frame.captured_ns) == ("till", 0, 123)
    assert not taken.must_be_decoded


@pytest.mark.parametrize("bad", [[[1, 2], [3, 4]], b"", b"no picture", b"/9j/4AAQSkZJRg==", "till.jpg"])
def test_a_bad_picture_counts_nowhere(bad):
    source, _, ledger = attached(Service())
    with pytest.raises(InputError):
        source.put(bad)
    assert ledger.account("till").captured == 0


def test_alone_it_takes_no_frames():
    with pytest.raises(EdgeVisionError, match="camera 'till' is in no stream yet"):
        PushSource("till").put(PICTURE)
