from __future__ import annotations

import pytest

from edgevision.compiler.progress import StepClock


@pytest.mark.parametrize(
    ("calls", "end", "expected"),
    [
        ([], 5.0, ()),
        ([(1.0, "load")], 4.0, (("load", 3.0),)),
        ([(1.0, "load"), (2.0, "load"), (2.5, "export")], 4.0, (("load", 1.5), ("export", 1.5))),
        # A step that comes again goes on.
        (
            [(0.0, "measure"), (1.0, "validation photos"), (3.0, "measure")],
            3.5,
            (("measure", 1.5), ("validation photos", 2.0)),
        ),
    ],
)
def test_time_belongs_to_the_step_that_runs(calls, end, expected):
    now = [0.0]
    told = []
    clock = StepClock(lambda *call: told.append(call), lambda: now[0])
    for place, (at, step) in enumerate(calls):
        now[0] = at
        clock(step, place, len(calls))
    now[0] = end
    assert clock.steps() == expected
    assert clock.steps() == expected  # asking adds nothing
    assert told == [(step, place, len(calls)) for place, (_, step) in enumerate(calls)]
