"""Id switches against films that were counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.id_switches import IdSwitches

LEFT, RIGHT, FAR = [0.0, 0, 100, 100], [300.0, 0, 400, 100], [900.0, 0, 990, 90]


def near(box, by=10.0):
    """IoU 0.82 for 10 px, 0.33 for 50 px."""
    return [box[0] + by, box[1], box[2] + by, box[3]]


def counted(*frames):
    """``frames``: ({product: box}, {id: box})."""
    switches = IdSwitches()
    for truth, tracks in frames:
        switches.update(
            list(truth),
            np.array([*truth.values()]).reshape(-1, 4),
            list(tracks),
            np.array([*tracks.values()]).reshape(-1, 4),
        )
    return switches


@pytest.mark.parametrize(("frames", "switches", "misses"), [
    ([({1: LEFT}, {7: LEFT}), ({1: LEFT}, {7: near(LEFT)})], 0, 0),
    ([({1: LEFT}, {7: LEFT}), ({1: LEFT}, {8: LEFT})], 1, 0),
    ([({1: LEFT}, {7: LEFT}), ({1: LEFT}, {}), ({1: LEFT}, {7: LEFT})], 0, 1),  # lost and found under its id
    ([({1: LEFT}, {7: LEFT}), ({1: LEFT}, {}), ({1: LEFT}, {8: LEFT})], 1, 1),  # and under another
    ([({1: LEFT}, {7: LEFT}), ({1: LEFT}, {8: LEFT}), ({1: LEFT}, {7: LEFT})], 2, 0),  # there and back
    ([({1: LEFT, 2: RIGHT}, {7: LEFT, 8: RIGHT}), ({1: LEFT, 2: RIGHT}, {8: LEFT, 7: RIGHT})], 2, 0),  # two change places
    ([({1: LEFT}, {7: LEFT}), ({1: LEFT}, {7: near(LEFT), 8: LEFT})], 0, 0),  # a better box does not take it away
    ([({1: LEFT}, {7: LEFT}), ({1: LEFT}, {7: near(LEFT, 50), 8: LEFT})], 1, 0),  # but for one that hardly overlaps
    ([({1: LEFT}, {7: FAR})], 0, 1),  # false tracks are no switches
    ([({}, {7: FAR}), ({1: LEFT}, {7: FAR})], 0, 1),
    ([({1: LEFT}, {7: LEFT}), ({2: LEFT}, {7: LEFT})], 0, 0),  # one id for two products, one after the other: no switch of theirs
])  # fmt: skip
def test_switches_are_those_counted_by_hand(frames, switches, misses):
    found = counted(*frames)
    assert (found.switches, found.misses) == (switches, misses)


def test_ids_that_were_paired_are_listed():
    assert counted(({1: LEFT}, {7: LEFT, 9: FAR}), ({1: LEFT}, {8: LEFT})).ids == {7, 8}
