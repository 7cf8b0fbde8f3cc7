from __future__ import annotations

import re

import numpy as np
import pytest

from edgevision.errors import BarcodeError
from edgevision.tracking.check_digits import check_digit, expand_upc_e, gtin14, has_right_check_digit

# Numbers with right check digits, worked out by hand or printed in GS1's own documents: GTIN-8, -12, -13, -14, GLN, SSCC.
RIGHT = [
    "96385074", "73513537", "614141000036", "036000291452", "4006381333931", "6291041500213", "9521234543213",
    "00614141000036", "10614141000415", "09521234543213", "9524000000002", "340123450000000000", "106141411234567897",
]  # fmt: skip


@pytest.mark.parametrize("number", RIGHT)
def test_right_check_digits(number):
    assert has_right_check_digit(number)
    assert check_digit(number[:-1]) == number[-1]


@pytest.mark.parametrize("number", RIGHT)
def test_every_other_digit_in_every_place_is_found(number):
    """One wrong digit changes the sum by no multiple of ten, as the weights 1 and 3 have no factor in common with it."""
    for place, digit in enumerate(number):
        for other in set("0123456789") - {digit}:
            assert not has_right_check_digit(number[:place] + other + number[place + 1 :])


def test_the_weights_count_from_the_right():
    """So that zeros before a number change nothing: that is why all lengths of GTIN fit into 14 digits."""
    rng = np.random.default_rng(1)
    for length in range(1, 18):
        digits = "".join(map(str, rng.integers(0, 10, length)))
        assert check_digit(digits) == check_digit(digits.zfill(20))


@pytest.mark.parametrize("text", ["", "5", "12a4", "٤٤", "²3", "12 34", "-12"])
def test_what_is_no_number_has_no_check_digit(text):
    assert not has_right_check_digit(text)


@pytest.mark.parametrize("text", ["", "12a4", "٤", "-1"])
def test_a_check_digit_of_something_else_is_refused(text):
    with pytest.raises(BarcodeError, match="digits 0…9"):
        check_digit(text)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("96385074", "00000096385074"),
        ("036000291452", "00036000291452"),
        ("4006381333931", "04006381333931"),
        ("10614141000415", "10614141000415"),
    ],
)
def test_gtins_of_all_lengths(number, expected):
    assert gtin14(number) == expected
    assert gtin14(expected) == expected


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("4006381333932", "ends in 2, its check digit is 1"),
        ("4006381339331", "check digit"),  # two digits exchanged
        ("96385075", "its check digit is 4"),
        ("400638133393", "GTIN 400638133393 ends in 3, its check digit is"),  # cut short: another length
        ("123456789", "8, 12, 13 or 14 digits"),
        ("340123450000000000", "8, 12, 13 or 14 digits"),  # an SSCC
        ("400638133393x", "nothing else"),
        ("", "nothing else"),
        ("00000000", "all zeros"),
        ("00000000000000", "all zeros"),
    ],
)
def test_wrong_gtins(number, message):
    with pytest.raises(BarcodeError, match=re.escape(message)):
        gtin14(number)


@pytest.mark.parametrize(
    ("short", "expected"),
    [  # one for each way in which zeros are left out
        ("01234505", "012000003455"),
        ("01234514", "012100003454"),
        ("01234523", "012200003453"),
        ("01234531", "012300000451"),
        ("01234543", "012340000053"),
        ("01234558", "012345000058"),
        ("01234565", "012345000065"),
        ("01234572", "012345000072"),
        ("01234589", "012345000089"),
        ("01234596", "012345000096"),
        ("05096893", "050968000093"),  # on a photo of zxing-cpp's samples, which says so
    ],
)
def test_upc_e(short, expected):
    assert expand_upc_e(short) == expected
    assert has_right_check_digit(expected)


@pytest.mark.parametrize("number", ["01234566", "21234565", "1234565", "012345650", "0123456x", ""])
def test_wrong_upc_e(number):
    with pytest.raises(BarcodeError, match="UPC-E"):
        expand_upc_e(number)
