import numpy as np
import pytest

from edgevision.demo.world.world import LABELS
from edgevision.demo.world.worlds import Place, make_world
from edgevision.errors import InputError


@pytest.mark.parametrize("place", Place)
def test_a_moment_is_its_seed_and_its_time(place):
    """Whatever was rendered before: another world of the same seed, at other times first, shows the same."""
    world, other = make_world(place, 4, 96, 128), make_world(place.value, 4, 96, 128)
    first = world.at(2.2)
    other.at(7.0)
    other.at(0.0)
    again = other.at(2.2)
    assert np.array_equal(first.frame, again.frame)
    assert (first.seen, first.crossings, first.time_s) == (again.seen, again.crossings, again.time_s)
    assert first.frame.dtype == np.uint8
    assert not np.array_equal(first.frame, make_world(place, 5, 96, 128).at(2.2).frame)
    assert not np.array_equal(first.frame, world.at(2.3).frame)  # noise, if nothing else


@pytest.mark.parametrize("place", Place)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (97, 61), (61, 193), (360, 1100)])
def test_frames_of_any_size(place, height, width):
    snapshot = make_world(place, 1, height, width).at(1.0)
    assert snapshot.frame.shape == (height, width, 3)
    assert len({tuple(pixel) for pixel in snapshot.frame.reshape(-1, 3)[::7]}) > 30
    truth = snapshot.truth
    assert (truth.height, truth.width, len(truth.boxes)) == (height, width, len(snapshot.seen))
    assert len(truth.boxes) > 0
    for box in truth.boxes:
        assert 0 <= box.x1 < box.x2 <= width
        assert 0 <= box.y1 < box.y2 <= height
        assert 0 <= box.label < len(LABELS)
        assert 0 < box.pixels <= (box.x2 - box.x1) * (box.y2 - box.y1)


@pytest.mark.parametrize("place", Place)
def test_larger_frames_show_the_same_scene(place):
    small, large = (make_world(place, 2, scale * 90, scale * 120).at(2.0) for scale in (1, 2))
    boxes = [{one.id: np.array(one.full) for one in s.seen if one.visible > 0.6} for s in (small, large)]
    shared = set(boxes[0]) & set(boxes[1])
    assert len(shared) >= 0.8 * max(len(found) for found in boxes) > 0
    for id in shared:
        assert np.abs(2 * boxes[0][id] - boxes[1][id]).max() <= 3


def test_frames_come_at_their_times():
    moments = list(make_world(Place.CONVEYOR, 0, 48, 64).frames(4, fps=8, start_s=1.0))
    assert [moment.time_s for moment in moments] == [1.0, 1.125, 1.25, 1.375]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: make_world(Place.TRAY, 0, 31, 64), "at least 32×32 pixels, got 31×64"),
        (lambda: make_world(Place.TRAY, 0, 64, 64).at(-0.1), "0 s or more, got -0.1"),
        (lambda: make_world(Place.TRAY, 0, 64, 64).at(float("nan")), "0 s or more, got nan"),
        (lambda: next(make_world(Place.TRAY, 0, 64, 64).frames(0)), "at least 1 frame"),
        (lambda: next(make_world(Place.TRAY, 0, 64, 64).frames(3, fps=0)), "more than 0 frames a second, got 3 and 0"),
    ],
)
def test_what_makes_no_sense_is_refused(act, message):
    with pytest.raises(InputError, match=message):
        act()
