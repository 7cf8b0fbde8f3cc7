from __future__ import annotations

import re
from datetime import date

import pytest

from edgevision.errors import InputError
from edgevision.tracking.products import ProductNumbers, check_product

TODAY = date(2026, 11, 27)
PEN, TEA, RICE = 17, 18, 19
NUMBERS = ProductNumbers({"4006381333931": PEN, "96385074": PEN, "09521234543213": TEA, "10614141000415": RICE})

PEN_CODE, TEA_CODE, STRANGE_CODE = "]E04006381333931", "]C10109521234543213" + "17261126", "]E06291041500213"

# (label, barcodes, label of the barcode, conflict, expired)
CASES = [
    (PEN, [PEN_CODE], PEN, False, None),
    (PEN, ["]E496385074"], PEN, False, None),  # its other number
    (PEN, [TEA_CODE], TEA, True, True),
    (TEA, [TEA_CODE], TEA, False, True),
    (TEA, ["]C10109521234543213" + "17261127"], TEA, False, False),
    (None, [TEA_CODE], TEA, False, True),  # the model did not know it, the barcode does
    (PEN, [STRANGE_CODE], None, False, None),  # a GTIN that the shop does not have contradicts nothing
    (PEN, [], None, False, None),
    (PEN, [TEA_CODE, PEN_CODE], PEN, False, None),  # a neighbour's barcode in the picture
    (PEN, [STRANGE_CODE, TEA_CODE], TEA, True, True),
    (PEN, ["(17)261126", PEN_CODE], PEN, False, None),  # a date of who knows what
    (PEN, ["(17)261126"], None, False, True),
    (
        TEA,
        ["]E09521234543213", "]Q1https://example.com/01/09521234543213?17=261126"],
        TEA,
        False,
        True,
    ),  # both on one package
    (TEA, ["]Q1https://example.com/01/09521234543213?17=261126", "]E09521234543213"], TEA, False, True),
]


@pytest.mark.parametrize(("label", "texts", "barcode_label", "conflict", "expired"), CASES)
def test_product_and_barcode(label, texts, barcode_label, conflict, expired):
    found = check_product(label, texts, NUMBERS, TODAY)
    assert (found.label, found.barcode_label, found.conflict, found.expired) == (
        label,
        barcode_label,
        conflict,
        expired,
    )
    assert found.unreadable == ()
    assert (found.code is None) is (texts == [])


@pytest.mark.parametrize(
    ("texts", "messages"),
    [
        (["]E04006381333932"], ["check digit is 1"]),
        (["]Q1Hello", PEN_CODE], ["no form of GS1"]),
        ([PEN_CODE, "]C10104006381333931" + "17261301"], ["month 13"]),
        (["(01)04006381333931(10)A", "(01)04006381333931(10)B"], ["there twice: 'A' and 'B'"]),
    ],
)
def test_barcodes_that_break_the_rules_are_told_and_do_not_count(texts, messages):
    found = check_product(PEN, texts, NUMBERS, TODAY)
    assert len(found.unreadable) == len(messages)
    assert all(part in text for part, text in zip(messages, found.unreadable, strict=True))
    assert not found.conflict


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"4006381333932": 5}, "label 5: GTIN 4006381333932 ends in 2"),
        ({"40063813339": 5}, "label 5: a GTIN has"),
        ({"4006381333931": 5, "04006381333931": 6}, "GTIN 04006381333931 belongs to label 5 and to label 6"),
    ],
)
def test_wrong_numbers(labels, message):
    with pytest.raises(InputError, match=re.escape(message)):
        ProductNumbers(labels)


def test_a_gtin_is_found_in_all_its_lengths():
    assert ProductNumbers({"4006381333931": 5, "04006381333931": 5}).label_of("04006381333931") == 5
    assert ProductNumbers({}).label_of("04006381333931") is None
