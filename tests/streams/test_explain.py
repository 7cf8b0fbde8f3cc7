"""The ledger in words."""

from __future__ import annotations

import pytest

from edgevision.streams.explain import explain
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account


def test_every_fate_is_told_the_most_frequent_first():
    fates = {fate: 100 * (i + 1) for i, fate in enumerate(Fate)}
    told = explain(Account("till", 4500, 0, fates, at_ns=1_800_000_000_000_000_000))
    assert told.startswith(
        "till: 4,500 frames were captured until 2027-01-15 08:00:00 UTC.\n  900 (20.0 %) were waiting when"
    )
    places = [told.index(fate.words) for fate in Fate]
    assert places == sorted(places, reverse=True)


@pytest.mark.parametrize(("fate", "count", "advised"), [
    (Fate.SUPERSEDED, 50, True), (Fate.SUPERSEDED, 49, False), (Fate.SKIPPED, 900, False), (Fate.EXPIRED, 51, True),
])  # fmt: skip
def test_many_losses_come_with_advice(fate, count, advised):
    told = explain(Account("till", 1000, 0, {Fate.SERVED: 1000 - count, fate: count}))
    assert ("slower" in told or "max_age." in told or "Allow" in told) is advised
    assert len(told.splitlines()) == 3 + advised


@pytest.mark.parametrize(("account", "says"), [
    (Account("till", 0, 0, {}), "till: 0 frames were captured."),
    (Account("till", 1, 1, {}), "till: 1 frame was captured.\n  1 (100.0 %) are waiting or with the model."),
    (Account("till", 5, 1, {Fate.SERVED: 2}), "The sum is wrong by 2"),
])  # fmt: skip
def test_small_and_wrong_sums_are_told(account, says):
    assert says in explain(account)
