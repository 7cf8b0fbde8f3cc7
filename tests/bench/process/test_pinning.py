"""Which cores a target is bound to."""

from __future__ import annotations

import pytest

from edgevision.bench.process import pinning


@pytest.mark.parametrize(
    ("threads", "cores"), [(1, (3,)), (2, (2, 3)), (3, (1, 2, 3)), (4, (0, 1, 2, 3)), (9, (0, 1, 2, 3))]
)
def test_each_on_a_physical_core_of_its_own_from_the_last_down(monkeypatch, threads, cores):
    """Four processors that are two physical cores: 0 and 2 share one, 1 and 3 the other."""
    monkeypatch.setattr(pinning.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(pinning, "_siblings", lambda cpu: f"{cpu % 2}")
    assert pinning.choose_cores(threads) == cores


def test_neighbours_of_one_core_come_last(monkeypatch):
    """0 and 1 share a physical core, 2 and 3 another."""
    monkeypatch.setattr(pinning.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(pinning, "_siblings", lambda cpu: f"{cpu // 2}")
    assert pinning.choose_cores(2) == (1, 3)
    assert pinning.choose_cores(3) == (1, 2, 3)
