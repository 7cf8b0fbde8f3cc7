"""The policy: whom it serves, whom it gives up, and when it waits, against what can be computed another way."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_frames import captured

from edgevision.streams.batch_cost import BatchCost
from edgevision.streams.captured import Captured
from edgevision.streams.options import EVERY, Service
from edgevision.streams.policy import Choice, Decision, Policy

LEAST_GAIN_S = 0.0005  # for less nobody waits
SLACK_S = 0.001  # that a frame may be late, of a camera that was never late


def cost_of(fixed_s: float, per_frame_s: float) -> BatchCost:
    return BatchCost([(1, fixed_s + per_frame_s), (16, fixed_s + 16 * per_frame_s)])


def frame(camera: str, sequence: int = 0, *, age_s: float = 0.0, now_s: float = 0.0):
    return captured(sequence, now_s, camera=camera, age_s=age_s)


def policy_of(services: dict[str, Service], **options) -> Policy:
    policy = Policy(**options)
    for camera, service in services.items():
        policy.add(camera, service, 0.0)
    return policy


def names(choices) -> list[str]:
    return [choice.camera for choice in choices]


# ---- what is in a batch ----


def test_all_that_waits_is_run_at_once():
    policy = policy_of(dict.fromkeys("abc", Service()))
    decision = policy.decide(0.0, {"a": [frame("a")], "c": [frame("c")]}, cost_of(0.01, 0.001), 8)
    assert (names(decision.batch), decision.expired, decision.wait_until_s) == (["a", "c"], (), None)


def test_nothing_waits_for_nothing():
    assert policy_of({"a": Service()}).decide(0.0, {}, cost_of(0.01, 0.001), 8).batch == ()


def test_of_equal_turns_the_earliest_deadline_is_first():
    policy = policy_of({"a": Service(max_age_s=0.3), "b": Service(max_age_s=0.1), "c": Service(max_age_s=0.2)})
    waiting = {camera: [frame(camera)] for camera in "abc"}
    assert names(policy.decide(0.0, waiting, cost_of(0.01, 0.001), 2).batch) == ["b", "c"]


def test_the_frames_of_a_queue_come_in_order():
    policy = policy_of({"a": Service(), "b": Service()})
    waiting = {"a": [frame("a", i) for i in range(3)], "b": [frame("b", 9)]}
    batch = policy.decide(0.0, waiting, cost_of(0.01, 0.001), 8).batch
    assert [one.captured.sequence for one in batch if one.camera == "a"] == [0, 1, 2]
    assert len(batch) == 4
    assert sorted(names(policy.decide(0.0, waiting, cost_of(0.01, 0.001), 2).batch)) == ["a", "b"]  # one each


# ---- deadlines ----


@pytest.mark.parametrize(("ages_ms", "batch", "expired"), [
    # max_age 250 ms; t(1) = 60, t(2) = 80, t(3) = 100, t(4) = 120
    ([0, 0, 0, 0], "abcd", ""),
    ([195, 0, 0, 0], "bcd", "a"),  # cannot make it even alone
    ([185, 0, 0, 0], "a", ""),  # alone it can, and its turn is first
    ([165, 0, 0, 0], "ab", ""),  # 165 + 80 ≤ 250 < 165 + 100
    ([0, 165, 0, 0], "ba", ""),  # the earlier deadline is first
    ([195, 195, 195, 195], "", "abcd"),
])  # fmt: skip
def test_a_batch_is_as_large_as_its_deadlines_allow(ages_ms, batch, expired):
    policy = policy_of(dict.fromkeys("abcd", Service(max_age_s=0.250)))
    waiting = {name: [frame(name, age_s=age / 1e3)] for name, age in zip("abcd", ages_ms, strict=True)}
    decision = policy.decide(0.0, waiting, cost_of(0.040, 0.020), 8)
    assert ("".join(names(decision.batch)), "".join(names(decision.expired))) == (batch, expired)


def test_a_frame_out_of_turn_that_cannot_make_it_in_this_batch_is_left_for_the_next():
    """``b`` had its turn; the others' batch of three is too slow for it, and not so slow that it is lost."""
    policy = policy_of({"a": Service(), "b": Service(max_age_s=0.09), "c": Service(), "d": Service()})
    policy.take(policy.decide(0.0, {"b": [frame("b")]}, cost_of(0.040, 0.020), 8), 0.0)
    decision = policy.decide(0.1, {name: [frame(name, now_s=0.1)] for name in "abcd"}, cost_of(0.040, 0.020), 8)
    assert (names(decision.batch), decision.expired) == (["a", "c", "d"], ())


def test_a_frame_that_a_younger_one_of_its_camera_overtakes_is_given_up():
    """It is the turn of "b"; "a" has two frames, and the batch ends after the deadline of the first alone. Results come in order."""
    policy = policy_of({"b": Service(EVERY, max_age_s=0.11), "a": Service(EVERY, max_age_s=0.11)})
    policy.take(Decision((Choice("a", frame("a")),)), 0.0)
    waiting = {"b": [frame("b")], "a": [frame("a", 1, age_s=0.005), frame("a", 2)]}
    decision = policy.decide(0.0, waiting, cost_of(0.093, 0.007), 8)
    assert [(one.camera, one.captured.sequence) for one in decision.batch] == [("b", 0), ("a", 2)]
    assert [(one.camera, one.captured.sequence) for one in decision.expired] == [("a", 1)]


def test_the_old_frames_of_a_queue_are_given_up_and_the_young_served():
    policy = policy_of({"a": Service(max_age_s=0.1)})
    queue = [frame("a", i, age_s=0.2 - 0.05 * i) for i in range(4)]  # 200, 150, 100, 50 ms
    decision = policy.decide(0.0, {"a": queue}, cost_of(0.01, 0.001), 8)
    assert [one.captured.sequence for one in decision.expired] == [0, 1, 2]
    assert [one.captured.sequence for one in decision.batch] == [3]


@given(
    st.lists(st.tuples(st.floats(0, 0.4), st.floats(0.05, 0.4), st.integers(0, 2)), min_size=1, max_size=12),
    st.floats(0, 0.1), st.floats(0.0001, 0.05), st.integers(1, 8),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_nothing_is_served_late_and_nothing_given_up_that_could_be_served(cameras, fixed, per_frame, max_batch):
    """Random ages and max_ages; some cameras had turns before."""
    policy = policy_of({str(i): Service(max_age_s=max_age) for i, (_, max_age, _) in enumerate(cameras)})
    cost = cost_of(fixed, per_frame)
    for i, (_, _, turns) in enumerate(cameras):
        for _ in range(turns):
            policy.take(policy.decide(0.0, {str(i): [frame(str(i))]}, BatchCost(), 1), 0.0)
    waiting = {str(i): [frame(str(i), age_s=age)] for i, (age, _, _) in enumerate(cameras)}
    decision = policy.decide(0.0, waiting, cost, max_batch)
    ages = {str(i): age for i, (age, _, _) in enumerate(cameras)}
    max_ages = {str(i): max_age for i, (_, max_age, _) in enumerate(cameras)}
    batch, expired = names(decision.batch), names(decision.expired)
    assert len(batch) <= max_batch
    assert len({*batch, *expired}) == len(batch) + len(expired)
    assert all(ages[one] + cost.seconds(len(batch)) <= max_ages[one] + 1e-9 for one in batch)
    assert set(expired) == {one for one in ages if ages[one] + cost.seconds(1) > max_ages[one]}
    assert bool(batch) == (len(expired) < len(cameras))  # work-conserving: nobody is expected, so nobody is waited for


# ---- turns, over time ----


def run_overloaded(
    weights, fps, seconds_for, max_batch, until_s=60.0, max_age_s=0.25, min_interval_s=1.0, stretches=False
):  # fmt: skip
    """Frames served by camera, and when; one mailbox that holds the newest frame each, one model, no threads."""
    cameras = {
        str(i): Service(weight=weight, max_age_s=max_age_s, stretches=stretches) for i, weight in enumerate(weights)
    }
    policy = policy_of(cameras, min_interval_s=min_interval_s)
    random = np.random.default_rng(5)
    cost = BatchCost([(1, seconds_for(1)), (max_batch, seconds_for(max_batch))])
    rates = dict(zip(cameras, fps, strict=True))
    events = sorted(
        (float((k + random.uniform(0, 0.2)) / rates[name] + 0.003 * int(name)), name)
        for name in cameras for k in range(round(until_s * rates[name]))
    )  # fmt: skip
    waiting, served = {}, {name: [] for name in cameras}
    now_s, place = 0.0, 0
    while place < len(events):
        while place < len(events) and events[place][0] <= now_s:
            at_s, name = events[place]
            waiting[name] = [captured(place, at_s, camera=name)]
            place += 1
        decision = policy.decide(now_s, waiting, cost, max_batch)
        policy.take(decision, now_s)
        for choice in (*decision.batch, *decision.expired):
            del waiting[choice.camera]
        now_s += seconds_for(len(decision.batch)) if decision.batch else 0.0005
        for choice in decision.batch:
            served[choice.camera].append((now_s, now_s - choice.captured.captured_s))
    return served


def fair_shares(weights, fps, capacity):
    """Weighted max-min: nobody gets more than it asks for, and what is left is divided by weight."""
    shares, left = {}, dict(enumerate(zip(weights, fps, strict=True)))
    while left:
        unit = capacity / sum(weight for weight, _ in left.values())
        content = {i: rate for i, (weight, rate) in left.items() if rate <= unit * weight}
        if not content:
            return {**shares, **{i: unit * weight for i, (weight, _) in left.items()}}
        shares |= content
        capacity -= sum(content.values())
        left = {i: one for i, one in left.items() if i not in content}
    return shares


@pytest.mark.parametrize(("weights", "fps", "per_frame", "max_batch"), [
    ([1] * 8, [25] * 8, 0.010, 1),  # 2× overload
    ([1, 1, 2, 2, 4, 4], [25] * 6, 0.0133, 1),
    ([1, 2, 3, 4], [30] * 4, 0.0167, 1),
    ([1, 1, 2, 2, 4, 4], [25] * 6, 0.0133, 4),
    ([1, 1, 1, 8], [25] * 4, 0.020, 1),  # it cannot use all of its share
    ([1] * 8, [60] + [10] * 7, 0.0125, 4),
    ([0.5, 0.5, 3], [15] * 3, 0.0444, 1),
])  # fmt: skip
def test_an_overloaded_model_is_shared_by_weight(weights, fps, per_frame, max_batch):
    """Within 5 % of weighted max-min shares, which are computed without any scheduling."""
    served = run_overloaded(weights, fps, lambda n: n * per_frame, max_batch)
    most = 1 / (max_batch * per_frame)  # of one camera: one frame in a batch, for its mailbox holds one
    expected = fair_shares(weights, [min(rate, most) for rate in fps], min(sum(fps), 1 / per_frame))
    got = {int(name): len(times) / 60 for name, times in served.items()}
    assert got == {i: pytest.approx(share, rel=0.05) for i, share in expected.items()}


def test_the_ages_of_an_overloaded_model_are_bounded():
    served = run_overloaded([1] * 16, [25] * 16, lambda n: 0.010 + 0.004 * n, 16)
    assert max(age for times in served.values() for _, age in times) <= 0.25


@pytest.mark.parametrize("weights", [[1] * 4, [0.02, 1, 1, 1]])
def test_a_model_slower_than_max_age_still_serves_each_camera_once_in_the_interval(weights):
    """t(1) = 300 ms > max_age, 4 cameras, one each 1.5 s."""
    served = run_overloaded(weights, [25] * 4, lambda n: 0.300 * n, 1, min_interval_s=1.5)
    for times in served.values():
        moments = [at_s for at_s, _ in times]
        assert len(moments) >= 30
        assert max(np.diff(moments)) <= 1.5 + 2 * 0.300 + 0.04  # its turn may come while another's frame runs


@pytest.mark.parametrize(("cameras", "fps", "alone_s", "max_batch"), [
    (1, 15, 0.16, 1),  # a result would be 0.16 s and up to a period old: some of them over 0.25 s
    (1, 15, 0.30, 1), (4, 15, 0.16, 4), (4, 15, 0.30, 4), (8, 10, 1.00, 8),
])  # fmt: skip
def test_a_slow_model_is_kept_busy_where_nobody_asked_for_a_max_age(cameras, fps, alone_s, max_batch):
    """It gains nothing from batches. All that it can answer is answered, and no result is older than three times its own time."""
    served = run_overloaded(
        [1] * cameras, [fps] * cameras, lambda n: alone_s * n, max_batch, stretches=True, until_s=120.0
    )
    ages = [age for times in served.values() for _, age in times]
    assert len(ages) * alone_s >= 0.9 * 120
    assert max(ages) <= max(0.25, 3 * alone_s) + 1e-9


def test_a_quick_model_stretches_nothing():
    policy = policy_of({"a": Service(stretches=True)})
    decision = policy.decide(3.0, {"a": [frame("a", age_s=0.245, now_s=3.0)]}, cost_of(0.01, 0.001), 8)
    assert (decision.batch, names(decision.expired)) == ((), ["a"])


def test_a_light_camera_is_served_once_in_the_interval():
    """By weight alone it would get 1/400 of 40 fps: one frame in ten seconds."""
    served = run_overloaded([0.01, 1, 1, 1, 1], [25] * 5, lambda n: 0.025 * n, 1)
    assert max(np.diff([at_s for at_s, _ in served["0"]])) <= 1.1


def test_after_a_stall_no_frame_is_served_late():
    """It lost no frame for age before, so that nothing is owed to it."""
    policy = policy_of({"a": Service(max_age_s=0.25)})
    decision = policy.decide(3.0, {"a": [frame("a", age_s=0.3, now_s=3.0)]}, cost_of(0.01, 0.001), 8)
    assert (decision.batch, names(decision.expired)) == ((), ["a"])


def test_who_comes_back_gets_no_credit_for_silence():
    policy, cost = policy_of({"a": Service(), "b": Service()}, min_interval_s=1e9), BatchCost()
    for i in range(100):
        policy.take(policy.decide(i, {"a": [frame("a", i, now_s=i)]}, cost, 1), i)
    turns = []
    for i in range(100, 110):
        decision = policy.decide(i, {"a": [frame("a", i, now_s=i)], "b": [frame("b", i, now_s=i)]}, cost, 1)
        policy.take(decision, i)
        turns += names(decision.batch)
    assert Counter(turns) == {"a": 4, "b": 6}  # two frames of credit: b, b, b, and then by turns


# ---- the wait ----


def expecting(camera_count: int, due_s: float, period_s: float = 0.1) -> Policy:
    """``camera_count`` cameras with nothing known of them, and one, "late", whose next frame comes at ``due_s``, like clockwork."""
    policy = policy_of({str(i): Service(max_age_s=10) for i in range(camera_count)})
    lane = policy.add("late", Service(max_age_s=10), 0.0)
    for i in range(20, 0, -1):
        lane.arrivals.add(due_s - i * period_s)
    return policy


def sum_of_ages(count: int, due_s: float, fixed: float, per_frame: float, *, wait: bool) -> float:
    """Of ``count`` frames of age 0 and one that comes at ``due_s``, when each has its result. By hand, for one model."""
    if wait:
        end_s = due_s + fixed + per_frame * (count + 1)
        return count * end_s + (end_s - due_s)
    end_s = fixed + per_frame * count
    late_end_s = max(end_s, due_s) + fixed + per_frame
    return count * end_s + (late_end_s - due_s)


@given(st.integers(1, 6), st.floats(0.0005, 0.05), st.floats(0.001, 0.05), st.floats(0.0, 0.02))
@settings(max_examples=300, deadline=None)
def test_it_waits_if_and_only_if_that_makes_all_ages_together_smaller(count, due_s, fixed, per_frame):
    difference = sum_of_ages(count, due_s, fixed, per_frame, wait=True) - sum_of_ages(
        count, due_s, fixed, per_frame, wait=False
    )
    policy = expecting(count, due_s)
    waiting = {str(i): [frame(str(i))] for i in range(count)}
    decision = policy.decide(0.0, waiting, cost_of(fixed, per_frame), 16)
    if abs(difference) < 1e-6 or (fixed - count * per_frame) / (count + 1) < LEAST_GAIN_S:
        return
    if difference < 0:
        assert decision.wait_until_s == pytest.approx(due_s + SLACK_S)
        assert decision.batch == ()
    else:
        assert (decision.wait_until_s, len(decision.batch)) == (None, count)


@pytest.mark.parametrize(("change", "waits"), [
    ({}, True),
    ({"max_batch": 2}, False),  # no room
    ({"max_age_s": 0.0335}, False),  # 5 + 1 ms and t(3) = 28 ms: it might be late
    ({"max_age_s": 0.0345}, True),
    ({"now_s": 0.0059}, True),  # a little late
    ({"now_s": 0.0061}, False),  # it should have come
    ({"weights": (0.0, 0.010)}, False),  # nothing to gain
])  # fmt: skip
def test_it_does_not_wait_in_vain(change, waits):
    policy = expecting(0, 0.005)
    for camera in "01":
        policy.add(camera, Service(max_age_s=change.get("max_age_s", 10)), 0.0)
    now_s = change.get("now_s", 0.0)
    decision = policy.decide(
        now_s, {camera: [frame(camera, now_s=now_s)] for camera in "01"},
        cost_of(*change.get("weights", (0.022, 0.002))), change.get("max_batch", 8),
    )  # fmt: skip
    assert (decision.wait_until_s is not None) is waits


def test_it_waits_a_little_longer_for_a_camera_whose_clock_is_not_exact():
    policy = policy_of({"a": Service(), "late": Service()})
    lane = policy._lanes["late"]
    for i, late_s in enumerate([0.0, 0.002] * 10):
        lane.arrivals.add(0.1 * i + late_s)
    expected_s = lane.arrivals.next_s
    decision = policy.decide(2.0, {"a": [frame("a", now_s=2.0)]}, cost_of(0.100, 0.001), 8)
    assert expected_s < decision.wait_until_s < expected_s + 0.006


@pytest.mark.parametrize(("budget_s", "waits"), [(0.030, False), (0.040, True), (1.0, True)])
def test_an_age_budget_is_used_for_fuller_batches_and_kept(budget_s, waits):
    """The frame is 10 ms old, the next comes in 20 ms, or 1 ms later, and both take 7 ms: 38 ms at most."""
    policy = Policy(age_budget_s=budget_s)
    policy.add("a", Service(), 0.0)
    lane = policy.add("late", Service(), 0.0)
    for i in range(10, 0, -1):
        lane.arrivals.add(0.020 - 0.1 * i)
    decision = policy.decide(0.0, {"a": [frame("a", age_s=0.010)]}, cost_of(0.004, 0.0015), 8)
    assert decision.wait_until_s == (pytest.approx(0.020 + SLACK_S) if waits else None)


def test_a_budget_does_not_outlast_a_deadline():
    policy = Policy(age_budget_s=math.inf)
    policy.add("a", Service(max_age_s=0.02), 0.0)
    lane = policy.add("late", Service(), 0.0)
    for i in range(10, 0, -1):
        lane.arrivals.add(0.020 - 0.1 * i)
    assert names(policy.decide(0.0, {"a": [frame("a")]}, cost_of(0.004, 0.0015), 8).batch) == ["a"]


def test_a_camera_that_is_gone_is_not_waited_for():
    policy = expecting(1, 0.001)
    policy.remove("late")
    assert names(policy.decide(0.0, {"0": [frame("0")]}, cost_of(0.02, 0.001), 8).batch) == ["0"]


# ---- deadlines of their own ----


def with_deadline(sequence: int, deadline_s: float, camera: str = "http"):
    one = frame(camera, sequence)
    return Captured(one.frame, one.received_s, one.captured_s, deadline_s)


@pytest.mark.parametrize(("deadline_s", "is_run"), [(math.inf, True), (0.0111, True), (0.0109, False), (-1.0, False)])
def test_a_frame_is_run_where_a_batch_of_one_makes_its_deadline(deadline_s, is_run):
    policy = policy_of({"http": Service(EVERY, max_age_s=math.inf)})
    waiting = {"http": [with_deadline(0, deadline_s)]}
    decision = policy.decide(0.0, waiting, cost_of(0.01, 0.001), 8)
    assert (len(decision.batch), len(decision.expired)) == (int(is_run), int(not is_run))


def test_the_shorter_of_deadline_and_age_counts():
    policy = policy_of({"http": Service(EVERY, max_age_s=0.02)})
    decision = policy.decide(0.1, {"http": [with_deadline(0, 60.0)]}, cost_of(0.01, 0.001), 8)
    assert names(decision.expired) == ["http"]


def test_a_deadline_has_no_grace():
    """A camera that lost frames, and was not served for long, has its newest served however old; a request is never worked on too late."""
    policy = policy_of(
        {"http": Service(EVERY, max_age_s=0.02), "till": Service(EVERY, max_age_s=0.02)}, min_interval_s=1.0
    )
    first = {"http": [with_deadline(0, 0.02)], "till": [frame("till", 0)]}
    policy.take(policy.decide(0.5, first, cost_of(0.01, 0.001), 8), 0.5)
    late = {"http": [with_deadline(1, 0.02)], "till": [frame("till", 1)]}
    decision = policy.decide(2.0, late, cost_of(0.01, 0.001), 8)
    assert (names(decision.batch), names(decision.expired)) == (["till"], ["http"])


def test_a_batch_is_as_large_as_the_tightest_deadline_in_it_allows():
    policy = policy_of({"http": Service(EVERY, max_age_s=math.inf)})
    waiting = {"http": [with_deadline(0, 0.0125), *(with_deadline(number, math.inf) for number in range(1, 8))]}
    decision = policy.decide(0.0, waiting, cost_of(0.01, 0.001), 8)
    assert [choice.captured.sequence for choice in decision.batch] == [0, 1]
