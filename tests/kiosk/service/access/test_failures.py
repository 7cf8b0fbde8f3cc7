"""How long an address waits after wrong tokens, on a clock of the test's own."""

from __future__ import annotations

import pytest

from edgevision.kiosk.service.access.failures import Failures
from edgevision.kiosk.service.access.settings import FailureOptions

OPTIONS = FailureOptions(free=3, first_s=1.0, longest_s=8.0, forget_s=100.0, addresses=10)


def test_each_further_one_doubles_the_wait():
    failures = Failures(OPTIONS)
    waits = []
    for _ in range(9):
        failures.add("10.0.0.7", 5.0)
        waits.append(failures.wait_s("10.0.0.7", 5.0))
    assert waits == [0, 0, 0, 1, 2, 4, 8, 8, 8]
    assert failures.wait_s("10.0.0.7", 9.0) == 4.0
    assert failures.wait_s("10.0.0.7", 13.0) == 0.0
    assert failures.wait_s("10.0.0.8", 5.0) == 0.0  # another address


def test_they_are_forgotten():
    failures = Failures(OPTIONS)
    for _ in range(6):
        failures.add("10.0.0.7", 0.0)
    assert failures.add("10.0.0.7", 99.0) == 7
    assert failures.add("10.0.0.7", 199.5) == 1


def test_memory_is_bounded_and_the_latest_stay():
    failures = Failures(OPTIONS)
    for number in range(1000):
        failures.add(f"10.0.{number // 256}.{number % 256}", 1.0)
        for _ in range(4):
            failures.add("192.168.1.1", 1.0)
    assert len(failures) == OPTIONS.addresses
    assert failures.wait_s("192.168.1.1", 1.0) > 0


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),  # one machine has a whole /64
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:10.0.0.7", "10.0.0.7", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("10.0.0.7", "10.0.0.8", False),
    ],
)
def test_what_counts_as_one_address(a, b, same):
    failures = Failures(OPTIONS)
    for _ in range(10):
        failures.add(a, 0.0)
    assert (failures.wait_s(b, 0.0) > 0) == same


def test_many_do_not_overflow():
    failures = Failures(OPTIONS)
    for _ in range(5000):
        failures.add("10.0.0.7", 0.0)
    assert failures.wait_s("10.0.0.7", 0.0) == OPTIONS.longest_s
