"""Product and barcode together: do they say the same, and may the product still be sold?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from edgevision.errors import BarcodeError, InputError
from edgevision.tracking.check_digits import gtin14
from edgevision.tracking.element_strings import without_repeats
from edgevision.tracking.gs1 import Gs1Data, gs1_data, parse_gs1


class ProductNumbers:
    """Which label a GTIN belongs to, as the shop has it. Several GTINs may belong to one label.

    ``labels``: GTIN of 8, 12, 13 or 14 digits → the label's id. Raises InputError for a number that is no GTIN, and for one
    that stands there in two lengths with different labels.

    >>> ProductNumbers({"4006381333931": 17}).label_of("04006381333931")
    17
    """

    def __init__(self, labels: Mapping[str, int]) -> None:
        self._labels: dict[str, int] = {}
        for number, label in labels.items():
            try:
                gtin = gtin14(number)
            except BarcodeError as error:
                raise InputError(f"label {label}: {error}") from None
            if self._labels.setdefault(gtin, label) != label:
                raise InputError(
                    f"GTIN {gtin} belongs to label {self._labels[gtin]} and to label {label}; keep one of them"
                )

    def label_of(self, gtin: str) -> int | None:
        """The id of the label that a GTIN of 14 digits belongs to; None where the shop does not have it."""
        return self._labels.get(gtin)


@dataclass(frozen=True)
class CheckedProduct:
    """A product that was recognised, with what its barcode says.

    ``label``: the id that the model gave, None where it did not know. ``code``: the barcode's content, None where none was
    readable. ``barcode_label``: the id that the barcode's GTIN belongs to. ``conflict``: both ids are there and differ.
    ``expired``: whether the day given is later than the expiry date; None where the barcode has none. ``unreadable``: what
    is wrong with barcodes that break GS1's rules, which otherwise do not count.
    """

    label: int | None
    code: Gs1Data | None
    barcode_label: int | None
    conflict: bool
    expired: bool | None
    unreadable: tuple[str, ...] = ()


def check_product(label: int | None, texts: Iterable[str], numbers: ProductNumbers, on: date) -> CheckedProduct:
    """What the barcodes seen on one product say of it on the day ``on``.

    ``texts``: of each barcode what ``parse_gs1`` takes, such as ``Barcode.gs1_text``. Of several, the one that agrees with
    the label counts, then one whose GTIN the shop has, then one with a GTIN, then the first: a neighbour's barcode in
    the picture makes no conflict. Barcodes with the same GTIN count as one, for many packages have an EAN-13 and a QR code
    with the expiry date.

    >>> numbers = ProductNumbers({"09521234543213": 17})
    >>> check_product(18, ["]C1010952123454321317261101"], numbers, date(2026, 11, 27)).conflict
    True
    """
    codes: list[Gs1Data] = []
    unreadable: list[str] = []
    for text in texts:
        try:
            _add(codes, parse_gs1(text, on), on)
        except BarcodeError as error:
            unreadable.append(str(error))
    if not codes:
        return CheckedProduct(label, None, None, False, None, tuple(unreadable))
    code = _most_telling(label, codes, numbers)
    found = _label_of(code, numbers)
    conflict = label is not None and found is not None and found != label
    return CheckedProduct(label, code, found, conflict, code.expired(on), tuple(unreadable))


def _most_telling(label: int | None, codes: list[Gs1Data], numbers: ProductNumbers) -> Gs1Data:
    """The code that counts."""
    with_gtin = [code for code in codes if code.gtin is not None]
    known = [code for code in with_gtin if _label_of(code, numbers) is not None]
    agreeing = [code for code in known if _label_of(code, numbers) == label]
    return (agreeing or known or with_gtin or codes)[0]


def _add(codes: list[Gs1Data], code: Gs1Data, on: date) -> None:
    """Join ``code`` with the one that has its GTIN, or put it last. Raises BarcodeError where the two contradict each other."""
    for place, other in enumerate(codes):
        if code.gtin is not None and code.gtin == other.gtin:
            codes[place] = gs1_data(without_repeats([*other.elements, *code.elements]), on)
            return
    codes.append(code)


def _label_of(code: Gs1Data, numbers: ProductNumbers) -> int | None:
    return None if code.gtin is None else numbers.label_of(code.gtin)
