"""What the simulated camera's process does without GStreamer: its pictures and its pipeline."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgevision.streams.camsim.reading import read_stamp
from edgevision.streams.camsim.server import CODECS, CameraSettings, Painter, launch_line
from edgevision.streams.camsim.stamps import Stamp, band_height

NOW_NS = 1_800_000_000_123_000_000


def planes(picture: bytes, height: int, width: int) -> np.ndarray:
    return np.frombuffer(bytes(picture), np.uint8).reshape(height * 3 // 2, width)


def test_pictures_move_and_carry_their_stamp():
    painter = Painter(320, 192, None)
    pictures = [planes(painter.picture(number, NOW_NS), 192, 320) for number in range(3)]
    for number, picture in enumerate(pictures):
        assert read_stamp(picture[:192], NOW_NS) == Stamp(number, NOW_NS)
        assert (picture[192:] == 128).all()
    rows = band_height(192)
    assert (pictures[0][rows:192] != pictures[1][rows:192]).any()


def test_a_film_is_shown_in_turn_below_the_stamp(tmp_path):
    film = np.random.default_rng(0).integers(0, 256, (3, 288, 320), dtype=np.uint8)
    path = tmp_path / "film.i420"
    path.write_bytes(film.tobytes() + b"rest")
    painter = Painter(320, 192, str(path))
    rows = band_height(192)
    for number in range(7):
        picture = planes(painter.picture(number, NOW_NS), 192, 320)
        np.testing.assert_array_equal(picture[rows:], film[number % 3][rows:])
        assert read_stamp(picture[:192], NOW_NS).number == number
    with pytest.raises(ValueError, match="no whole I420 picture"):
        Painter(640, 360, str(path))


@pytest.mark.parametrize("codec", CODECS)
def test_the_announced_rate_stands_in_the_pipeline_and_the_real_one_does_not(codec):
    line = launch_line(CameraSettings(codec=codec, fps=22.4, announced_fps=25, key_frame_s=2))
    assert "framerate=25/1" in line
    assert "22.4" not in line
    assert codec == "jpeg" or "key-int-max=50" in line


def test_it_needs_nothing_but_the_standard_library():
    """The system's Python has none of our packages."""
    code = (
        "import sys; sys.path.append(sys.argv[1]); import edgevision.streams.camsim.server; "
        "print(*sorted({name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names))"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run([sys.executable, "-S", "-E", "-c", code, root], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"__main__", "edgevision"}
