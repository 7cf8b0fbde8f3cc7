from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest

from edgevision.demo.rendered_camera import rendered_camera
from edgevision.demo.world.worlds import make_world
from edgevision.errors import InputError, SourceError
from edgevision.streams.options import CameraOptions
from edgevision.streams.sources.rendered import RenderedCamera


def clock_face(time_s: float) -> np.ndarray:
    return np.full((4, 6, 3), round(time_s * 10), np.uint8)


def test_moments_are_evenly_apart_and_end():
    camera = RenderedCamera("shelf", clock_face, fps=10, seconds=0.5, paced=False)
    camera.open()
    frames = [camera.read() for _ in range(6)]
    assert [int(one.frame.planes[0][0, 0, 0]) for one in frames[:5]] == [0, 1, 2, 3, 4]
    assert frames[5] is None
    assert all(one.captured_s <= one.received_s for one in frames[:5])
    assert all(one.frame.captured_ns > 1_700_000_000_000_000_000 for one in frames[:5])


def test_a_slow_renderer_misses_moments_and_is_never_late():
    pause = threading.Event()

    def slow(time_s: float) -> np.ndarray:
        pause.wait(0.12)
        return clock_face(time_s)

    camera = RenderedCamera("shelf", slow, fps=100)
    camera.open()
    moments = [int(camera.read().frame.planes[0][0, 0, 0]) for _ in range(4)]
    assert all(later > earlier for earlier, later in pairwise(moments))
    assert moments[-1] >= 3


def test_a_wait_can_be_interrupted():
    camera = RenderedCamera("shelf", clock_face, fps=0.01)
    with pytest.raises(SourceError, match="not open"):
        camera.read()
    camera.open()
    camera.read()
    threading.Timer(0.05, camera.interrupt).start()
    assert camera.read() is None


def test_the_demos_scenes_are_cameras():
    camera = rendered_camera(CameraOptions("belt", "rendered:conveyor?seed=3&fps=12&height=120&width=160"))
    camera.open()
    frame = camera.read().frame
    assert (frame.height, frame.width, frame.camera) == (120, 160, "belt")
    np.testing.assert_array_equal(frame.planes[0], make_world("conveyor", 3, 120, 160).at(0.0).frame)
    assert camera.announced_fps == 12


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("rendered:garden", "shelf, conveyor, tray, till, got 'garden'"),
        ("rendered:till?width=3", "fps, seed, side, got 'width'"),
        ("rendered:till?side=10", "64 to 2000"),
        ("rendered:shelf?size=3", "got 'size'"),
        ("rendered:shelf?seed=x", "numbers"),
        ("rendered:shelf?fps=0", "more than 0"),
    ],
)
def test_a_scene_that_cannot_be_is_told(source, words):
    with pytest.raises(InputError, match=words):
        rendered_camera(CameraOptions("belt", source))
