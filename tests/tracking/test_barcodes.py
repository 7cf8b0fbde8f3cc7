from __future__ import annotations

import re
from datetime import date

import numpy as np
import pytest

from edgevision.demo.barcode import draw_barcode, shop_number
from edgevision.errors import InputError
from edgevision.frames import Frame, PixelFormat
from edgevision.tracking.barcodes import (
    FORMATS,
    LOGISTICS,
    RETAIL,
    THOROUGH,
    AgreedBarcodes,
    Barcode,
    BarcodeReader,
    Pass,
    settle,
)
from edgevision.tracking.gs1 import parse_gs1


def reading(
    text: str, x: float = 0.0, y: float = 0.0, format: str = "ean-13", size: tuple[float, float] = (100, 40)
) -> Barcode:
    right, low = x + size[0], y + size[1]
    return Barcode(format, text, "]E0", np.array([(x, y), (right, y), (right, low), (x, low)], np.float32))


def texts(barcodes: list[Barcode]) -> list[str]:
    return [barcode.text for barcode in barcodes]


# ---- which readings are sure ----

# (readings of several passes, agree, sure, in doubt)
READINGS = [
    ([], 2, [], []),
    ([reading("A")], 2, [], ["A"]),
    ([reading("A")], 1, ["A"], []),
    ([reading("A"), reading("A", 2, 1)], 2, ["A"], []),
    ([reading("A"), reading("A"), reading("B")], 2, ["A"], []),  # B is wrong
    ([reading("B"), reading("A"), reading("A")], 2, ["A"], []),
    ([reading("A"), reading("A"), reading("B"), reading("B")], 2, [], ["A", "B"]),  # as often
    ([reading("A"), reading("B")], 1, [], ["A", "B"]),
    ([reading("A"), reading("A", 0, 60)], 2, [], ["A", "A"]),  # two of the same, each seen once
    ([reading("A"), reading("A", 0, 60), reading("A"), reading("A", 0, 60)], 2, ["A", "A"], []),
    ([reading("A", size=(100, 0)), reading("A", 0, 39, size=(100, 0))], 2, ["A"], []),  # first and last line of the bars
    ([reading("A"), reading("A"), reading("B", 0, 60)], 2, ["A"], ["B"]),  # another one, below
    ([reading("A"), reading("A"), reading("B", 0, 60), reading("B", 0, 60)], 2, ["A", "B"], []),
    ([reading("A"), reading("A", format="upc-e")], 2, [], ["A", "A"]),  # the same text in another format is another
    ([reading("A", format="qr")], 2, ["A"], []),  # it corrects errors
    ([reading("A", format="qr"), reading("B")], 2, ["A"], []),
    ([reading("A", size=(100, 0)), reading("A", y=1, size=(100, 0))], 2, ["A"], []),  # one line of the bars
    ([reading("A", size=(100, 0)), reading("B", y=0.5, size=(100, 0))], 1, [], ["A", "B"]),
    ([reading("A", 0), reading("B", 45, size=(10, 40))], 1, [], ["A", "B"]),  # a part read as a whole
]  # fmt: skip


@pytest.mark.parametrize(("seen", "agree", "sure", "in_doubt"), READINGS)
def test_sure_and_in_doubt(seen, agree, sure, in_doubt):
    found = settle(seen, agree)
    assert (texts(found[0]), texts(found[1])) == (sure, in_doubt)


def test_passes_that_agree_are_counted():
    (sure,) = settle([reading("A"), reading("B"), reading("A", 3), reading("A", 5)], 2)[0]
    assert (sure.text, sure.passes) == ("A", 3)
    np.testing.assert_array_equal(sure.corners, reading("A").corners)


# ---- views of a track ----


def test_views_have_to_agree():
    agreed = AgreedBarcodes(views=2)
    agreed.add(7, [reading("A"), reading("A", 200)])  # twice in one view counts once
    assert agreed.of(7) == []
    agreed.add(7, [reading("B")])
    agreed.add(7, [])
    agreed.add(8, [reading("A")])
    assert agreed.of(7) == agreed.of(8) == []
    agreed.add(7, [reading("B", 5)])
    assert texts(agreed.of(7)) == ["B"]
    agreed.add(7, [reading("A")])
    agreed.add(7, [reading("A")])
    assert texts(agreed.of(7)) == ["A", "B"]
    assert agreed.of(7)[1].corners[0, 0] == 5  # where it was seen last
    agreed.forget(7)
    assert agreed.of(7) == []


def test_one_view_is_enough_for_what_corrects_errors():
    agreed = AgreedBarcodes(views=3)
    agreed.add(7, [reading("A", format="data-matrix"), reading("B")])
    assert texts(agreed.of(7)) == ["A"]


def test_tracks_are_bounded():
    agreed = AgreedBarcodes(views=1, max_tracks=2)
    for track in (1, 2, 1, 3):
        agreed.add(track, [reading("A")])
    assert [bool(agreed.of(track)) for track in (1, 2, 3)] == [True, False, True]
    assert len(agreed._tracks) == 2


def test_texts_of_a_track_are_bounded():
    agreed = AgreedBarcodes(views=1)
    for number in range(100):
        agreed.add(7, [reading("A"), reading(str(number), format="qr")])
    assert len(agreed.of(7)) == 32
    assert {"A", "99"} <= set(texts(agreed.of(7)))


@pytest.mark.parametrize("wrong", [{"views": 0}, {"max_tracks": 0}])
def test_wrong_options_of_views(wrong):
    with pytest.raises(InputError, match="≥ 1"):
        AgreedBarcodes(**wrong)


# ---- reading ----


def on_grey(tile: np.ndarray, margin: int = 60) -> np.ndarray:
    return np.pad(tile, ((margin, margin), (margin, margin), (0, 0)), constant_values=200)


def written(format: str, content: str, **options: object) -> np.ndarray:
    import zxingcpp

    barcode = zxingcpp.create_barcode(content, getattr(zxingcpp.BarcodeFormat, FORMATS[format]), **options)
    tile = np.array(zxingcpp.write_barcode_to_image(barcode, scale=4))
    return on_grey(np.repeat(tile[..., None], 3, 2))


# Drawn by the demo's own code, which shares nothing with zxing-cpp.
NUMBER = shop_number(20, 1234)
PHOTO = on_grey(draw_barcode(NUMBER, 3, 90))


@pytest.mark.requires("zxing")
class TestReading:
    def test_an_ean_13_and_where_it_is(self):
        (found,) = BarcodeReader().read(PHOTO)
        assert (found.format, found.text, found.symbology, found.passes) == ("ean-13", NUMBER, "]E0", 2)
        assert found.gs1_text == f"]E0{NUMBER}"
        # 60 px of grey, 11 modules of 3 px of quiet zone, 2 modules above; 95 modules of bars, 90 px high
        bars = np.array([(93, 66), (93 + 285, 66), (93 + 285, 66 + 90), (93, 66 + 90)], np.float32)
        assert found.corners.dtype == np.float32
        np.testing.assert_allclose(found.corners, bars, atol=9)

    def test_enlarged_passes_say_the_same_place(self):
        places = [BarcodeReader(passes=(one,), agree=1).read(PHOTO)[0].corners for one in THOROUGH]
        for place in places:
            np.testing.assert_allclose(place, places[0], atol=4)

    @pytest.mark.parametrize("turns", [0, 1, 2, 3])
    @pytest.mark.parametrize("format", [PixelFormat.BGR, PixelFormat.GRAY, PixelFormat.NV12])
    def test_turned_and_in_every_kind_of_frame(self, turns, format):
        picture = np.ascontiguousarray(np.rot90(PHOTO, turns))
        height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
        picture = np.ascontiguousarray(picture[:height, :width])
        grey = np.ascontiguousarray(picture[..., 1])
        planes = {
            PixelFormat.BGR: (picture,), PixelFormat.GRAY: (grey,),
            PixelFormat.NV12: (grey, np.full((height // 2, width // 2, 2), 128, np.uint8)),
        }[format]  # fmt: skip
        found = BarcodeReader().read(Frame(planes, height, width, format))
        assert texts(found) == [NUMBER]

    def test_several_in_one_picture(self):
        other = shop_number(21, 99)
        three = np.vstack([PHOTO, on_grey(draw_barcode(other, 3, 90)), PHOTO])
        found = sorted(BarcodeReader().read(three), key=lambda barcode: float(barcode.corners[0, 1]))
        assert texts(found) == [NUMBER, other, NUMBER]

    @pytest.mark.parametrize(
        ("format", "content", "options", "expected"),
        [
            ("ean-8", "96385074", {}, "]E496385074"),
            ("upc-e", "01234565", {}, "]E00012345000065"),
            ("code-128", "(01)09521234543213(10)ABC(17)261231", {"gs1": True}, "]C1010952123454321310ABC\x1d17261231"),
            ("qr", "(01)09521234543213(10)ABC(17)261231", {"gs1": True}, "]Q3010952123454321310ABC\x1d17261231"),
            ("data-matrix", "(01)09521234543213(10)ABC(17)261231", {"gs1": True}, "]d2010952123454321310ABC\x1d17261231"),
            ("qr", "https://id.gs1.org/01/09521234543213", {}, "]Q1https://id.gs1.org/01/09521234543213"),
            ("itf-14", "10614141000415", {}, "]I110614141000415"),
        ],
    )  # fmt: skip
    def test_every_kind_comes_as_gs1_wants_it(self, format, content, options, expected):
        (found,) = BarcodeReader(LOGISTICS).read(written(format, content, **options))
        assert (found.format, found.gs1_text) == (format, expected)
        assert parse_gs1(found.gs1_text, date(2026, 11, 27)).gtin is not None

    @pytest.mark.parametrize(
        ("formats", "expected"),
        [(RETAIL, [NUMBER]), (["ean-13"], [NUMBER]), (["ean-8", "qr"], []), (["code-128"], [])],
    )
    def test_only_the_formats_asked_for_are_read(self, formats, expected):
        assert texts(BarcodeReader(formats).read(PHOTO)) == expected

    @pytest.mark.parametrize(
        ("format", "content"), [("code-39", "12345"), ("codabar", "A12345A"), ("pdf-417", "12345"), ("aztec", "12345")]
    )
    def test_others_are_read_when_asked_for(self, format, content):
        picture = written(format, content)
        assert BarcodeReader().read(picture) == []
        assert texts(BarcodeReader([format]).read(picture)) == [content]

    @pytest.mark.parametrize("content", ["1234567895", "12345670"])
    def test_interleaved_2_of_5_of_another_length_is_no_itf_14(self, content):
        """zxing-cpp gives it, its check digit being right."""
        import zxingcpp

        tile = np.array(
            zxingcpp.write_barcode_to_image(zxingcpp.create_barcode(content, zxingcpp.BarcodeFormat.ITF), scale=4)
        )
        assert zxingcpp.read_barcodes(tile, [zxingcpp.BarcodeFormat.ITF14])
        assert BarcodeReader(["itf-14"]).read(on_grey(np.repeat(tile[..., None], 3, 2))) == []

    @pytest.mark.parametrize("shape", [(1, 1, 3), (1, 100, 3), (480, 640, 3)])
    @pytest.mark.parametrize("seed", range(3))
    def test_nothing_is_read_where_nothing_is(self, shape, seed):
        assert BarcodeReader(LOGISTICS).read(np.random.default_rng(seed).integers(0, 256, shape, np.uint8)) == []

    def test_little_contrast_needs_the_passes_for_it(self):
        """Grey on grey, brighter to the right: the plain pass sees nothing, two others do."""
        shade = np.linspace(0, 60, PHOTO.shape[1])[None, :, None]
        pale = (120 + 0.1 * (PHOTO - 200.0) + shade).astype(np.uint8)
        assert BarcodeReader(passes=(Pass(),), agree=1).read(pale) == []
        assert texts(BarcodeReader().read(pale)) == [NUMBER]

    def test_large_pictures_are_not_enlarged(self, monkeypatch):
        reader = BarcodeReader()
        tried = []
        monkeypatch.setattr(BarcodeReader, "_read_once", lambda self, image, one: tried.append(one) or [])
        reader.read(np.zeros((1080, 1920, 3), np.uint8))
        assert tried == [Pass(), Pass(contrast=True)]
        tried.clear()
        reader.read(np.zeros((200, 300, 3), np.uint8))
        assert tuple(tried) == THOROUGH

    def test_it_stops_when_all_is_sure(self, monkeypatch):
        reader = BarcodeReader()
        tried = []
        read_once = BarcodeReader._read_once
        monkeypatch.setattr(
            BarcodeReader, "_read_once", lambda self, image, one: (tried.append(one), read_once(self, image, one))[1]
        )
        reader.read(PHOTO)
        assert tuple(tried) == THOROUGH[:2]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"formats": ["ean13"]}, "formats are some of ean-13"),
            ({"formats": "ean-13"}, "formats are some of"),
            ({"formats": []}, "formats are some of"),
            ({"agree": 0}, "agree is 1 to"),
            ({"agree": 6}, "agree is 1 to the number of passes, 5; got 6"),
            ({"passes": ()}, "agree is 1 to"),
        ],
    )
    def test_wrong_options(self, options, message):
        with pytest.raises(InputError, match=re.escape(message)):
            BarcodeReader(**options)

    def test_what_is_no_picture_is_refused(self):
        with pytest.raises(InputError):
            BarcodeReader().read(12)  # type: ignore[arg-type]
