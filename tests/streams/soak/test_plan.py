from __future__ import annotations

from pathlib import Path

import pytest

from edgevision.errors import InputError
from edgevision.streams.camsim.faults import Kind
from edgevision.streams.soak.plan import Event, Plan, Role, SoakOptions


@pytest.mark.parametrize(
    ("event", "until_s", "expected"),
    [
        (Event(1, 10), 25, [(1, True), (11, True), (21, True)]),
        (Event(1, 10, 3), 25, [(1, True), (4, False), (11, True), (14, False), (21, True), (24, False)]),
        (Event(1, 10, 3), 24, [(1, True), (4, False), (11, True), (14, False)]),  # the third would not be over
        (Event(5, 10), 5, []),
    ],
)
def test_what_begins_is_over_before_the_end(event, until_s, expected):
    assert list(event.turns(until_s)) == expected


@pytest.mark.parametrize("seconds", [20, 60, 90, 1800, 7200, 86_400])
@pytest.mark.parametrize("what", ["freeze", "flap", "away", "swap"])
def test_each_third_of_the_judged_time_has_each_event(seconds, what):
    plan = Plan.of(seconds, 8)
    third = (plan.quiet_s - plan.warm_up_s) / 3
    begun = [at_s for at_s, begins in getattr(plan, what).turns(plan.quiet_s + 600) if begins]
    for place in range(3):
        low = plan.warm_up_s + place * third
        assert any(low <= at_s < low + third for at_s in begun)


def test_two_hours_are_as_the_page_says():
    plan = Plan.of(7200, 8)
    assert (plan.warm_up_s, plan.freeze.every_s, plan.flap.every_s, plan.away.every_s, plan.swap.every_s) == (
        600,
        60,
        15,
        300,
        600,
    )
    assert (plan.freeze.lasts_s, plan.flap.lasts_s, plan.away.lasts_s) == (5, 2, 30)
    assert plan.cameras(Role.UNREACHABLE) == ["cam0"]
    assert plan.cameras(Role.HEALTHY) == ["cam3", "cam4", "cam5", "cam6", "cam7"]
    assert [(fault.camera, fault.kind) for fault in plan.faults] == [("cam1", Kind.FREEZE), ("cam2", Kind.DOWN)]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"cameras": 3}, "4 to 64 cameras"),
        ({"seconds": 5}, "20 seconds"),
        ({"seconds": float("nan")}, "20 seconds"),
        ({"fps": 0.0}, "1 to 60 pictures"),
        ({"fps": float("nan")}, "1 to 60 pictures"),
        ({"fps": 1e9}, "1 to 60 pictures"),
        ({"width": 0}, r"width .* even number of 256 to 4096"),
        ({"height": 361}, r"height .* got 361"),
        ({"height": 100_000}, r"height .* got 100000"),
    ],
)
def test_what_cannot_be_is_refused(given, told):
    with pytest.raises(InputError, match=told):
        SoakOptions(Path("model.edge"), **given)
