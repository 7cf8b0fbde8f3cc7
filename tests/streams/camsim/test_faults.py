from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from edgevision.errors import InputError
from edgevision.streams.camsim.faults import Fault, Kind, apply, upcoming

CAMERAS = ["cam0", "cam1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cam0:freeze@10+3", Fault("cam0", Kind.FREEZE, 10, 3)),
        ("cam1:stall@0.5+2.5/60", Fault("cam1", Kind.STALL, 0.5, 2.5, 60)),
        ("cam1:slow=20000@5+10", Fault("cam1", Kind.SLOW, 5, 10, None, 20000)),
        ("cam0:reset@5/7", Fault("cam0", Kind.RESET, 5, 0, 7)),
        ("cam0:down@1+1", Fault("cam0", Kind.DOWN, 1, 1)),
    ],
)
def test_a_fault_is_what_is_written(text, expected):
    assert Fault.parse(text, CAMERAS) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cam0", "a fault is CAMERA:KIND"),
        ("cam0:melt@1+1", "one of freeze, stall"),
        ("cam0:freeze@x+1", "a fault is CAMERA:KIND"),
        ("cam0:freeze@1.2.3+1", "a fault is CAMERA:KIND"),
        ("cam7:freeze@1+1", "no camera that there is: cam0, cam1"),
        ("cam0:slow@1+1", "bytes a second"),
        ("cam0:slow=0@1+1", "bytes a second"),
        ("cam0:freeze=5@1+1", "bytes a second"),
        ("cam0:freeze@1", "has a length"),
        ("cam0:reset@1+3", "has a length"),
        ("cam0:freeze@1+5/5", "lasts less"),
    ],
)
def test_a_fault_that_cannot_be_is_told(text, words):
    with pytest.raises(InputError, match=words):
        Fault.parse(text, CAMERAS)


def test_turns_come_in_order_and_end_with_the_run():
    faults = [Fault("cam0", Kind.STALL, 1, 2, 4), Fault("cam1", Kind.RESET, 5), Fault("cam1", Kind.FREEZE, 9.5, 100)]
    told = [(turn.at_s, turn.words) for turn in upcoming(faults, 10)]
    assert told == [
        (1, "cam0: stall"), (3, "cam0: stall is over"), (5, "cam0: stall"), (5, "cam1: reset"), (7, "cam0: stall is over"),
        (9, "cam0: stall"), (9.5, "cam1: freeze"), (10, "cam0: stall is over"), (10, "cam1: freeze is over"),
    ]  # fmt: skip
    assert [turn.at_s for turn in islice(upcoming(faults[:1]), 5)] == [1, 3, 5, 7, 9]
    assert list(upcoming([])) == []


class Noted:
    """Stands for a camera and its proxy: notes what is called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    @property
    def proxy(self) -> Noted:
        return self

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, *arguments))


@pytest.mark.parametrize(
    ("kind", "bytes_s", "calls"),
    [
        (Kind.FREEZE, None, [("freeze",), ("thaw",)]),
        (Kind.STALL, None, [("stall",), ("resume",)]),
        (Kind.SLOW, 9.0, [("slow", 9.0), ("slow", None)]),
        (Kind.DOWN, None, [("down",), ("up",)]),
        (Kind.RESET, None, [("reset",)]),
    ],
)
def test_each_kind_does_its_own_thing_and_takes_it_back(kind, bytes_s, calls):
    camera = Noted()
    for turn in upcoming([Fault("cam0", kind, 1, 0 if kind is Kind.RESET else 1, None, bytes_s)], 10):
        apply(turn, {"cam0": camera})
    assert camera.calls == calls
