"""Barcodes are read back by a decoder of our own that knows bars by their widths, and by OpenCV's where it has one."""

import itertools

import cv2
import numpy as np
import pytest

from edgevision.demo.barcode import MODULES, QUIET_ZONE, check_digit, draw_barcode, modules, shop_number
from edgevision.demo.products import LISTED, unlisted
from edgevision.errors import InputError

# Widths of the two bars and two spaces of each digit (odd parity, space first), as the standard's table prints them.
WIDTHS = ("3211", "2221", "2122", "1411", "1132", "1231", "1114", "1312", "1213", "3112")
FIRST_DIGIT = {
    "OOOOOO": 0, "OOEOEE": 1, "OOEEOE": 2, "OOEEEO": 3, "OEOOEE": 4, "OEEOOE": 5, "OEEEOO": 6, "OEOEOE": 7,
    "OEOEEO": 8, "OEEOEO": 9,
}  # fmt: skip


def decoded(line: np.ndarray, module_px: int) -> str:
    """The 13 digits of one row of pixels, from the widths of its bars."""
    runs = [(dark, len(list(group)) / module_px) for dark, group in itertools.groupby(line < 128)]
    (dark_left, left), (dark_right, right) = runs[0], runs[-1]
    assert (dark_left, dark_right) == (False, False)
    assert left >= 11, "quiet zone"
    assert right >= 7, "quiet zone"
    widths = [round(width) for _, width in runs[1:-1]]
    assert widths[:3] == widths[-3:] == [1, 1, 1]
    assert widths[27:32] == [1] * 5
    digits, parity = "", ""
    for k in range(12):
        start = 3 + 4 * k + (5 if k >= 6 else 0)
        four = "".join(map(str, widths[start : start + 4]))
        if four in WIDTHS:
            digits, parity = digits + str(WIDTHS.index(four)), parity + "O"
        else:
            digits, parity = digits + str(WIDTHS.index(four[::-1])), parity + "E"
    assert parity[6:] == "OOOOOO"
    return f"{FIRST_DIGIT[parity[:6]]}{digits}"


@pytest.mark.parametrize("number", ["4006381333931", "5901234123457", "9780201379624", "0012345678905"])
def test_check_digits_of_published_examples(number):
    assert check_digit(number[:12]) == int(number[12])


@pytest.mark.parametrize("number", ["4006381333931", "5901234123457", "0012345678905", *(p.number for p in LISTED)])
@pytest.mark.parametrize("module_px", [1, 3])
def test_bars_read_back(number, module_px):
    tile = draw_barcode(number, module_px, 30)
    assert tile.shape[1] == module_px * (MODULES + 2 * QUIET_ZONE)
    assert decoded(tile[tile.shape[0] // 2, :, 0], module_px) == number


def test_every_first_digit_has_its_parity():
    numbers = [f"{first}00123456789" for first in range(10)]
    for number in (f"{n}{check_digit(n)}" for n in numbers):
        bars = np.array([255 - 255 * int(m) for m in modules(number)], np.uint8)
        assert decoded(np.pad(bars, 11, constant_values=255), 1) == number


def test_numbers_of_products_are_the_shops_own_and_unique():
    numbers = [p.number for p in (*LISTED, *map(unlisted, range(50)))]
    assert len(set(numbers)) == len(numbers)
    for number in numbers:
        assert 20 <= int(number[:2]) <= 29
        assert check_digit(number[:12]) == int(number[12])


@pytest.mark.skipif(not hasattr(cv2, "barcode"), reason="this OpenCV has no barcode reader")
@pytest.mark.parametrize("product", LISTED[::5], ids=lambda p: p.id)
def test_opencv_reads_them(product):
    tile = cv2.copyMakeBorder(draw_barcode(product.number, 3, 120), *(160,) * 4, cv2.BORDER_CONSTANT, value=(220,) * 3)
    # As a camera sees it; the reader wants soft edges.
    assert cv2.barcode.BarcodeDetector().detectAndDecode(cv2.GaussianBlur(tile, (0, 0), 1.0))[0] == product.number


@pytest.mark.parametrize("number", ["4006381333930", "400638133393", "400638133393X"])
def test_wrong_numbers_are_refused(number):
    with pytest.raises(InputError, match=r"check digit"):
        modules(number)


@pytest.mark.parametrize(("prefix", "item"), [(19, 1), (30, 1), (20, -1), (20, 10**10)])
def test_only_shop_numbers_are_made(prefix, item):
    with pytest.raises(InputError, match="20…29"):
        shop_number(prefix, item)
