"""A soak of two hours, made up: all is well; then one thing at a time is wrong, and its rule alone is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account
from edgevision.streams.soak.arrivals import CameraArrivals
from edgevision.streams.soak.plan import Plan, SoakOptions
from edgevision.streams.soak.record import Record, Sample
from edgevision.streams.soak.usage import Usage
from edgevision.streams.soak.verdict import MB, Outcome, judge

OPTIONS = SoakOptions(Path("model.edge"))


def well(seconds: float = 7200.0) -> tuple[Record, Plan]:
    """Memory trembles by 3 MB and grows by nothing; threads and descriptors come and go with the cameras."""
    plan = Plan.of(seconds, 4)
    rng = np.random.default_rng(1)
    names = list(plan.roles)[1:]
    record = Record(freezes=100, swaps=11, outages=20, steps={"loading": 11, "switched": 11, "kept": 11})
    for number in range(1, int(seconds / plan.sample_s)):
        at_s = number * plan.sample_s
        usage = Usage(round(200 * MB + rng.normal(0, 3 * MB)), 20 + number % 3, 15 + number % 4, at_s / 2)
        served = dict.fromkeys(names, int(10 * at_s))
        record.samples.append(Sample(at_s, usage, served, (), (0.02, 0.05, 0.3), (0.06, 0.1, 0.4), number % 50))
    count = int(10 * seconds)
    record.accounts = {name: Account(name, count + 5, 0, {Fate.SERVED: count, Fate.STALE: 5}) for name in names}
    record.arrivals = {
        name: CameraArrivals(last=count + 4, results=count, late=900, again=4, live=101, stalled=100) for name in names
    }
    record.arrivals["cam0"] = CameraArrivals()
    return record, plan


def grows(record: Record, what: str, an_hour: float) -> None:
    """One figure grows from the first sample on."""
    for place, sample in enumerate(record.samples):
        more = round(an_hour * sample.at_s / 3600)
        changed = sample.usage._replace(**{what: getattr(sample.usage, what) + more})
        record.samples[place] = replace(sample, usage=changed)


def each_sample(record: Record, change: Callable[[Sample], Sample]) -> None:
    record.samples = [change(sample) for sample in record.samples]


def starve(sample: Sample) -> Sample:
    """The healthy camera gets nothing for twelve seconds in the middle."""
    stuck = min(sample.at_s, 3600.0) if sample.at_s < 3612.0 else sample.at_s
    return replace(sample, served={**sample.served, "cam3": int(10 * stuck)})


def account(record: Record, **changes: object) -> None:
    record.accounts["cam3"] = replace(record.accounts["cam3"], **changes)


def arrived(record: Record, camera: str = "cam3", **changes: object) -> None:
    record.arrivals[camera] = replace(record.arrivals[camera], **changes)


BREAKS: dict[str, tuple[Callable[[Record], None], str]] = {
    "it died": (lambda r: setattr(r, "end", "it ended with status -9"), "it runs to the end and stops"),
    "a frame has no fate": (lambda r: account(r, captured=72_006), "the ledger is exact"),
    "a frame is in flight for ever": (lambda r: account(r, captured=72_006, in_flight=1), "the ledger is exact"),
    "a frame had two fates for a while": (lambda r: each_sample(r, lambda s: replace(s, unbalanced=("cam1",) * (s.at_s == 50))), "the ledger is exact"),
    "a result is lost": (lambda r: arrived(r, results=71_999), "every result arrives at the broker"),
    "a result comes that was not served": (lambda r: arrived(r, results=72_001), "every result arrives at the broker"),
    "one comes twice, unmarked": (lambda r: arrived(r, twice=1), "what comes twice is marked late"),
    "a gap is wrong": (lambda r: arrived(r, unexplained=2), "results come in order, and their gaps tell what is missing"),
    "memory grows by 3 MB an hour": (lambda r: grows(r, "memory_bytes", 3 * MB), "memory does not grow"),
    "a thread stays every ten minutes": (lambda r: grows(r, "threads", 6), "threads are not left behind"),
    "a descriptor stays every half hour": (lambda r: grows(r, "descriptors", 2), "descriptors are not left behind"),
    "results are old": (lambda r: each_sample(r, lambda s: replace(s, age_s=(0.1, 0.6, 0.7))), "results are fresh"),
    "results are older than they say": (lambda r: each_sample(r, lambda s: replace(s, clock_age_s=(3, 3, 3))), "results are fresh"),
    "a healthy camera starves": (lambda r: each_sample(r, starve), "healthy cameras are served throughout"),
    "a freeze is not noticed": (lambda r: arrived(r, "cam1", stalled=99), "failures of cameras are noticed"),
    "a camera does not come back": (lambda r: arrived(r, "cam1", live=100), "failures of cameras are noticed"),
    "a camera that is not there is live": (lambda r: arrived(r, "cam0", live=1), "failures of cameras are noticed"),
    "a swap is not made": (lambda r: r.steps.update(switched=10), "models are swapped"),
    "a swap is rolled back": (lambda r: r.steps.update(rolled_back=1), "models are swapped"),
}  # fmt: skip


def test_where_all_is_well_every_rule_holds():
    record, plan = well()
    assert {rule.name: rule.outcome for rule in judge(record, plan, OPTIONS) if rule.outcome is not Outcome.HELD} == {}


@pytest.mark.parametrize("name", BREAKS)
def test_each_fault_breaks_its_rule_alone(name):
    break_it, rule = BREAKS[name]
    record, plan = well()
    break_it(record)
    assert [one.name for one in judge(record, plan, OPTIONS) if one.outcome is Outcome.BROKEN] == [rule]


def test_nothing_that_came_is_no_success():
    record, plan = well()
    record.samples, record.accounts, record.arrivals = [], {}, {name: CameraArrivals() for name in plan.roles}
    broken = {rule.name for rule in judge(record, plan, OPTIONS) if rule.outcome is Outcome.BROKEN}
    assert {"the ledger is exact", "every result arrives at the broker", "failures of cameras are noticed"} <= broken


def test_what_grows_while_it_warms_up_is_not_judged():
    record, plan = well()
    each_sample(
        record, lambda s: replace(s, usage=s.usage._replace(memory_bytes=100 * MB)) if s.at_s < plan.warm_up_s else s
    )
    assert all(rule.outcome is Outcome.HELD for rule in judge(record, plan, OPTIONS))


def test_a_short_soak_cannot_tell_the_growth_of_memory():
    record, plan = well(600.0)
    record.arrivals["cam1"].stalled = 0  # cameras stop for too short a time to be called stalled
    found = {rule.name: rule for rule in judge(record, plan, OPTIONS)}
    assert found["memory does not grow"].outcome is Outcome.TOO_SHORT
    assert "MB/h" in found["memory does not grow"].figure


@pytest.mark.parametrize(("seconds", "outcome"), [(60.0, Outcome.TOO_SHORT), (90.0, Outcome.BROKEN)])
def test_a_soak_of_seconds_cannot_tell_what_is_left_behind(seconds, outcome):
    record, plan = well(seconds)
    count = len(record.samples)
    record.samples = [
        replace(sample, usage=sample.usage._replace(descriptors=20 + 2 * place // count))
        for place, sample in enumerate(record.samples)
    ]
    found = {rule.name: rule for rule in judge(record, plan, OPTIONS)}
    assert found["descriptors are not left behind"].outcome is outcome
