"""Which frames the model gets now, and which are given up: decided from values alone, without threads and clocks.

The rules:

1. Whenever the model is free and a frame waits, a batch is formed at once, but for the one wait of rule 4.
2. A frame that cannot give a result within its camera's ``max_age`` is given up before the model sees it. Where nobody asked for a
   ``max_age``, a slow model makes it longer: else the model would rest most of the time, for it can serve no frame in time. A camera
   that lost frames so, and was not served for ``min_interval``, has its newest frame served however old: it is never starved. A frame with
   a deadline of its own is given up at that, always.
3. Where more frames wait than a batch holds, cameras take turns by weight (start-time fair queueing, Goyal, Vin and Cheng 1996, with
   every frame of the same size): each has a virtual time that grows by 1/weight with each frame taken; the least goes first, and of
   equals the one with the earliest deadline. Who comes back after a pause begins two frames before the others' virtual time: the time
   from one frame of a camera to the next is no pause, and more silence gives no more credit.
   Cameras that were not served for ``min_interval`` go before all others.
4. A batch with room waits for one frame more, the earliest that is expected, if that makes the sum of all ages smaller: with t(n) = b +
   a·n, waiting d seconds costs n·d for the n frames that wait and a for each of them; it spares the late frame its own b, and the time
   that the model would be busy without it. With an ``age_budget`` it waits if the oldest frame's result stays younger than that.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from edgevision.streams.arrivals import Arrivals
from edgevision.streams.batch_cost import BatchCost
from edgevision.streams.captured import Captured
from edgevision.streams.options import SLOW_MODEL, Service

_CREDIT = 2.0  # frames that a camera may have before the others after a pause
_DEVIATIONS = 2.0  # a frame that is expected is waited for so many mean deviations longer than it should take,
_LEAST_SLACK_S = 0.001  # and no less than this longer
_LEAST_GAIN_S = 0.0005  # a wait that pays for less than this is not begun: waking a thread takes about as long


@dataclass(eq=False)
class Lane:
    """What the policy knows of one camera. ``served_s``: when a frame of it was last taken, or when it was added. ``gave_up``: whether
    frames of it were given up since."""

    service: Service
    served_s: float
    arrivals: Arrivals = field(default_factory=Arrivals)
    virtual_time: float = 0.0
    gave_up: bool = False

    def max_age_s(self, single_s: float) -> float:
        """The most age of a result, where one frame takes ``single_s``."""
        asked_s = self.service.max_age_s
        return max(asked_s, SLOW_MODEL * single_s) if self.service.stretches else asked_s


class Choice(NamedTuple):
    """A waiting frame of one camera."""

    camera: str
    captured: Captured


class Decision(NamedTuple):
    """What to do now. ``batch``: frames to run, in the order of their turns; those of one camera in the order they came.
    ``expired``: frames to give up. ``wait_until_s``: where the batch is empty, when to look again unless a frame comes; None: no need.
    """

    batch: tuple[Choice, ...] = ()
    expired: tuple[Choice, ...] = ()
    wait_until_s: float | None = None


class _Candidate(NamedTuple):
    """A waiting frame in the order of turns. ``late``: it is served in spite of its deadline."""

    after_overdue: bool
    start: float
    deadline_s: float
    place: int  # the cameras' order where all else is equal: nothing after it is compared
    late: bool
    choice: Choice


class Policy:
    """The rules above, for the cameras that were added. Not thread-safe.

    ``decide`` changes nothing; ``take`` notes that a decision's batch was taken.
    """

    def __init__(self, *, min_interval_s: float = 1.0, age_budget_s: float | None = None) -> None:
        self._min_interval_s = min_interval_s
        self._age_budget_s = age_budget_s
        self._lanes: dict[str, Lane] = {}
        self._virtual_time = 0.0

    def add(self, camera: str, service: Service, now_s: float) -> Lane:
        """A camera is there. Its lane: tell its ``arrivals`` of each frame."""
        lane = self._lanes[camera] = Lane(service, now_s)
        return lane

    def remove(self, camera: str) -> None:
        """A camera is gone."""
        del self._lanes[camera]

    def decide(
        self, now_s: float, waiting: Mapping[str, Sequence[Captured]], cost: BatchCost, max_batch: int
    ) -> Decision:
        """What to do now, while the model could take a batch. ``waiting``: frames by camera, the oldest first."""
        candidates: list[_Candidate] = []
        expired: list[Choice] = []
        single_s = cost.seconds(1)
        for place, (camera, frames) in enumerate(waiting.items()):
            self._sort(camera, place, frames, single_s, now_s, candidates, expired)
        candidates.sort()
        chosen = _within_deadlines(candidates, now_s, cost, max_batch)
        until_s = None
        if chosen and len(chosen) == len(candidates) < max_batch:
            until_s = self._wait_until(now_s, chosen, waiting, cost)
        if until_s is not None:
            return Decision((), tuple(expired), until_s)
        if len(chosen) < len(candidates):
            expired += _overtaken(candidates, chosen)
        return Decision(tuple(one.choice for one in chosen), tuple(expired))

    def take(self, decision: Decision, now_s: float) -> None:
        """The decision was carried out."""
        for choice in decision.expired:
            self._lanes[choice.camera].gave_up = True
        starts = []
        for choice in decision.batch:
            lane = self._lanes[choice.camera]
            starts.append(self._start(lane))
            lane.virtual_time = starts[-1] + 1.0 / lane.service.weight
            lane.served_s = now_s
            lane.gave_up = False
        if starts:
            self._virtual_time = max(self._virtual_time, min(starts))

    def _start(self, lane: Lane) -> float:
        return max(lane.virtual_time, self._virtual_time - _CREDIT / lane.service.weight)

    def _sort(
        self, camera: str, place: int, frames: Sequence[Captured], single_s: float, now_s: float,
        candidates: list[_Candidate], expired: list[Choice],
    ) -> None:  # fmt: skip
        """Divide a camera's frames into candidates and those that not even a batch of one serves in time."""
        lane = self._lanes[camera]
        earliest_s, max_age_s = now_s + single_s, lane.max_age_s(single_s)
        overdue = now_s - lane.served_s >= self._min_interval_s
        start = self._start(lane)
        for captured in frames:
            deadline_s = min(captured.captured_s + max_age_s, captured.deadline_s)
            late = earliest_s > deadline_s
            choice = Choice(camera, captured)
            if late:
                by_grace = overdue and lane.gave_up and captured is frames[-1] and earliest_s <= captured.deadline_s
                if not by_grace:
                    expired.append(choice)
                    continue
            candidates.append(_Candidate(not overdue, start, deadline_s, place, late, choice))
            start += 1.0 / lane.service.weight

    def _wait_until(
        self, now_s: float, chosen: Sequence[_Candidate], waiting: Collection[str], cost: BatchCost
    ) -> float | None:
        """Until when a frame is expected that it pays to wait for; None: run now."""
        count = len(chosen)
        pays_s = math.inf
        if self._age_budget_s is None:
            pays_s = (cost.fixed_s - count * cost.per_frame_s) / (count + 1)
            if pays_s < _LEAST_GAIN_S:
                return None
        end_s = cost.seconds(count + 1)
        limit_s = min(math.inf if one.late else one.deadline_s for one in chosen) - end_s
        if self._age_budget_s is not None:
            oldest_s = min(one.choice.captured.captured_s for one in chosen)
            limit_s = min(limit_s, oldest_s + self._age_budget_s - end_s)
        found = math.inf
        for camera, lane in self._lanes.items():
            expected_s = lane.arrivals.next_s
            if expected_s > now_s + pays_s or expected_s > limit_s or camera in waiting:
                continue
            last_s = expected_s + max(_DEVIATIONS * lane.arrivals.deviation_s, _LEAST_SLACK_S)
            likely_s = expected_s if expected_s > now_s else last_s
            if likely_s <= now_s + pays_s and now_s < last_s <= limit_s:
                found = min(found, last_s)
        return found if found < math.inf else None


def _overtaken(candidates: Sequence[_Candidate], chosen: Sequence[_Candidate]) -> list[Choice]:
    """Frames that are left while a newer one of their camera is chosen. The batch ends after their deadline, and results come in order."""
    newest: dict[str, int] = {}
    for one in chosen:
        camera, captured = one.choice
        newest[camera] = max(captured.sequence, newest.get(camera, -1))
    left = [one.choice for one in candidates if one not in chosen]
    return [choice for choice in left if choice.captured.sequence < newest.get(choice.camera, -1)]


def _within_deadlines(
    candidates: Sequence[_Candidate], now_s: float, cost: BatchCost, max_batch: int
) -> list[_Candidate]:
    """The largest batch whose frames all make their deadlines, or are late by grace. The first in turn is always in it."""
    found = list(candidates[:1])
    low, high = 2, min(len(candidates), max_batch)
    while low <= high:  # a larger batch takes longer: if one size is too large, so are all above it
        size = (low + high) // 2
        end_s = now_s + cost.seconds(size)
        in_time = [one for one in candidates if one.late or end_s <= one.deadline_s]
        if len(in_time) >= size and in_time[0] is candidates[0]:
            found, low = in_time[:size], size + 1
        else:
            high = size - 1
    return found
