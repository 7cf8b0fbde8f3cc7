"""Boxes and crossings against a truth that is written down here."""

import numpy as np
import pytest

from edgevision.demo.box_tally import BoxTally
from edgevision.demo.world.truth import Corners, Crossing, Seen
from edgevision.tasks.detections import Detections
from edgevision.tasks.results import Label, Timing
from edgevision.tracking.events import Cause, InventoryEvent

LABELS = (Label(0, "milk"), Label(1, "tea"))


def answer(*rows: tuple[float, float, float, float, int]) -> Detections:
    boxes = np.array([row[:4] for row in rows], np.float32).reshape(-1, 4)
    classes = np.array([row[4] for row in rows], np.int64)
    return Detections(boxes, np.linspace(0.9, 0.5, len(rows), dtype=np.float32), classes, LABELS, Timing(0, 0, 0))


def seen(x: float, label: int = 0, visible: float = 1.0) -> Seen:
    box = Corners(x, 0, x + 10, 10)
    return Seen(int(x), label, box, box, 100, visible)


@pytest.mark.parametrize(
    ("truth", "boxes", "found", "named", "false"),
    [
        ([seen(0), seen(20, 1)], [(0, 0, 10, 10, 0), (20, 0, 30, 10, 1)], 2, 2, 0),
        ([seen(0)], [(0, 0, 10, 10, 1)], 1, 0, 0),  # found, but under another name
        ([seen(0)], [(4, 0, 14, 10, 0)], 0, 0, 1),  # IoU 6/14
        ([seen(0)], [(3, 0, 13, 10, 0)], 1, 1, 0),  # IoU 7/13
        ([seen(0)], [(0, 0, 10, 10, 0), (1, 0, 11, 10, 0)], 1, 1, 1),  # two boxes on one product
        (
            [seen(0), seen(4)],
            [(1, 0, 11, 10, 0), (1, 0, 11, 10, 0)],
            2,
            2,
            0,
        ),  # each with its own, though both like the first best
        ([seen(0)], [], 0, 0, 0),
        ([], [(0, 0, 10, 10, 0)], 0, 0, 1),
        ([seen(0, visible=0.2)], [(0, 0, 10, 10, 1)], 0, 0, 0),  # need not be found, may be
        ([seen(0, visible=0.2)], [(0, 0, 10, 10, 0), (0, 0, 10, 10, 0)], 0, 0, 1),
    ],
)
def test_boxes_are_held_against_what_is_there(truth, boxes, found, named, false):
    tally = BoxTally()
    tally.add(truth, answer(*boxes), 5.0)
    assert (tally.found, tally.named, tally.false) == (found, named, false)
    assert tally.products == sum(one.visible >= 0.25 for one in truth)


def event(product: str, delta: int) -> InventoryEvent:
    return InventoryEvent("id", 1.0, "belt", "line", product, delta, 1, Cause.CROSSED)


def test_counts_stand_beside_the_truth():
    tally = BoxTally()
    tally.add_events(
        [event("milk", 1), event("milk", 1), event("tea", 1), event("tea", -1), event("cola", 1), event("cola", -1)]
    )
    tally.set_truth([Crossing(1, 0, 0.5), Crossing(2, 1, 0.6)], ["milk", "tea"])
    assert tally.rows == [("milk", 2, 1), ("tea", 0, 1)]
    assert tally.count_errors == 2
    data = tally.to_dict()
    assert (data["counted"], data["crossed"]) == (2, 2)  # equal sums do not hide the errors
    assert data["by_product"]["milk"] == {"counted": 2, "crossed": 1}


def test_figures_of_an_empty_watch():
    assert BoxTally().to_dict()["found_percent"] == 0
