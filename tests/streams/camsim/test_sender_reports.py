from __future__ import annotations

import numpy as np
import pytest

from edgevision.streams.camsim.sender_reports import ClockShifter


def packet(channel: int, body: bytes) -> bytes:
    return b"$" + bytes([channel]) + len(body).to_bytes(2, "big") + body


def report(ntp: int, kind: int = 200) -> bytes:
    """RFC 3550, 6.4.1: version 2, type, length, SSRC, NTP time, RTP time, two counters."""
    return bytes([0x80, kind, 0, 6]) + b"SSRC" + ntp.to_bytes(8, "big") + bytes(12)


NTP = 0xE9000000_80000000
STREAM = [
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 12\r\n\r\n$\x01\x00\x08body$$$$",
    packet(0, bytes([0x80, 200]) + bytes(60)),  # pictures, on an even channel
    packet(1, report(NTP)),
    packet(1, report(NTP, kind=202)),
    b"RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n",
    packet(3, report(NTP)),
    packet(0, b""),
]


@pytest.mark.parametrize("shift_s", [3600.0, -0.25, 0.0])
@pytest.mark.parametrize("piece", [1, 2, 7, 1000])
def test_only_the_time_of_sender_reports_is_changed_however_it_comes_in_pieces(shift_s, piece):
    shifter, data = ClockShifter(shift_s), b"".join(STREAM)
    got = b"".join(shifter.feed(data[at : at + piece]) for at in range(0, len(data), piece))
    expected = list(STREAM)
    for place in (2, 5):
        expected[place] = packet(2 * (place == 5) + 1, report(NTP + int(shift_s * 2**32)))
    assert got == b"".join(expected)


def test_what_is_no_rtsp_passes():
    data = np.random.default_rng(0).integers(65, 90, 300_000, dtype=np.uint8).tobytes()
    shifter = ClockShifter(5)
    got = b"".join(shifter.feed(data[at : at + 4096]) for at in range(0, len(data), 4096))
    assert got == data
