"""Counts against films whose crossings are known; above all, that they cannot grow by themselves."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.tracking import Anchor, Cause, Counter, Ledger, Line, Tracker, Tracks, Zone

UP = Line("line", (500, 600), (500, 0), settle_s=0.0)  # to the right is +1, and counts at once
SHELF = Zone("shelf", [(300, 0), (600, 0), (600, 600), (300, 600)])
PRODUCTS = ["cola", "fanta"]


def box(x, y=200.0, width=80.0, height=60.0):
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def rows(time_s, *, ended=(), camera=None, **places):
    """Tracks as a tracker gives them: ``t7=400`` is track 7 with its centre at x = 400, ``u1=400`` one that is not confirmed, in its
    first frame."""
    boxes = np.float32([box(*np.atleast_1d(place)) for place in places.values()]).reshape(-1, 4)
    n = len(boxes)
    ids = tuple(int(name[1:]) if name[0] == "t" else None for name in places)
    return Tracks(ids, boxes, np.full(n, 0.9, np.float32), np.zeros(n, np.int64), np.zeros(n), boxes, np.arange(n), tuple(ended), time_s,
                  camera)  # fmt: skip


def watched(places, steps, **options):
    """Events of one counter over ``steps``: keyword arguments of ``rows``, a tenth of a second apart."""
    counter = Counter(places, camera="dock", products=PRODUCTS, **options)
    return [event for n, step in enumerate(steps) for event in counter.update(rows(n / 10, **step))]


def told(events):
    return [(round(event.time_s, 1), event.place, event.delta, event.track_id, event.cause) for event in events]


def path(*xs, name="t1"):
    return [{name: x} for x in xs]


# ---- lines ----


@pytest.mark.parametrize(("xs", "expected"), [
    ((400, 480, 520, 600), [(0.2, 1)]),
    ((600, 520, 480, 400), [(0.2, -1)]),
    ((400, 600, 400, 600), [(0.1, 1), (0.2, -1), (0.3, 1)]),
    ((400, 495, 505, 495, 505, 496, 504, 400), []),  # trembles within the margin and goes back
    ((400, 495, 505, 495, 507, 493, 520, 540), [(0.6, 1)]),  # trembles and goes over
    ((400, 509, 505, 500, 495, 509, 495, 530), [(0.1, 1)]),  # over by more than the margin: counted, and not again
    ((400, 500, 600), [(0.2, 1)]),  # one step exactly on the line
    ((500, 500, 600), []),  # first seen on the line: where it came from is not known
    ((505, 400), []), ((600, 700), []),
])  # fmt: skip
def test_crossings_of_a_line(xs, expected):
    assert told(watched([UP], path(*xs))) == [(t, "line", delta, 1, Cause.CROSSED) for t, delta in expected]


def test_jitter_on_a_line_counts_once():
    """A product stops with its centre on the line, and its box trembles by 2 px for two minutes."""
    rng = np.random.default_rng(0)
    xs = [*np.linspace(300, 500, 20), *(500 + rng.normal(0, 2, 1500)), *np.linspace(500, 700, 20)]
    signs = np.sign(np.array(xs[20:-20]) - 500)
    assert (signs[1:] != signs[:-1]).sum() > 500  # a counter without hysteresis would count that often
    assert len(watched([UP], path(*xs))) == 1


@pytest.mark.parametrize(("way", "expected"), [
    ([(400, 100), (600, 100)], 1),
    ([(400, 700), (600, 700)], 0),  # past the end
    ([(400, 500), (450, 700), (560, 700), (600, 500)], 0),  # around the end
    ([(400, 500), (450, 700), (560, 700), (560, 500), (400, 500)], 1),  # around it, and back through
])  # fmt: skip
def test_only_the_line_itself_counts(way, expected):
    assert len(watched([UP], [{"t1": point} for point in way])) == expected


def test_a_line_that_settles_waits():
    line = Line("line", (500, 600), (500, 0), settle_s=0.25)
    assert told(watched([line], path(400, 400, 600, 600, 400, 400, 600, 600, 600, 600))) == [
        (0.9, "line", 1, 1, Cause.CROSSED)
    ]
    assert watched([line], path(400, 600, 500, 600, 500, 600)) == []  # in the margin, the wait begins again


@pytest.mark.parametrize(("xs", "expected"), [
    ((400, 400, 600, 400, 400, 400, 400), []),  # one frame on the other side: a box that jumped
    ((400, 400, 600, 400, 600, 400, 400), []),
    ((400, 400, 600, 600, 600, 600, 600), [(0.16, 1)]),  # 0.08 s after it came over is too soon, 0.12 s is not
    ((400, 400, 600, 600, 600, 600, 400, 400, 400, 400), [(0.16, 1), (0.32, -1)]),
])  # fmt: skip
def test_a_line_waits_for_a_tenth_of_a_second_unless_told_otherwise(xs, expected):
    counter = Counter([Line("line", (500, 600), (500, 0))], camera="dock", products=PRODUCTS)
    events = [event for n, x in enumerate(xs) for event in counter.update(rows(n * 0.04, t1=x))]
    assert [(round(event.time_s, 2), event.delta) for event in events] == [
        (pytest.approx(t + 0.04), d) for t, d in expected
    ]


@pytest.mark.parametrize(("anchor", "expected"), [(Anchor.RIGHT, 0.2), (Anchor.CENTER, 0.6), (Anchor.LEFT, 1.0)])
def test_the_anchor_says_which_point_crosses(anchor, expected):
    line = Line("line", (500, 600), (500, 0), anchor=anchor)
    (event,) = watched([line], path(*range(430, 600, 10)))
    assert event.time_s == pytest.approx(expected + 0.2, abs=0.21)


def test_what_crossed_before_it_was_confirmed_counts_when_it_is():
    tracker, counter = Tracker(), Counter([UP], camera="dock", products=PRODUCTS)
    events = []
    for n in range(6):  # 150 px a frame: confirmed when it is far beyond the line
        events += counter.update(tracker.update_arrays([box(440 + 100 * n, width=200)], [0.9], [0], time_s=n / 10))
    assert told(events) == [(0.2, "line", 1, 1, Cause.CROSSED)]


# ---- times without a frame ----

BELT = [-500.0, -260.0, 40.0, 200.0, 430.0]  # px, at 0 s


def events_of(film, places=(UP,)):
    """``film``: (time, centres)."""
    tracker, counter, events = Tracker(), Counter(places, camera="dock", products=PRODUCTS), []
    for t, xs in film:
        boxes = [box(x) for x in xs if 0 < x < 1280]
        events += counter.update(tracker.update_arrays(boxes, [0.9] * len(boxes), [0] * len(boxes), time_s=t))
    return events


@pytest.mark.parametrize("gap_s", [0.2, 0.6, 1.2, 2.0, 2.9])
@pytest.mark.parametrize("begins_s", [1.0, 1.7, 2.4])
def test_a_line_that_is_crossed_while_no_frame_comes_counts_once(begins_s, gap_s):
    """200 px a second over the line at 500 px: all five cross it, some while nobody looks, and some come in while nobody looks."""
    film = [
        (t, [x + 200 * t for x in BELT]) for t in (n / 10 for n in range(60)) if not begins_s < t < begins_s + gap_s
    ]
    seen = sum(any(0 < x + 200 * t < 1280 for t, _ in film) for x in BELT)
    assert seen == 5
    assert [event.delta for event in events_of(film)] == [1] * 5


@pytest.mark.parametrize("stood_s", [0.4, 1.0, 2.0])
def test_a_belt_that_stood_still_while_no_frame_came_counts_each_product_once(stood_s):
    """Power fails for the camera and the belt together: 2 s without a frame, and for some of them nothing moved."""

    def moved(t):
        return 200 * (t if t < 2 else 2 + max(0.0, t - 2 - stood_s))

    film = [(t, [x + moved(t) for x in BELT]) for t in (n / 10 for n in range(90)) if not 2 < t < 4]
    assert [event.delta for event in events_of(film)] == [1] * 5


def test_what_stands_beyond_the_line_and_is_first_seen_after_a_gap_did_not_cross_it():
    """Put there, beside a belt on which others go: those were counted before, and it does not move."""
    film = [
        (t, [x + 200 * t for x in BELT] + ([560.0] if t > 2 else []))
        for t in (n / 10 for n in range(60))
        if not 2 < t < 3.2
    ]
    assert len(events_of(film)) == 5


def test_the_guess_where_something_was_before_counts_in_no_zone():
    """On the way back from 700 px lies the zone, which it was never seen in."""
    film = [
        (t, [x + 200 * t for x in (430.0, 700.0 - 200 * 3.2 if t > 2 else 5000.0)])
        for t in (n / 10 for n in range(60))
        if not 2 < t < 3.2
    ]
    events = events_of(film, (SHELF, UP))
    assert [(event.place, event.track_id) for event in events if event.track_id == 2] == [("line", 2)]


def test_a_second_reading_from_shortly_before_a_gap_counts_nothing_again():
    film = [(t, [x + 200 * t for x in BELT]) for t in (n / 10 for n in range(60)) if not 2 < t < 3.2]
    events, again, ledger = events_of(film), events_of(film[10:]), Ledger()
    assert all(ledger.apply(event) for event in events)
    assert not any(ledger.apply(event) for event in again if event.time_s > 1.5)
    assert sum(event.time_s > 1.5 for event in again) >= 3


# ---- unconfirmed ids: supervision#2578 counted 97 crossings for 7 ----


def test_unconfirmed_boxes_on_both_sides_of_a_line_count_nothing():
    """A detector flickers, left and right of the line in turn. As one track with the id -1, that is a crossing in each frame."""
    tracker, counter = Tracker(), Counter([UP], camera="dock", products=PRODUCTS)
    events = []
    for n in range(194):
        tracks = tracker.update_arrays([box(400 if n % 2 else 600, 100 + 150 * (n % 3))], [0.9], [0], time_s=n / 25)
        assert tracks.ids == (None,)
        events += counter.update(tracks)
    assert events == []


def test_seven_products_among_unconfirmed_boxes_are_seven():
    """Seven cross for good, one after the other, and in each frame something flickers on one side or the other."""
    rng = np.random.default_rng(7)
    tracker, counter = Tracker(), Counter([UP], camera="dock", products=PRODUCTS)
    events = []
    for n in range(620):
        boxes = [box(2 * n - 100 * product, 200) for product in range(7) if 0 < 2 * n - 100 * product < 1000]
        flicker = [box(*rng.uniform((0, 350), (1000, 3000))) for _ in range(3)]
        boxes += flicker
        events += counter.update(tracker.update_arrays(boxes, [0.9] * len(boxes), [0] * len(boxes), time_s=n / 25))
    assert [event.delta for event in events] == [1] * 7
    assert len({event.track_id for event in events}) == 7


# ---- zones ----


@pytest.mark.parametrize(("xs", "expected"), [
    ((200, 400, 700), [(0.1, 1, Cause.CROSSED), (0.2, -1, Cause.CROSSED)]),
    ((400, 700), [(0.0, 1, Cause.APPEARED), (0.1, -1, Cause.CROSSED)]),
    ((200, 305, 295, 305, 295, 200), []),
    ((200, 310, 295, 305, 295, 310), [(0.1, 1, Cause.CROSSED)]),
    ((305, 310), [(0.1, 1, Cause.APPEARED)]),
])  # fmt: skip
def test_products_in_a_zone(xs, expected):
    assert told(watched([SHELF], path(*xs))) == [(t, "shelf", delta, 1, cause) for t, delta, cause in expected]


def test_a_track_that_ends_in_a_zone_leaves_it():
    events = watched([SHELF, UP], [{"t1": 200}, {"t1": 400}, {}, {"ended": [1]}, {}, {"t2": 400}])
    assert told(events) == [
        (0.1, "shelf", 1, 1, Cause.CROSSED), (0.3, "shelf", -1, 1, Cause.LOST), (0.5, "shelf", 1, 2, Cause.APPEARED),
    ]  # fmt: skip


def test_what_is_inside_is_the_sum_of_the_events():
    """Products wander at random, disappear and end: after each frame, the events add up to those that are followed inside."""
    rng = np.random.default_rng(4)
    counter = Counter([Zone("shelf", SHELF.corners, margin_px=0)], camera="dock", products=PRODUCTS)
    places = {identity: rng.uniform(0, 900) for identity in range(1, 9)}
    fresh, net = count(9), 0
    for n in range(300):
        ended = [identity for identity in places if rng.random() < 0.01]
        for identity in ended:
            del places[identity]
            places[next(fresh)] = rng.uniform(0, 900)
        for identity in places:
            places[identity] += rng.normal(0, 60)
        events = counter.update(rows(n / 10, ended=ended, **{f"t{identity}": x for identity, x in places.items()}))
        net += sum(event.delta for event in events)
        assert net == sum(300 < np.float32(x) < 600 for x in places.values())


def test_a_product_leaves_a_zone_as_what_it_came():
    """The detector changes its mind in between: the shelf must not keep a cola, and owe a fanta."""
    counter = Counter([SHELF], camera="dock", products=PRODUCTS)
    events = []
    for n, (x, kind) in enumerate([(200, 0), (400, 0), (500, 1), (700, 1)]):
        tracks = rows(n / 10, t1=x)
        tracks.classes[:] = kind
        events += counter.update(tracks)
    assert [(event.product, event.delta) for event in events] == [("cola", 1), ("cola", -1)]


def test_a_zone_that_settles_waits():
    zone = Zone("shelf", SHELF.corners, settle_s=0.25)
    events = watched([zone], path(200, 400, 400, 200, 400, 400, 400, 400, 200, 400, 200, 200, 200, 200))
    assert told(events) == [(0.7, "shelf", 1, 1, Cause.CROSSED), (1.3, "shelf", -1, 1, Cause.CROSSED)]


# ---- ids that come back ----


def test_a_product_that_is_recognised_again_does_not_count_twice():
    counter = Counter([UP], camera="dock", products=PRODUCTS)
    events = []
    for n, step in enumerate([{"t1": 400}, {"t1": 600}, {"ended": [1]}, {"t2": 400}, {"t2": 600}]):
        if "t2" in step and n == 3:
            counter.identify(2, 1)
        events += counter.update(rows(n / 10, **step))
    # It crossed, came back unseen, and crossed again: what is on the right is one product.
    assert told(events) == [
        (0.1, "line", 1, 1, Cause.CROSSED), (0.3, "line", -1, 2, Cause.CROSSED), (0.4, "line", 1, 2, Cause.CROSSED),
    ]  # fmt: skip


@pytest.mark.parametrize(("identified", "expected"), [(True, 1), (False, 0)])
def test_a_crossing_behind_a_pillar_counts_where_the_product_is_recognised(identified, expected):
    counter = Counter([UP], camera="dock", products=PRODUCTS)
    events = []
    for n, step in enumerate([{"t1": 400}, {"t1": 450}, {"ended": [1]}, {"t5": 560}, {"t5": 600}]):
        if n == 3 and identified:
            counter.identify(5, 1)
        events += counter.update(rows(n / 10, **step))
    assert len(events) == expected


def test_only_ids_that_ended_come_back():
    counter = Counter([UP], camera="dock", products=PRODUCTS, remember_s=1.0)
    counter.update(rows(0.0, t1=400, t2=700))
    counter.update(rows(0.1, t2=700, ended=[1]))
    with pytest.raises(InputError, match=r"ended in the last 1 s, got 2; these did: \[1\]"):
        counter.identify(3, 2)
    with pytest.raises(InputError, match="track 2 was counted already"):
        counter.identify(2, 1)
    counter.update(rows(2.0, t2=700))
    with pytest.raises(InputError, match=r"got 1; these did: \[\]"):
        counter.identify(3, 1)


# ---- cameras, products, names ----


def test_equal_ids_of_two_cameras_are_two_products():
    ledger = Ledger()
    for camera in ("dock", "door"):
        counter = Counter([UP], camera=camera, products=PRODUCTS)
        for n, x in enumerate((400, 600)):
            ledger.apply_all(counter.update(rows(n / 10, t1=x, camera=camera)))
    assert ledger.total("dock", "line") == ledger.total("door", "line") == (1, 0)


def test_tracks_of_another_camera_are_refused():
    counter = Counter([UP], camera="dock", products=PRODUCTS)
    with pytest.raises(InputError, match="camera 'dock', got tracks of 'door'"):
        counter.update(rows(0.0, t1=400, camera="door"))


def test_a_class_without_a_name_is_refused():
    with pytest.raises(InputError, match="class 0, and the counter knows 0 products"):
        Counter([UP], camera="dock", products=[]).update(rows(0.0, t1=400))


def test_two_places_of_one_name_are_refused():
    with pytest.raises(InputError, match=r"got \['line'\] more than once"):
        Counter([UP, SHELF, UP], camera="dock", products=PRODUCTS)


def test_memory_is_bounded():
    counter = Counter([UP], camera="dock", products=PRODUCTS, remember_s=5.0)
    for n in range(1, 500):
        counter.update(rows(n / 10, ended=[n - 1], **{f"t{n}": 400}))
    assert len(counter._memories) <= 52


# ---- the same frames again ----


def film(seed):
    rng = np.random.default_rng(seed)
    for n in range(200):
        boxes = [box(60 * n / 10 * 3 - 260 * product + rng.normal(0, 2), 200) for product in range(12)]
        boxes = [one for one in boxes if 0 < one[0] < 1000]
        yield 1_780_000_000 + n / 10, boxes


def events_from(start):
    """All events of a tracker and a counter that begin at frame ``start``."""
    tracker, counter = Tracker(), Counter([UP, SHELF], camera="dock", products=PRODUCTS)
    return [
        event
        for time_s, boxes in list(film(5))[start:]
        for event in counter.update(tracker.update_arrays(boxes, [0.9] * len(boxes), [0] * len(boxes), time_s=time_s))
    ]


def test_frames_that_are_processed_again_count_once():
    """A program stops in the middle, and begins again some frames before: tracks get other ids, events do not."""
    first = events_from(0)
    again = [event for event in events_from(70) if event.cause is Cause.CROSSED and event.time_s > first[0].time_s]
    assert {one.track_id for one in again} != {one.track_id for one in first[-len(again) :]}
    ledger = Ledger()
    assert ledger.apply_all(first) == len(first) == len({one.event_id for one in first})
    before = ledger.counts
    settled = [event for event in again if event.time_s > 1_780_000_000 + 7.5]
    assert len(settled) > 10
    assert ledger.apply_all(settled) == 0
    assert ledger.counts == before
