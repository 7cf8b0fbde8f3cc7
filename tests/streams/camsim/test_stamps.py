from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevision.streams.camsim.reading import read_stamp
from edgevision.streams.camsim.stamps import CELLS, Stamp, band, band_height

NOW_NS = 1_800_000_000_123_000_000
YEAR_MS = 365 * 24 * 3600 * 1000


def luma(stamp: Stamp, height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture with the stamp's band over noise."""
    picture = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    rows = np.frombuffer(band(stamp, width, height), np.uint8).reshape(-1, width)
    picture[: len(rows)] = rows
    return picture


@given(st.integers(0, 2**20 - 1), st.integers(-YEAR_MS, YEAR_MS))
def test_cells_hold_number_and_time(number, away_ms):
    stamp = Stamp(number, NOW_NS + away_ms * 1_000_000)
    bits = stamp.bits()
    assert len(bits) == CELLS
    assert Stamp.from_bits(bits, NOW_NS) == stamp


def test_time_is_cut_to_milliseconds_and_numbers_begin_anew():
    stamp = Stamp(2**20 + 5, NOW_NS + 999_999)
    assert Stamp.from_bits(stamp.bits(), NOW_NS) == Stamp(5, NOW_NS)


@given(st.integers(0, CELLS - 1), st.integers(0, 2**20 - 1))
def test_one_wrong_cell_is_seen(cell, number):
    bits = Stamp(number, NOW_NS).bits()
    bits[cell] = not bits[cell]
    assert Stamp.from_bits(bits, NOW_NS) is None


@pytest.mark.parametrize(
    "picture", [np.zeros((96, 320)), np.full((96, 320), 255), np.full((96, 100), 9), np.zeros((20, 320))]
)
def test_a_picture_without_stamp_has_none(picture):
    assert read_stamp(picture.astype(np.uint8), NOW_NS) is None


@pytest.mark.parametrize("size", [(192, 320), (360, 640), (720, 1280), (481, 767), (240, 256)], ids=str)
@pytest.mark.parametrize("quality", [30, 60, 95])
def test_stamps_come_through_jpeg(size, quality):
    import cv2

    for number in range(8):
        stamp = Stamp(number * 130_003, NOW_NS + number * 40_000_000)
        data = cv2.imencode(".jpg", luma(stamp, *size, number), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        assert read_stamp(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), NOW_NS) == stamp


@pytest.mark.requires("av")
@pytest.mark.parametrize("size", [(192, 320), (360, 640)], ids=str)
@pytest.mark.parametrize("crf", ["23", "35"])
def test_stamps_come_through_h264(tmp_path, size, crf):
    from films import encoded, i420

    from edgevision.streams.sources.film import VideoFile

    stamps = [Stamp(number, NOW_NS + number * 40_000_000) for number in range(20)]
    quiet = [luma(stamp, *size) for stamp in stamps]  # below the band nothing changes, as with a still scene
    path = tmp_path / "film.h264"
    path.write_bytes(encoded([i420(one) for one in quiet], options={"preset": "ultrafast", "crf": crf, "g": "20"}))
    film = VideoFile("film", path)
    film.open()
    assert [read_stamp(film.read().frame.planes[0], NOW_NS) for _ in stamps] == stamps
    film.close()


@pytest.mark.parametrize("height", [32, 192, 361, 2160])
def test_the_band_is_even_and_no_more_than_half(height):
    assert band_height(height) % 2 == 0
    assert band_height(height) <= height / 2
