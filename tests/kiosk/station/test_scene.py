"""What a Station sees without the model."""

from __future__ import annotations

import numpy as np
import pytest
from station_frames import HEIGHT, WIDTH, frame, picture, place, with_hand, with_product

from edgevision.errors import InputError
from edgevision.frames import ColorEncoding, Frame, MemoryKind, PixelFormat
from edgevision.kiosk.events import BlockedReason
from edgevision.kiosk.station.cells import CELLS, cells_of
from edgevision.kiosk.station.options import StationOptions
from edgevision.kiosk.station.scene import Scene

DT = 1 / 15


def learnt(seconds: float = 1.0) -> tuple[Scene, int]:
    """A scene that knows its empty place, and the number of its next frame."""
    scene, count = Scene(StationOptions()), int(seconds / DT)
    for index in range(count):
        scene.see(frame(place(index)), index * DT)
    scene.learn(count * DT)
    return scene, count


def test_noise_is_no_movement_and_no_product():
    scene, count = learnt()
    for index in range(count, count + 150):
        sight = scene.see(frame(place(index)), index * DT)
        assert (sight.still_since_s, sight.boxes, sight.unseen) == (0.0, [], None)


def test_a_product_is_where_it_lies():
    scene, count = learnt()
    sight = scene.see(frame(with_product(place(99), 60, 40, 36)), count * DT)
    assert sight.still_since_s == count * DT
    (box,) = sight.boxes
    assert np.abs(np.array(box) - (60, 40, 96, 76)).max() <= 3
    assert not sight.reaches_out
    later = scene.see(frame(with_product(place(100), 60, 40, 36)), (count + 1) * DT)
    assert later.still_since_s == count * DT


def test_two_products_are_two_and_an_arm_reaches_out():
    scene, count = learnt()
    both = with_product(with_product(place(98), 20, 30, 30), 100, 50, 36)
    sight = scene.see(frame(both), count * DT)
    assert [round(box[0] / 20) for box in sight.boxes] == [5, 1]  # the larger first
    assert scene.see(frame(with_hand(place(97), 60)), (count + 1) * DT).reaches_out


@pytest.mark.parametrize("light", [0.6, 0.8, 1.3])
def test_light_that_jumps_is_no_product(light):
    scene, count = learnt()
    for index in range(count, count + 30):
        sight = scene.see(frame(place(index, light=light)), index * DT)
        assert sight.boxes == []
        assert sight.still_since_s == 0.0


def test_light_that_blinds_for_a_while_leaves_nothing_behind():
    """Twice the light: a third of the place is white, and its pattern is not to be seen there."""
    scene, count = learnt()
    for index in range(count, count + 150):
        scene.see(frame(place(index, light=2.0)), index * DT)
    for index in range(count + 150, count + 155):
        assert scene.see(frame(place(index)), index * DT).boxes == []


@pytest.mark.parametrize("light", [0.7, 1.25])
def test_light_that_jumps_while_a_product_lies_there_and_back_leaves_nothing_behind(light):
    scene, count = learnt()
    for index in range(count, count + 30):
        scene.see(frame(with_product(place(index, light=light), 60, 40)), index * DT)
    for index in range(count + 30, count + 35):
        assert scene.see(frame(place(index)), index * DT).boxes == []


def test_light_that_drifts_is_followed_while_a_product_lies_there():
    scene, count = learnt()
    now, seconds = count, 20
    for index in range(count, count + seconds * 15):
        light = 1 - 0.4 * (index - count) / (seconds * 15)
        uneven = place(index, light=light)
        uneven[:, :80] *= light  # the left half darkens twice as much
        sight = scene.see(frame(with_product(uneven, 100, 40)), index * DT)
        now = index
        assert len(sight.boxes) == 1
    gone = place(5, light=0.6)
    gone[:, :80] *= 0.6
    sight = scene.see(frame(gone), (now + 1) * DT)
    covered = [box for box in sight.boxes if box[0] < 90]
    assert covered == []


def test_slow_movement_is_movement():
    """Two pixels a frame: no frame differs much from the one before."""
    scene, count = learnt()
    since = [
        scene.see(frame(with_product(place(index), 20 + 2 * (index - count), 40)), index * DT).still_since_s
        for index in range(count, count + 30)
    ]
    assert all(index * DT - one < 0.3 for index, one in zip(range(count, count + 30), since, strict=True))


def test_dark_and_covered():
    scene, count = learnt()
    assert scene.see(frame(place(1, light=0.02, noise=1.0)), count * DT).unseen is BlockedReason.DARK
    palm = np.full((HEIGHT, WIDTH, 3), (60.0, 75.0, 100.0), np.float32)
    assert scene.see(frame(palm), (count + 1) * DT).unseen is BlockedReason.COVERED
    back = scene.see(frame(place(2)), (count + 2) * DT)
    assert (back.unseen, back.boxes, back.still_since_s) == (None, [], (count + 2) * DT)


def test_a_large_product_covers_nothing():
    scene, count = learnt()
    sight = scene.see(frame(with_product(place(3), 5, 5, 110)), count * DT)
    assert sight.unseen is None
    assert len(sight.boxes) == 1


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (1080, 1920), (64, 64), (16, 640)])
def test_cells_are_the_mean_brightness(shape):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (*shape, 1), np.uint8).repeat(3, axis=2)
    values[: shape[0] // 2] //= 4
    cells = cells_of(Frame.from_array(values)).brightness
    assert max(cells.shape) == CELLS
    half = cells.shape[0] // 2
    if half:
        step = max(1, max(shape) // (4 * CELLS))
        assert cells[:half].mean() == pytest.approx(
            values[::step, ::step][: -(-shape[0] // 2 // step)].mean() / 255, abs=0.01
        )


@pytest.mark.parametrize("format", ["nv12", "i420", "yuyv"])
def test_of_yuv_only_the_luma_counts(format):
    y = np.full((HEIGHT, WIDTH), 126, np.uint8)
    chroma = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    half = (HEIGHT // 2, WIDTH // 2)
    planes = {
        "nv12": (y, chroma[::2, ::2, None].repeat(2, axis=2).copy()),
        "i420": (y, chroma[: half[0], : half[1]], chroma[: half[0], : half[1]]),
        "yuyv": (np.stack([y, chroma], axis=2),),
    }[format]
    for encoding, expected in ((ColorEncoding.BT601_LIMITED, 110 / 219), (ColorEncoding.BT601_FULL, 126 / 255)):
        cells = cells_of(Frame(planes, HEIGHT, WIDTH, PixelFormat(format), encoding)).brightness
        assert np.abs(cells - expected).max() < 1e-6


def test_frames_of_a_device_are_refused():
    values = picture(place())
    with pytest.raises(InputError, match="host memory"):
        cells_of(Frame((values,), HEIGHT, WIDTH, memory=MemoryKind.CUDA))
