"""Video files, read back by OpenCV and PyAV: the pictures, their pace, and what a killed program leaves."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from stream_items import T0_NS, detected, result

from edgevision.errors import InputError
from edgevision.frames import Frame
from edgevision.streams.sinks.video import VideoSink

pytestmark = pytest.mark.requires("av")

ROOT = Path(__file__).parents[3]


def shot(number: int, camera: str = "till", *, size: tuple[int, int] = (48, 400), captured_ns: int | None = -1):
    image = np.full((*size, 3), 40 + 10 * number, np.uint8)
    return result(number, camera, detected(), frame=Frame.from_array(image), captured_ns=captured_ns)


def films(path: Path) -> list[tuple[float, tuple[int, ...], float]]:
    """(seconds, size, brightness) of each frame."""
    import av

    with av.open(str(path)) as container:
        return [
            (float(frame.time), (frame.height, frame.width), float(frame.to_ndarray(format="gray").mean()))
            for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_frames_are_there_with_the_pace_in_which_they_were_captured(tmp_path, suffix):
    sink = VideoSink(tmp_path / "new" / f"shop{suffix}")
    sink.open()
    times_ms = [0, 40, 80, 200, 240, 5000, 5040]
    for number, ms in enumerate(times_ms):
        sink.write(shot(number, captured_ns=T0_NS + ms * 1_000_000))
    sink.write(result(99))  # without a frame: nothing to show
    sink.close(5.0)
    seen = films(tmp_path / "new" / f"shop-till{suffix}")
    assert [size for _, size, _ in seen] == [(48, 400)] * 7
    pauses = np.diff([seconds for seconds, _, _ in seen])
    assert pauses == pytest.approx([0.04, 0.04, 0.12, 0.04, 1.0, 0.04], abs=0.002)  # a standstill is cut to a second
    assert [light for _, _, light in seen] == pytest.approx([40 + 10 * n for n in range(7)], abs=4)


def test_frames_without_a_time_come_25_a_second(tmp_path):
    sink = VideoSink(tmp_path / "shop.mkv")
    sink.open()
    for number in range(4):
        sink.write(shot(number, captured_ns=None))
    sink.close(5.0)
    assert np.diff([seconds for seconds, _, _ in films(tmp_path / "shop-till.mkv")]) == pytest.approx(
        [0.04] * 3, abs=0.002
    )


def test_each_camera_has_its_file_and_each_size_a_new_one(tmp_path):
    sink = VideoSink(tmp_path / "shop.mkv")
    sink.open()
    for number in range(3):
        sink.write(shot(number, "a/b"))
        sink.write(shot(number, "till"))
    sink.write(shot(3, "till", size=(33, 401)))  # odd: a row and a column are left out
    sink.close(5.0)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3
    assert names[1:] == ["shop-till-2.mkv", "shop-till.mkv"]
    assert names[0].startswith("shop-a_b_")
    assert films(tmp_path / "shop-till-2.mkv")[0][1] == (32, 400)
    assert len(films(tmp_path / "shop-till.mkv")) == 3


def test_on_a_full_disk_no_file_follows_another(tmp_path):
    """Each try begins the same file again; and the films of the other cameras are whole."""
    (tmp_path / "shop-till.mkv").symlink_to("/dev/full")
    sink = VideoSink(tmp_path / "shop.mkv")
    for number in range(3):
        sink.open()
        with pytest.raises(OSError, match="No space left"):
            sink.write(shot(number))
        sink.write(shot(number, "door"))
        with contextlib.suppress(OSError):
            sink.close(0.0)
    assert "shop-till-2.mkv" not in {path.name for path in tmp_path.iterdir()}
    (tmp_path / "shop-till.mkv").unlink()
    sink.open()
    sink.write(shot(5))
    sink.close(5.0)
    for name in ("till", "door", "door-2", "door-3"):
        assert len(films(tmp_path / f"shop-{name}.mkv")) == 1


CHILD = """
import sys
sys.path.insert(0, "tests/support"); sys.path.insert(0, "tests/streams/sinks")
import os, signal
from test_video import shot
from edgevision.streams.sinks.video import VideoSink
sink = VideoSink(sys.argv[1])
sink.open()
for number in range(200):
    sink.write(shot(number % 20, captured_ns=1790000000000000000 + number * 40_000_000))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_what_a_killed_program_leaves_can_be_watched(tmp_path, suffix):
    subprocess.run([sys.executable, "-c", CHILD, str(tmp_path / f"x{suffix}")], cwd=ROOT, check=False)
    assert len(films(tmp_path / f"x-till{suffix}")) >= 100


def test_a_name_without_a_known_suffix(tmp_path):
    with pytest.raises(InputError, match=r"\.mkv or \.mp4"):
        VideoSink(tmp_path / "shop.avi")
