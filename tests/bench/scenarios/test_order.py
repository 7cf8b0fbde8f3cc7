from __future__ import annotations

import numpy as np
import pytest

from edgevision.bench.scenarios.order import asked, batches, never_seen, order


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("seed", range(4))
def test_every_frame_once_a_turn_and_none_twice_in_a_row(frames, seed):
    places = order(frames, seed, at_least=50)
    assert len(places) >= 50
    for at in range(0, len(places), frames):
        assert sorted(places[at : at + frames].tolist()) == list(range(frames))
    if frames > 1:
        assert (places[1:] != places[:-1]).all()
    assert np.array_equal(places, order(frames, seed, at_least=50))


def test_another_seed_is_another_order():
    assert not np.array_equal(order(20, 1), order(20, 2))


def test_no_frames():
    with pytest.raises(ValueError, match="frames"):
        order(0, 1)


def test_requests_go_round():
    assert asked(np.array([2, 0, 1]), 5).tolist() == [2, 0, 1, 2, 0]


@pytest.mark.parametrize("size", [1, 3, 8])
def test_batches_hold_the_frames_that_their_table_names(size):
    rows, table = batches(["a", "b", "c"], np.array([2, 0, 1, 1, 2, 0]), size)
    assert table.shape == (-(-6 // size), size)
    assert [["abc"[place] for place in row] for row in table.tolist()] == rows
    assert table.ravel()[:6].tolist()[: len(table.ravel())] == [2, 0, 1, 1, 2, 0][: table.size]


@pytest.mark.parametrize("numbers", [range(300), range(2**32 - 50, 2**32)])
def test_copies_differ_from_each_other_and_hardly_from_the_frame(numbers):
    frame = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    before = frame.copy()
    copies = [never_seen(frame, number) for number in numbers]
    assert len({copy.tobytes() for copy in copies}) == len(copies)
    assert all(np.abs(copy.astype(int) - frame).max() <= 3 for copy in copies)
    assert np.array_equal(frame, before)


def test_copies_of_a_jpeg_are_the_same_picture():
    import cv2

    picture = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    copies = [never_seen(data, number) for number in (0, 1, 2**32 - 1)]
    assert len({data, *copies}) == 4
    shown = [cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR) for one in (data, *copies)]
    assert all(np.array_equal(shown[0], one) for one in shown)
    with pytest.raises(ValueError, match="JPEG"):
        never_seen(b"\x89PNG", 1)
