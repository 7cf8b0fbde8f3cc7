"""Barcodes in pictures, read by zxing-cpp; what it misreads is found by reading a picture in several ways.

A check digit lets one misreading in ten pass. So a barcode without error correction counts only when two passes over the
picture (as it is, with more contrast, enlarged) agree on it, and on no other in its place as often.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.decode.inputs import Picture, to_frame
from edgevision.errors import BarcodeError, InputError, MissingExtraError
from edgevision.frames import ImageArray
from edgevision.tracking.check_digits import gtin14
from edgevision.tracking.luma import luma

# Our name → zxing-cpp's. Not offered: interleaved 2 of 5 but ITF-14, since a part of one reads as a whole one; Micro QR and
# others that are seen where none is and that no product carries.
FORMATS = {
    "ean-13": "EAN13", "ean-8": "EAN8", "upc-a": "UPCA", "upc-e": "UPCE", "databar": "DataBar", "code-128": "Code128",
    "qr": "QRCode", "data-matrix": "DataMatrix", "itf-14": "ITF14", "code-39": "Code39", "code-93": "Code93",
    "codabar": "Codabar", "pdf-417": "PDF417", "aztec": "Aztec",
}  # fmt: skip

# What products in shops carry, now and after the move to 2-D codes. Every one has check characters. Each further format
# costs time and can be misread: ITF-14 stands on cartons, and is the weakest of the linear ones.
RETAIL = ("ean-13", "ean-8", "upc-a", "upc-e", "databar", "code-128", "qr", "data-matrix")
# What pallets and cartons carry besides.
LOGISTICS = (*RETAIL, "itf-14")

# Digits of what holds a GTIN and nothing else, as zxing-cpp gives it: UPC-A and UPC-E as EAN-13. Asked for ITF-14, it also
# gives interleaved 2 of 5 of other lengths.
_GTIN_DIGITS = {"ean-13": 13, "ean-8": 8, "upc-a": 13, "upc-e": 13, "itf-14": 14}
_CORRECTED = frozenset(["qr", "data-matrix", "pdf-417", "aztec"])  # Reed–Solomon: what is read is right
_OURS = {theirs: ours for ours, theirs in FORMATS.items()} | {"ITF": "itf-14"}
# Enlarged beyond this, a picture is large enough as it is.
_MAX_ENLARGED_PIXELS = 2_000_000
_MAX_TEXTS = 32  # of one track: a screen in the picture may show a new code each second


@dataclass(frozen=True)
class Pass:
    """One way to look at a picture: ``enlarge`` times as large in each direction, ``contrast`` evened out locally or not."""

    enlarge: int = 1
    contrast: bool = False


QUICK = (Pass(), Pass(contrast=True))
THOROUGH = (*QUICK, Pass(2, contrast=True), Pass(2), Pass(3, contrast=True))


@dataclass(frozen=True, eq=False)
class Barcode:
    """One barcode. ``text``: its content; in element strings of GS1, the character GS (``"\\x1d"``) separates values.
    ``symbology``: its identifier in ISO/IEC 15424, such as ``]E0``. ``corners``: float32 [4, 2], x and y of left upper, right
    upper, right lower and left lower corner as the barcode is read, in pixels of the picture. ``passes``: how many agreed."""

    format: str
    text: str
    symbology: str
    corners: npt.NDArray[np.float32]
    passes: int = 1

    @property
    def key(self) -> tuple[str, str]:
        """Format and text: what two readings of one barcode have in common."""
        return self.format, self.text

    @property
    def gs1_text(self) -> str:
        """Symbology identifier and text: what ``parse_gs1`` takes."""
        return f"{self.symbology}{self.text}"


class BarcodeReader:
    """Finds barcodes of ``formats`` in pictures. Thread-safe; zxing-cpp lets other threads run meanwhile.

    ``passes``: the ways in which a picture is read, until all that was seen is sure; those that would enlarge it to over 2
    million pixels are left out. ``agree``: how many of them have to give the same text where the format has no error
    correction; 1 believes each reading that no other contradicts.

    Raises InputError for names that are not in ``FORMATS``, MissingExtraError without zxing-cpp.

    >>> reader = BarcodeReader()  # doctest: +SKIP
    >>> [barcode.text for barcode in reader.read("photo.jpg")]  # doctest: +SKIP
    ['4006381333931']
    """

    def __init__(self, formats: Iterable[str] = RETAIL, *, passes: Sequence[Pass] = THOROUGH, agree: int = 2) -> None:
        self.formats = tuple(formats)
        self.passes = tuple(passes)
        self.agree = agree
        if isinstance(formats, str) or not self.formats or not set(self.formats) <= set(FORMATS):
            raise InputError(f"formats are some of {', '.join(FORMATS)}; got {formats!r}")
        if not 1 <= agree <= len(self.passes):
            raise InputError(f"agree is 1 to the number of passes, {len(self.passes)}; got {agree}")
        self._zxing = _zxing()
        self._wanted = [getattr(self._zxing.BarcodeFormat, FORMATS[name]) for name in self.formats]

    def read(self, picture: Picture) -> list[Barcode]:
        """All barcodes that are sure, in the order they were first seen; the same text in two places is two of them.

        ``picture``: what ``Model.predict`` takes; of a track, the picture in a ``Frame`` with format GRAY. Raises InputError.
        """
        image = luma(to_frame(picture))
        seen: list[Barcode] = []
        sure: list[Barcode] = []
        for one in self.passes:
            if one.enlarge > 1 and one.enlarge**2 * image.size > _MAX_ENLARGED_PIXELS:
                continue
            seen += self._read_once(image, one)
            sure, in_doubt = settle(seen, self.agree)
            if sure and not in_doubt:
                break
        return sure

    def _read_once(self, image: ImageArray, one: Pass) -> list[Barcode]:
        found = self._zxing.read_barcodes(_prepared(image, one), self._wanted, text_mode=self._zxing.TextMode.Plain)
        barcodes: list[Barcode] = []
        for result in found:
            barcode = _barcode(result, one.enlarge)
            known = any(_is_same(barcode, other) for other in barcodes)  # a pass has one voice
            if barcode.format in self.formats and _may_be(barcode) and not known:
                barcodes.append(barcode)
        return barcodes


def settle(seen: Sequence[Barcode], agree: int) -> tuple[list[Barcode], list[Barcode]]:
    """Of readings of one picture by several passes: which are sure, and which are in doubt still.

    ``seen``: of each pass no text twice in one place. Sure is what the format corrected errors of, and what ``agree`` passes
    gave, if no other text was given in the same place as often. What lies in the place of a sure one and is another is wrong:
    it is in neither list. The same text in two places is two barcodes.
    """
    groups: list[list[Barcode]] = []  # one for each text in one place
    for barcode in seen:
        group = next((group for group in groups if _is_same(barcode, group[0])), None)
        if group is None:
            groups.append([barcode])
        else:
            group.append(barcode)
    sure, others = [], []
    for group in groups:
        rivals = [other for other in groups if other[0].key != group[0].key and _meet(other, group)]
        agreed = len(group) >= agree and all(len(rival) < len(group) for rival in rivals)
        if agreed or group[0].format in _CORRECTED:
            sure.append(group)
        else:
            others.append(group)
    in_doubt = [group for group in others if not any(_meet(group, one) for one in sure)]
    return [replace(group[0], passes=len(group)) for group in sure], [group[0] for group in in_doubt]


class AgreedBarcodes:
    """What several views of a track agree on. ``views``: how many of them must give the same text, where the format has no
    error correction. Memory is bounded: ``max_tracks`` tracks, of each 32 texts; what was read longest ago goes first."""

    def __init__(self, views: int = 2, *, max_tracks: int = 1000) -> None:
        if views < 1 or max_tracks < 1:
            raise InputError(f"expected views and max_tracks ≥ 1, got {views} and {max_tracks}")
        self._views = views
        self._max_tracks = max_tracks
        # Of each track, by format and text: the latest barcode, and in how many views it was. What was read last stands last.
        self._tracks: OrderedDict[int, OrderedDict[tuple[str, str], tuple[Barcode, int]]] = OrderedDict()

    def add(self, track: int, barcodes: Iterable[Barcode]) -> None:
        """What one view of the track shows."""
        seen = self._tracks.setdefault(track, OrderedDict())
        self._tracks.move_to_end(track)
        for key, barcode in {barcode.key: barcode for barcode in barcodes}.items():
            count = seen[key][1] if key in seen else 0
            seen[key] = (barcode, count + 1)
            seen.move_to_end(key)
        while len(seen) > _MAX_TEXTS:
            seen.popitem(last=False)
        while len(self._tracks) > self._max_tracks:
            self._tracks.popitem(last=False)

    def of(self, track: int) -> list[Barcode]:
        """The barcodes of a track that enough views have shown, those that most have shown first."""
        seen = sorted(self._tracks.get(track, {}).values(), key=lambda one: one[1], reverse=True)
        return [barcode for barcode, count in seen if count >= self._views or barcode.format in _CORRECTED]

    def forget(self, track: int) -> None:
        """Give up what is known of a track, such as one that has ended."""
        self._tracks.pop(track, None)


def _zxing() -> Any:
    try:
        import zxingcpp
    except ImportError as error:
        raise MissingExtraError("zxing-cpp", "barcode", "reading barcodes") from error
    return zxingcpp


def _prepared(image: ImageArray, one: Pass) -> ImageArray:
    import cv2

    if one.enlarge > 1:
        image = np.asarray(
            cv2.resize(image, None, fx=one.enlarge, fy=one.enlarge, interpolation=cv2.INTER_CUBIC), np.uint8
        )
    if one.contrast:
        image = np.asarray(cv2.createCLAHE(3.0, (8, 8)).apply(image), np.uint8)
    return np.ascontiguousarray(image)


def _barcode(result: Any, enlarge: int) -> Barcode:
    position = result.position
    points = (position.top_left, position.top_right, position.bottom_right, position.bottom_left)
    corners = np.array([(point.x, point.y) for point in points], np.float32) / np.float32(enlarge)
    theirs = result.format.name if result.format.name in _OURS else result.symbology.name
    return Barcode(_OURS.get(theirs, theirs), result.text, result.symbology_identifier, corners)


def _may_be(barcode: Barcode) -> bool:
    """Whether a number that has to be a GTIN is one."""
    digits = _GTIN_DIGITS.get(barcode.format)
    if digits is None:
        return True
    try:
        gtin14(barcode.text)
    except BarcodeError:
        return False
    return len(barcode.text) == digits


def _is_same(one: Barcode, other: Barcode) -> bool:
    """Whether two readings are of one barcode: the same text, the middles less than half a length apart. Linear ones may be
    read at any height of their bars."""
    if one.key != other.key:
        return False
    length = max(float(np.ptp(barcode.corners, axis=0).max()) for barcode in (one, other))
    apart = float(np.linalg.norm(one.corners.mean(axis=0) - other.corners.mean(axis=0)))
    return apart <= max(1.0, length / 2)


def _meet(group: Iterable[Barcode], others: Sequence[Barcode]) -> bool:
    """Whether a reading of each lie in the same place: the middle of one within the other's bounds, a pixel more on each
    side, as linear ones may be flat."""
    return any(_holds(one, other) or _holds(other, one) for one in group for other in others)


def _holds(outer: Barcode, inner: Barcode) -> bool:
    middle = inner.corners.mean(axis=0)
    low, high = outer.corners.min(axis=0) - 1, outer.corners.max(axis=0) + 1
    return bool(np.all((low <= middle) & (middle <= high)))
