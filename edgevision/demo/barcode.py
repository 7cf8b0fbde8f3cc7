"""EAN-13 barcodes. Numbers start with 20…29, the range GS1 leaves to shops, so no real product has them."""

from __future__ import annotations

import numpy as np

from edgevision.errors import InputError
from edgevision.frames import ImageArray

# GS1 General Specifications, section 5.2: bars of each digit in number set A; C is its complement, B is C reversed.
_SET_A = ("0001101", "0011001", "0010011", "0111101", "0100011", "0110001", "0101111", "0111011", "0110111", "0001011")
_SET_C = tuple("".join("10"[int(bit)] for bit in code) for code in _SET_A)
_SET_B = tuple(code[::-1] for code in _SET_C)
# Which of A and B writes each of the six left digits says what the first digit is.
_PARITY = ("AAAAAA", "AABABB", "AABBAB", "AABBBA", "ABAABB", "ABBAAB", "ABBBAA", "ABABAB", "ABABBA", "ABBABA")
MODULES = 95
QUIET_ZONE = 11  # modules kept white on the left; the right needs 7


def check_digit(first12: str) -> int:
    """The 13th digit: the weighted sum of all digits (weights 1, 3, 1, 3, …) becomes a multiple of ten.

    >>> check_digit("200123400001")
    7
    """
    if len(first12) != 12 or not first12.isdecimal():
        raise InputError(f"an EAN-13 number has 12 digits before its check digit, got {first12!r}")
    return -sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(first12)) % 10


def shop_number(prefix: int, item: int) -> str:
    """The 13 digits of item ``item`` in the shop's own range ``prefix`` (20…29)."""
    if not 20 <= prefix <= 29 or not 0 <= item < 10**10:
        raise InputError(f"shop numbers are 20…29 and at most ten digits, got {prefix} and {item}")
    first12 = f"{prefix}{item:010d}"
    return f"{first12}{check_digit(first12)}"


def modules(number: str) -> str:
    """The 95 modules of a 13-digit number, ``1`` = dark. A wrong check digit raises InputError."""
    if len(number) != 13 or number[12] != str(check_digit(number[:12])):
        raise InputError(f"expected 13 digits with a right check digit, got {number!r}")
    parity = _PARITY[int(number[0])]
    left = "".join((_SET_A if side == "A" else _SET_B)[int(d)] for side, d in zip(parity, number[1:7], strict=True))
    right = "".join(_SET_C[int(d)] for d in number[7:])
    return f"101{left}01010{right}101"


def draw_barcode(number: str, module_px: int, height_px: int) -> ImageArray:
    """A white H×W×3 uint8 tile with the bars of ``number`` and their quiet zones."""
    bars = np.array([int(bit) for bit in modules(number)], np.uint8)
    line = np.pad(bars, (QUIET_ZONE, QUIET_ZONE)).repeat(module_px)
    tile = np.full((height_px + 4 * module_px, line.size, 3), 255, np.uint8)
    tile[2 * module_px : -2 * module_px, line == 1] = (24, 20, 20)
    return tile
