"""What a simulated camera writes into each picture: its number and its time, as a bar code of 64 cells.

The cells stand side by side in a band along the upper edge, black or white, over the whole width: wide enough to come through
JPEG and H.264. Nothing but the standard library is needed to write them, so that the camera's process can do without NumPy.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

CELLS = 64
_NUMBER_BITS, _TIME_BITS, _CHECK_BITS = 20, 36, 8
_NS_IN_MS = 1_000_000
BLACK, WHITE = 30, 220  # luma
LEAST_WIDTH = 4 * CELLS  # narrower cells do not survive compression


@dataclass(frozen=True)
class Stamp:
    """``number``: of the picture, counted modulo 2²⁰. ``time_ns``: UTC nanoseconds since 1970, in whole milliseconds."""

    number: int
    time_ns: int

    def bits(self) -> list[bool]:
        """The 64 cells, from the left; True is white. Time is written in milliseconds modulo 2³⁶, which is two years."""
        time_ms = self.time_ns // _NS_IN_MS
        value = (self.number % (1 << _NUMBER_BITS)) << _TIME_BITS | time_ms % (1 << _TIME_BITS)
        value = value << _CHECK_BITS | _check(value)
        return [bool(value >> place & 1) for place in reversed(range(CELLS))]

    @classmethod
    def from_bits(cls, bits: list[bool], near_ns: int) -> Stamp | None:
        """The stamp of these cells, its time the one that is closest to ``near_ns``; None where the check value is wrong."""
        value = 0
        for bit in bits:
            value = value << 1 | int(bit)
        value, check = value >> _CHECK_BITS, value & ((1 << _CHECK_BITS) - 1)
        if check != _check(value):
            return None
        period, near_ms = 1 << _TIME_BITS, near_ns // _NS_IN_MS
        away_ms = (value - near_ms + period // 2) % period - period // 2
        return cls(value >> _TIME_BITS, (near_ms + away_ms) * _NS_IN_MS)


def band_height(height: int) -> int:
    """Rows of the band in a picture of that height."""
    return max(16, height // 12) // 2 * 2


def band(stamp: Stamp, width: int, height: int) -> bytes:
    """Luma of the band's rows, ``band_height(height)`` × ``width`` bytes."""
    edges = [cell * width // CELLS for cell in range(CELLS + 1)]
    levels = (WHITE if bit else BLACK for bit in stamp.bits())
    row = b"".join(
        bytes([level]) * (right - left) for level, left, right in zip(levels, edges[:-1], edges[1:], strict=True)
    )
    return row * band_height(height)


def _check(value: int) -> int:
    """A check value that is not zero for zero, so that a black picture is no stamp."""
    return (binascii.crc32(value.to_bytes(7, "big")) >> 24) ^ 0x5A
