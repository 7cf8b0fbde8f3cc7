"""Frames that the app has already, from a camera's own SDK for example."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from edgevision.decode import to_frame
from edgevision.decode.formats import parser_for
from edgevision.errors import EdgeVisionError
from edgevision.frames import Frame, ImageArray
from edgevision.streams.captured import Captured
from edgevision.streams.clock import Clock
from edgevision.streams.encoded import EncodedFrame, EncodedPicture
from edgevision.streams.ledger import Ledger
from edgevision.streams.mailbox import Mailbox
from edgevision.streams.options import CameraOptions, Mode


class PushSource:
    """A camera whose frames the app puts in itself, from any one thread.

    The options are those of ``CameraOptions``. It needs no thread: ``put`` lets a frame into the mailbox.

    >>> till = PushSource("till")
    >>> with ev.stream([till], model) as results:  # doctest: +SKIP
    ...     till.put(picture)
    """

    def __init__(
        self,
        name: str,
        *,
        max_age_s: float | None = None,
        fps: float | None = None,
        weight: float = 1.0,
        mode: Mode | None = None,
    ) -> None:
        self.options = CameraOptions(name, "push:", max_age_s=max_age_s, fps=fps, weight=weight, mode=mode)
        self._into: tuple[Mailbox, Ledger, Clock] | None = None

    @property
    def name(self) -> str:
        """What results call it."""
        return self.options.name

    def put(
        self, frame: Frame | ImageArray | bytes | bytearray | memoryview, *, captured_ns: int | None = None, age_s: float = 0.0,
        wait_s: float = 0.0,
    ) -> bool:  # fmt: skip
        """Let a frame in: an H×W×3 uint8 BGR array, or a ``Frame``, whose planes nobody writes to afterwards; or the bytes of a picture file, such as
        a JPEG, which is decoded when the model takes it: one that a newer frame replaces never is.

        ``captured_ns``: when it was captured, UTC, for people; ``age_s``: how many seconds ago, for schedules. ``wait_s``: how long to
        wait where a frame could only be let in by dropping another; 0: not at all. Whether it was let in: not where it is over the
        ``fps`` limit, or the camera was removed. Raises EdgeVisionError while it belongs to no stream, and InputError for what is no picture; a
        file that is damaged further in is found when it is decoded, and is ``CORRUPT`` in the ledger.
        """
        if self._into is None:
            raise EdgeVisionError(f"camera {self.name!r} is in no stream yet; add it to one, then put frames")
        mailbox, ledger, clock = self._into
        made = _frame_of(frame)
        if wait_s > 0:
            mailbox.wait_for_room(wait_s)
        sequence = ledger.captured(self.name)
        now_s = clock.now_s()
        known_ns = made.captured_ns if captured_ns is None else captured_ns
        numbered = replace(made, camera=self.name, sequence=sequence, captured_ns=known_ns)
        return mailbox.put(Captured(numbered, now_s, now_s - age_s))

    def attach(self, mailbox: Mailbox, ledger: Ledger, clock: Clock) -> None:
        """Called by the stream that it is added to."""
        self._into = (mailbox, ledger, clock)


def _frame_of(frame: Frame | ImageArray | bytes | bytearray | memoryview) -> Frame | EncodedFrame:
    if isinstance(frame, Frame):
        return frame
    if isinstance(frame, (bytes, bytearray, memoryview)):
        data = bytes(frame)  # a buffer may be written to again
        parser_for(data)  # refuses what is no picture
        return EncodedFrame(EncodedPicture(partial(to_frame, data)))
    return Frame.from_array(frame)
