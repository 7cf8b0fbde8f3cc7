"""Tracks against films whose products are known by construction."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.tasks.results import FrameId
from edgevision.tracking import Tracker, TrackerOptions


def box(x, y, width=80.0, height=60.0):
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def run(tracker, film):
    """``film``: (time, boxes) or (time, boxes, scores), or with classes as well. Gives the ids of each frame."""
    ids = []
    for time_s, boxes, *rest in film:
        scores = rest[0] if rest else [0.9] * len(boxes)
        classes = rest[1] if len(rest) > 1 else [0] * len(boxes)
        ids.append(tracker.update_arrays(boxes, scores, classes, time_s=time_s).ids)
    return ids


def given(ids):
    """Every id that was given, in order."""
    return list(dict.fromkeys(one for frame in ids for one in frame if one is not None))


# ---- ids ----


@pytest.mark.parametrize("rate_hz", [3, 5, 10, 25, 60])
@pytest.mark.parametrize("speed", [0.0, 150.0, -300.0])
def test_a_product_has_one_id_at_every_frame_rate(rate_hz, speed):
    film = [(t, [box(640 + speed * (t - 1.5), 200)]) for t in np.arange(0, 3, 1 / rate_hz).tolist()]
    ids = run(Tracker(), film)
    assert given(ids) == [1]
    first = next(place for place, frame in enumerate(ids) if frame == (1,))
    assert film[first][0] <= 0.15 + 2 / rate_hz  # confirmed soon, in seconds
    assert all(frame == (1,) for frame in ids[first:])


def test_changing_rates_and_dropped_frames_keep_the_ids():
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.choice([0.02, 0.04, 0.1, 0.25, 0.5], 60)).tolist()
    film = [(t, [box(100 + 90 * t, 200), box(1500 - 120 * t, 400), box(700, 600)]) for t in times]
    ids = run(Tracker(), film)
    assert given(ids) == [1, 2, 3]
    assert all(frame == (1, 2, 3) for frame in ids[12:])


def test_products_that_meet_keep_their_ids():
    """Two pass each other, on ways that overlap for a while."""
    film = [(t, [box(200 + 200 * t, 200), box(1000 - 200 * t, 235)]) for t in np.arange(0, 4, 0.04).tolist()]
    ids = run(Tracker(), film)
    assert given(ids) == [1, 2]
    assert ids[-1] == (1, 2)


def test_a_close_row_on_a_belt_is_followed_at_five_frames_a_second():
    """Products every 130 px move by 110 px between frames: the nearest box is the neighbour's. The first one shows the way, alone."""
    starts = [-100.0, -700, -830, -960, -1090]
    film = []
    for t in np.arange(0, 5, 0.2).tolist():
        places = [start + 550 * t for start in starts]
        film.append((t, [box(x, 200, 100, 80) for x in places if 0 < x < 1280]))
    ids = run(Tracker(), film)
    tracker_of = {}
    for (t, boxes), frame in zip(film, ids, strict=True):
        for (x1, *_), identity in zip(boxes, frame, strict=True):
            if identity is not None:
                product = min(range(len(starts)), key=lambda one: abs(starts[one] + 550 * t - x1 - 50))
                tracker_of.setdefault(product, set()).add(identity)
    assert tracker_of == {product: {product + 1} for product in range(5)}


@pytest.mark.parametrize(("rate_hz", "hidden_s", "same"), [
    (25, 0.8, True), (25, 1.2, False), (10, 0.8, True), (10, 1.2, False), (5, 0.8, True), (5, 1.4, False),
])  # fmt: skip
def test_life_is_counted_in_seconds(rate_hz, hidden_s, same):
    """``hidden_s``: how long nothing is seen of it. ``lost_s`` is 1."""
    film = []
    for t in np.arange(0, 5, 1 / rate_hz).tolist():
        hidden = 2 < t < 2 + hidden_s
        film.append((t, [] if hidden else [box(200 + 100 * t, 200)]))
    assert given(run(Tracker(), film)) == ([1] if same else [1, 2])


def test_what_ends_is_told_once():
    tracker = Tracker(TrackerOptions(lost_s=0.45))
    ended = []
    for t in np.arange(0, 3, 0.1).tolist():
        boxes = [box(200, 200)] if t < 1 else []
        ended += [
            (round(t, 1), one)
            for one in tracker.update_arrays(boxes, [0.9] * len(boxes), [0] * len(boxes), time_s=t).ended
        ]
    assert ended == [(1.4, 1)]  # last seen at 0.9


def test_a_gap_longer_than_life_ends_everything():
    tracker = Tracker()
    run(tracker, [(t / 10, [box(200, 200)]) for t in range(10)])
    after = tracker.update_arrays([box(200, 200)], [0.9], [0], time_s=100.0)
    assert (after.ids, after.ended) == ((None,), (1,))


# ---- times without a frame, in which nobody looked ----


def belt_film(starts, *, gap=(9.0, 9.0), until_s=5.0, speed=150.0):
    """Products that were at ``starts`` px at 0 s, ten frames a second, none of them in ``gap``; seen from 0 to 1280 px."""
    times = [t for t in np.arange(0, until_s, 0.1).round(3).tolist() if not gap[0] < t < gap[1]]
    return [(t, [box(x + speed * t, 200) for x in starts if 0 < x + speed * t < 1280]) for t in times]


@pytest.mark.parametrize(("gap_s", "options", "expected"), [
    (0.4, {}, [1]), (1.2, {}, [1]), (2.9, {}, [1]),
    (3.3, {}, [1, 2]),  # longer than gap_s
    (1.2, {"gap_s": 0.0}, [1, 2]), (1.2, {"gap_s": 1.0}, [1, 2]), (1.8, {"gap_s": 2.0}, [1]),
    (1.2, {"lost_s": 0.35}, [1]), (1.2, {"lost_s": 0.35, "gap_s": 0.0}, [1, 2]),
])  # fmt: skip
def test_a_time_without_a_frame_ends_no_track(gap_s, options, expected):
    ids = run(Tracker(TrackerOptions(**options)), belt_film([100.0], gap=(1.0, 1.0 + gap_s)))
    assert given(ids) == expected


def test_what_is_not_seen_after_a_gap_ends_when_it_was_looked_for_long_enough():
    tracker = Tracker()
    run(tracker, [(t / 10, [box(200, 200)]) for t in range(11)])
    ended = [tracker.update_arrays([], [], [], time_s=3.0 + t / 10).ended for t in range(12)]
    # The two seconds without a frame count as 0.1 s, as usual between frames; the tenth frame after makes it 1.1 s.
    assert ended == [()] * 10 + [(1,), ()]


@pytest.mark.parametrize("rate_hz", [0.7, 1.9, 3.0])
def test_a_slow_camera_has_no_gaps(rate_hz):
    """What stands there goes after ``lost_s``, whatever the rate."""
    tracker = Tracker(TrackerOptions(lost_s=2.0))
    run(tracker, [(t / rate_hz, [box(200, 200)]) for t in range(10)])
    gone_s = [t / rate_hz for t in range(1, 20) if tracker.update_arrays([], [], [], time_s=(9 + t) / rate_hz).ended]
    assert gone_s == pytest.approx([next(t / rate_hz for t in range(20) if t / rate_hz > 2.0)])


@pytest.mark.parametrize("stood_s", [0.0, 0.6, 1.0, 1.5])
def test_a_belt_that_stood_still_meanwhile_keeps_its_ids(stood_s):
    """1.5 s without a frame, and for so many of them the belt stood: power failed for both."""
    film = [(t / 10, [box(x + 15 * t, 200) for x in (100, 330, 610)]) for t in range(20)]
    film += [
        (3.4 + t / 10, [box(x + 15 * t + 300 + 150 * (1.5 - stood_s), 200) for x in (85, 315, 595)]) for t in range(10)
    ]
    ids = run(Tracker(), film)
    assert ids[-1] == (1, 2, 3)


@pytest.mark.parametrize(("others", "gap", "moved_back"), [
    ([300.0, 120.0], (2.0, 3.2), True),
    ([300.0, 120.0], (2.0, 2.2), False),  # no gap
    ([], (2.0, 3.2), False),  # nothing tells whether the belt moved
])  # fmt: skip
def test_what_is_first_seen_after_a_gap_was_elsewhere_before(others, gap, moved_back):
    """A product that comes in at 2.1 s, after others on the same way."""
    tracker, told = Tracker(), {}
    for t, boxes in belt_film([*others, -310.0], gap=gap):
        tracks = tracker.update_arrays(boxes, [0.9] * len(boxes), [0] * len(boxes), time_s=t)
        if boxes and tracks.ids[-1] == len(others) + 1 and not told:
            told = {
                "came_from": tracks.came_from[-1],
                "first": tracks.first_boxes[-1],
                "first_s": t - tracks.ages_s[-1],
            }
    seen_s = gap[1]  # the first frame after the gap
    assert told["first_s"] == pytest.approx(seen_s, abs=0.001)
    assert told["first"] == pytest.approx(box(-310.0 + 150 * seen_s, 200), abs=0.01)
    expected = box(-310.0 + 150 * (gap[0] if moved_back else seen_s), 200)
    assert told["came_from"] == pytest.approx(expected, abs=1.0 if moved_back else 0.01)


@pytest.mark.parametrize("rate_hz", [10, 25])
@pytest.mark.parametrize("speed", [-300.0, -200.0, 200.0, 350.0, 450.0])
def test_a_product_goes_behind_a_pillar(rate_hz, speed):
    """What is left to see shrinks, and its score with it: that is no slower and no smaller product."""
    film = []
    for t in np.arange(0, 4, 1 / rate_hz).tolist():
        x1, y1, x2, y2 = box(640 + speed * (t - 2), 200, 100)
        pillar = (600.0, 680.0)
        left, right = max(0.0, pillar[0] - x1), max(0.0, x2 - pillar[1])
        if x2 > pillar[0] and x1 < pillar[1]:
            x1, x2 = (x1, min(x2, pillar[0])) if left > right else (max(x1, pillar[1]), x2)
        share = (x2 - x1) / 100
        film.append((t, [[x1, y1, x2, y2]] if share > 0.35 else [], [0.1 + 0.8 * share] if share > 0.35 else []))
    assert any(not boxes for _, boxes, _ in film)
    ids = run(Tracker(), film)
    assert given(ids) == [1]
    assert ids[-1] == (1,)


def lost_at_200(boxes, scores):
    """A product that is seen at 200 and at 500 for a second, then only at 500 for half a second; then ``boxes``."""
    film = [(n / 10, [box(200, 200), box(500, 200)]) for n in range(10)]
    film += [(1 + n / 10, [box(500, 200)]) for n in range(5)]
    return run(Tracker(), [*film, (1.5, boxes, scores)])[-1]


@pytest.mark.parametrize(("boxes", "scores", "expected"), [
    ([box(200, 200), box(500, 200)], [0.9, 0.9], (1, 2)),
    ([box(200, 200), box(500, 200)], [0.3, 0.9], (2,)),  # a weak box does not bring back what was lost
    ([box(225, 200), box(215, 200), box(500, 200)], [0.9, 0.6, 0.9], (1, None, 2)),  # the weaker of two on one product is not it
])  # fmt: skip
def test_what_brings_back_a_lost_track(boxes, scores, expected):
    assert lost_at_200(boxes, scores) == expected


def test_a_second_box_on_a_neighbour_does_not_bring_back_a_lost_track():
    """The lost one may be 100 px from where it was seen; the neighbour, which stands there, has two boxes for once."""
    film = [(n / 10, [box(200, 200), box(270, 200)]) for n in range(10)]
    film += [(1 + n / 10, [box(270, 200)]) for n in range(5)]
    assert run(Tracker(), [*film, (1.5, [box(270, 200), box(255, 200)], [0.9, 0.8])])[-1] == (2, None)


# ---- what is confirmed ----


def test_flicker_gets_no_id():
    """Something else in every frame, and the same place in every third."""
    rng = np.random.default_rng(1)
    film = []
    for frame in range(300):
        places = [box(*rng.uniform(0, 5000, 2))]
        if frame % 3 == 0:
            places.append(box(300, 300))
        film.append((frame / 25, places))
    assert given(run(Tracker(), film)) == []


@pytest.mark.parametrize(("missing", "expected"), [({1}, True), ({1, 2}, False), ({2, 4}, True)])
def test_a_product_that_is_missed_at_times_is_confirmed(missing, expected):
    """Seen in at least half of the frames so far; else it begins again, which ten frames leave no time for in one case."""
    film = [(frame / 25, [] if frame in missing else [box(200, 200)]) for frame in range(6)]
    assert bool(given(run(Tracker(), film))) is expected


@pytest.mark.parametrize(
    ("confirm_s", "rate_hz", "first"), [(0.15, 25, 4), (0.15, 10, 2), (0.15, 5, 2), (0.5, 10, 5), (0.0, 25, 2)]
)
def test_the_time_to_confirm_is_in_seconds(confirm_s, rate_hz, first):
    ids = run(Tracker(TrackerOptions(confirm_s=confirm_s)), [(n / rate_hz, [box(200, 200)]) for n in range(10)])
    assert ids == [(None,)] * first + [(1,)] * (10 - first)


def test_weak_boxes_continue_a_track_and_begin_none():
    film = []
    for frame in range(40):
        score = 0.3 if 10 <= frame < 30 else 0.9
        film.append((frame / 25, [box(200 + 3 * frame, 200), box(800, 500)], [score, 0.3]))
    ids = run(Tracker(), film)
    assert all(frame == (1,) for frame in ids[10:])  # the other is never seen


def test_boxes_under_the_low_score_are_not_looked_at():
    film = [(n / 25, [box(200, 200)], [0.9 if n < 10 else 0.05]) for n in range(60)]
    ids = run(Tracker(), film)
    assert ids[9:11] == [(1,), ()]


# ---- classes ----


def test_the_class_is_the_one_with_most_of_the_score():
    tracker = Tracker()
    classes = [3, 3, 5, 3, 3, 5, 3, 3]
    for frame, kind in enumerate(classes):
        tracks = tracker.update_arrays([box(200, 200)], [0.9 if kind == 3 else 0.95], [kind], time_s=frame / 10)
    assert tracks.classes.tolist() == [3]


def test_weights_count_in_the_class_and_nowhere_else():
    film = [(n / 10, [box(200 + 5 * n, 200)], [0.9 if n % 3 else 0.3]) for n in range(12)]
    plain, weighted = Tracker(), Tracker()
    for n, (time_s, boxes, scores) in enumerate(film):
        kind = 4 if n in (2, 5) else 7
        one = plain.update_arrays(boxes, scores, [kind], time_s=time_s)
        other = weighted.update_arrays(boxes, scores, [kind], time_s=time_s, weights=[1.0 if kind == 4 else 0.1])
        assert one.ids == other.ids
    assert (one.classes.tolist(), other.classes.tolist()) == ([7], [4])
    assert plain._motion.center.tolist() == weighted._motion.center.tolist()


@pytest.mark.parametrize(
    ("weights", "says"),
    [([1.0, 1.0], r"weights \[1\], one for each box, got shape \(2,\)"), ([-1.0], "0 or more"), ([math.nan], "finite")],
)
def test_weights_that_make_no_sense_are_refused(weights, says):
    with pytest.raises(InputError, match=says):
        Tracker().update_arrays([box(200, 200)], [0.9], [0], time_s=0, weights=weights)


@pytest.mark.parametrize(("class_aware", "expected"), [(False, [1]), (True, [1, 2])])
def test_boxes_of_another_class_continue_a_track_unless_it_is_class_aware(class_aware, expected):
    film = [(n / 10, [box(200, 200)], [0.9], [0 if n < 10 else 1]) for n in range(20)]
    assert given(run(Tracker(TrackerOptions(class_aware=class_aware)), film)) == expected


# ---- columns ----


def test_columns_of_a_frame():
    tracker = Tracker()
    for frame in range(3):
        boxes = [box(500, 500), box(200 + frame, 200), box(900, 100)]
        tracks = tracker.update_arrays(boxes[: 2 + (frame == 2)], [0.3, 0.8, 0.7][: 2 + (frame == 2)], [0, 4, 2][: 2 + (frame == 2)],
                                       time_s=10 + frame / 10)  # fmt: skip
    assert tracks.ids == (1, None)
    assert tracks.confirmed.tolist() == [True, False]
    assert tracks.detections.tolist() == [1, 2]
    np.testing.assert_array_equal(tracks.boxes, np.float32([box(202, 200), box(900, 100)]))
    np.testing.assert_array_equal(tracks.first_boxes, np.float32([box(200, 200), box(900, 100)]))
    np.testing.assert_allclose(tracks.ages_s, [0.2, 0.0], atol=1e-9)
    assert tracks.scores.tolist() == pytest.approx([0.8, 0.7])
    assert tracks.classes.tolist() == [4, 2]
    assert (tracks.time_s, tracks.ended, tracks.camera, len(tracks)) == (10.2, (), None, 2)
    assert [row.id for row in tracks] == [1, None]
    assert next(iter(tracks)) == (1, (162.0, 170.0, 242.0, 230.0), pytest.approx(0.8), 4, pytest.approx(0.2))
    dtypes = {name: column.dtype for name, column in vars(tracks).items() if isinstance(column, np.ndarray)}
    assert dtypes == {
        "boxes": np.float32, "scores": np.float32, "classes": np.int64, "ages_s": np.float64, "first_boxes": np.float32,
        "detections": np.int64, "came_from": np.float32,
    }  # fmt: skip


@pytest.mark.parametrize("empty", [([], [], []), (np.empty((0, 4)), np.empty(0), np.empty(0, int))])
def test_frames_without_products(empty):
    tracks = Tracker().update_arrays(*empty, time_s=0.0)
    assert len(tracks) == 0
    assert tracks.boxes.shape == tracks.first_boxes.shape == (0, 4)


@dataclass
class Answer:
    """As a model gives it."""

    frame: FrameId
    boxes: np.ndarray = field(default_factory=lambda: np.float32([box(200, 200)]))
    scores: np.ndarray = field(default_factory=lambda: np.float32([0.9]))
    classes: np.ndarray = field(default_factory=lambda: np.int64([2]))


def test_results_of_a_model_bring_their_time_and_camera():
    tracker = Tracker()
    start = 1_780_000_000_000_000_000
    for frame in range(4):
        tracks = tracker.update(Answer(FrameId("dock", frame, start + frame * 100_000_000)))
    assert tracks.ids == (1,)
    assert tracks.camera == "dock"
    assert tracks.time_s == pytest.approx(1_780_000_000.3, abs=1e-6)
    with pytest.raises(InputError, match="follows camera 'dock', got a frame of 'door'"):
        tracker.update(Answer(FrameId("door", 5, start + 10**9)))
    assert tracker.update(Answer(FrameId()), time_s=1_780_000_000.5).ids == (
        1,
    )  # nothing is known of the frame: the tracker's camera


def test_after_a_reset_no_id_comes_again():
    tracker = Tracker()
    film = [(n / 10, [box(200, 200)]) for n in range(5)]
    assert given(run(tracker, film)) == [1]
    tracker.reset()
    assert given(run(tracker, film)) == [2]


def test_the_same_film_gives_the_same_ids():
    rng = np.random.default_rng(3)
    film = [(n / 10, [box(200 + 20 * n, 200), box(900 - 10 * n, 300), box(*rng.uniform(0, 900, 2))]) for n in range(50)]
    assert run(Tracker(), film) == run(Tracker(), film)


# ---- bad input ----


@pytest.mark.parametrize(("boxes", "scores", "classes", "says"), [
    ([[0, 0, 1]], [0.5], [0], r"boxes \[n, 4\].*got shapes \(1, 3\)"),
    ([[0, 0, 1, 1]], [0.5, 0.6], [0, 1], r"got shapes \(1, 4\), \(2,\) and \(2,\)"),
    ([[0, 0, 1, 1]], 0.5, 0, "got shapes"),
    ([[0, 0, 1, 1], [0, 0, np.nan, 1]], [0.5, 0.5], [0, 0], r"finite numbers of pixels, got \[0.0, 0.0, nan, 1.0\] in row 1"),
    ([[5, 0, 1, 1]], [0.5], [0], "x1 ≤ x2"),
    ([[0, 0, 1, 1]], [np.nan], [0], "scores are numbers of 0…1, got nan in row 0"),
    ([[0, 0, 1, 1]], [1.5], [0], "got 1.5 in row 0"),
    ([[0, 0, 1, 1]], [0.5], [-1], "whole numbers from 0, got -1.0 in row 0"),
    ([[0, 0, 1, 1]], [0.5], [0.5], "got 0.5 in row 0"),
])  # fmt: skip
def test_columns_that_make_no_sense_are_refused(boxes, scores, classes, says):
    with pytest.raises(InputError, match=says):
        Tracker().update_arrays(boxes, scores, classes, time_s=0.0)


@pytest.mark.parametrize(
    ("time_s", "says"), [(1.0, "after 1.0 s, got 1.0 s"), (0.5, "reset"), (np.nan, "finite"), (np.inf, "finite")]
)
def test_time_goes_on(time_s, says):
    tracker = Tracker()
    tracker.update_arrays([], [], [], time_s=1.0)
    with pytest.raises(InputError, match=says):
        tracker.update_arrays([], [], [], time_s=time_s)
    assert tracker.update_arrays([], [], [], time_s=1.1).time_s == 1.1  # the tracker is as it was


def test_a_frame_without_a_time_is_refused():
    with pytest.raises(InputError, match="captured_ns, or pass time_s"):
        Tracker().update(Answer(FrameId("dock")))


@pytest.mark.parametrize(("options", "says"), [
    ({"low_score": 0.6}, "low_score=0.6"), ({"high_score": 1.1}, "≤ 1"), ({"least_iou": 1.0}, "least_iou"),
    ({"lost_s": -1}, "lost_s is a number of seconds"), ({"confirm_s": np.nan}, "confirm_s"), ({"gap_s": -0.1}, "gap_s is a number of seconds"),
])  # fmt: skip
def test_options_that_make_no_sense_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        TrackerOptions(**options)


def test_boxes_without_area_and_scores_of_zero_do_no_harm():
    tracker = Tracker(TrackerOptions(high_score=0.0, low_score=0.0))
    for frame in range(5):
        tracks = tracker.update_arrays([[5, 5, 5, 5], box(200, 200)], [0.0, 0.0], [0, 0], time_s=frame / 10)
        assert np.isfinite(tracks.boxes).all()
    assert tracks.ids == (1, 2)
