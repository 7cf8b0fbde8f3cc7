"""The ledger in words."""

from __future__ import annotations

import time

import pytest

from edgevision.streams.explain import explain, explain_hours
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account
from edgevision.streams.ledger_file import HOUR_NS, HourAccount


def test_every_fate_is_told_the_most_frequent_first():
    fates = {fate: 10 * place + 1 for place, fate in enumerate(Fate)}
    account = Account("till", sum(fates.values()) + 4, 4, fates)
    lines = explain(account)
    counts = [int(line.split()[0]) for line in lines[1 : 1 + len(Fate)]]
    assert counts == sorted(fates.values(), reverse=True)
    assert all(any(f"{count} (" in line and fate.words in line for line in lines) for fate, count in fates.items())
    assert any("4 (" in line and "no fate yet" in line for line in lines)
    assert "Every frame is accounted for" in "\n".join(lines)


@pytest.mark.parametrize(
    ("fates", "advice"),
    [
        ({Fate.SERVED: 100}, None),
        ({Fate.SERVED: 95, Fate.CORRUPT: 5}, None),
        ({Fate.SERVED: 60, Fate.SUPERSEDED: 40}, "no fault"),
        ({Fate.SERVED: 50, Fate.CORRUPT: 30, Fate.STALE: 20}, "transport tcp"),
        ({Fate.EXPIRED: 100}, "max_age"),
        ({Fate.SKIPPED: 100}, None),  # that was asked for
    ],
)
def test_the_greatest_loss_has_its_advice(fates, advice):
    lines = explain(Account("till", 100, 0, fates))
    assert lines[-1].endswith("accounted for.") if advice is None else advice in lines[-1]


def test_a_ledger_that_does_not_add_up_is_not_passed_over():
    assert "3 frames are unaccounted for" in "\n".join(explain(Account("till", 10, 0, {Fate.SERVED: 7})))


def test_a_camera_without_frames():
    assert explain(Account("till", 0, 0, {})) == ["till: 0 frames captured", "  Every frame is accounted for."]


def test_hours_are_told_a_line_each(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    hours = [
        HourAccount("till", None, 4, {Fate.SERVED: 4}), HourAccount("till", 497_674 * HOUR_NS, 0, {}),
        HourAccount("dock", 497_675 * HOUR_NS, 1000, {Fate.STALE: 250, Fate.SERVED: 750}),
    ]  # fmt: skip
    assert explain_hours(hours) == [
        "till, before: 4 frames captured; 4 (100.0 %) served",
        "till, 2026-10-10 10:00: 0 frames captured; none has a fate yet",
        "dock, 2026-10-10 11:00: 1000 frames captured; 750 (75.0 %) served, 250 (25.0 %) stale",
    ]
    monkeypatch.undo()
    time.tzset()
