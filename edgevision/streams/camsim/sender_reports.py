"""Sets the clock of an RTSP camera wrong: shifts the time in its sender reports (RFC 3550, 6.4.1) as they pass by.

Over TCP, RTSP messages and packets share one connection (RFC 2326, 10.12): a packet begins with ``$``, its channel and its
length in two bytes; odd channels carry reports.
"""

from __future__ import annotations

import re

_SENDER_REPORT = 200
_LONGEST_HEAD = 64 * 1024
_LENGTH = re.compile(rb"(?im)^content-length:\s*(\d{1,6})\s*$")


class ClockShifter:
    """Takes the bytes that a server sends, in pieces of any size, and gives them back with every sender report ``shift_s``
    seconds later. What is no RTSP passes as it is."""

    def __init__(self, shift_s: float) -> None:
        self._shift = round(shift_s * 2**32)  # as the 64 bits of NTP count: 32 after the point
        self._held = bytearray()
        self._foreign = False

    def feed(self, data: bytes) -> bytes:
        """The bytes that can go on now; what is not whole yet comes with a later call."""
        self._held += data
        done = bytearray()
        while not self._foreign:
            length = self._whole()
            if length is None:
                break
            done += self._shifted(bytes(self._held[:length]))
            del self._held[:length]
        if self._foreign:
            done += self._held
            self._held.clear()
        return bytes(done)

    def _whole(self) -> int | None:
        """Bytes of the packet or message that comes first, None where some are missing."""
        if self._held[:1] == b"$":
            length = 4 + int.from_bytes(self._held[2:4], "big")
            return length if len(self._held) >= max(4, length) else None
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            self._foreign = len(self._held) > _LONGEST_HEAD
            return None
        found = _LENGTH.search(self._held[:end])
        length = end + 4 + (int(found[1]) if found else 0)
        return length if len(self._held) >= length else None

    def _shifted(self, piece: bytes) -> bytes:
        report = piece[0:1] == b"$" and piece[1] % 2 == 1 and len(piece) >= 20 and piece[5] == _SENDER_REPORT
        if not report:
            return piece
        time = int.from_bytes(piece[12:20], "big") + self._shift
        return piece[:12] + (time % 2**64).to_bytes(8, "big") + piece[20:]
