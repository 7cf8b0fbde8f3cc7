"""Server, as LoadGen defines it: requests arrive at random times at a given rate, whether or not the last is answered.

Latency counts from the moment at which a request was due, not from when the target had time for it: a target that falls behind is seen to.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from edgevision.bench.scenarios.base import Block, Nanoseconds, Scenario
from edgevision.bench.scenarios.checks import Checker
from edgevision.bench.scenarios.clock import now_ns, quiet, wait_until, whole_ns
from edgevision.bench.scenarios.measured import (
    ask_once,
    block_of,
    integers,
    most_of,
    parameter,
    seconds_of,
    stage_arrays,
    taken,
)  # fmt: skip
from edgevision.bench.scenarios.order import asked, order
from edgevision.bench.targets.base import Target

NAME = "server"
_LATE = 2.0  # times its length that a block may take, until the target has answered what arrived


def arrivals(rate: float, seconds: float, seed: int, most: int) -> Nanoseconds:
    """When requests are due, nanoseconds from the begin, int64 [n ≤ most]: a Poisson process, the time between two is exponential.

    >>> len(arrivals(rate=100, seconds=10, seed=1, most=10_000)) in range(900, 1100)
    True
    """
    rng = np.random.default_rng(seed)
    expected = rate * seconds
    enough = min(most, int(expected + 10 * expected**0.5) + 10)
    due = np.cumsum(rng.exponential(1e9 / rate, enough))
    return due[due < seconds * 1e9].astype(np.int64)


def run(target: Target, workload: Any, scenario: Scenario, round: int, name: str) -> Block:
    """A block of arrivals. Parameters: ``rate``, requests a second; ``batch``, how many that are due already may be asked at once;
    ``workers``, how many threads ask a target that allows it.

    ``offered``: requests that were due; ``dropped``: those that were not even begun when twice the block's length had passed.
    """
    return _Server(target, workload, scenario).run(round, name)


class _Server:
    def __init__(self, target: Target, workload: Any, scenario: Scenario) -> None:
        self._scenario = scenario
        self._target = target
        self._frames = workload.frames
        self._batch = int(parameter(scenario, "batch", 1))
        self._workers = int(parameter(scenario, "workers", 1)) if target.parallel else 1
        self._seconds = seconds_of(scenario)
        self._due = arrivals(parameter(scenario, "rate", 1e-3), self._seconds, scenario.seed, most_of(scenario))
        if len(self._due) == 0:  # a block too short for its rate: one request says more than none
            self._due = np.zeros(1, np.int64)
        places = order(len(self._frames), scenario.seed)
        self._places: list[int] = asked(places, len(self._due)).tolist()
        self._checker = Checker(target, self._frames, self._seconds)
        n = len(self._due)
        self._begun, self._done = integers(n), integers(n)
        self._rows: list[dict[str, int]] = [{}] * n
        self._lock = threading.Lock()
        self._checking = threading.Lock()
        self._next = 0
        self._began = self._end = 0
        self._told: tuple[str, ...] = ()
        self._failure: BaseException | None = None

    def run(self, round: int, name: str) -> Block:
        with quiet():
            self._told = ask_once(self._target, [self._frames[self._places[0]]])
            self._began = now_ns()
            self._end = self._began + whole_ns(self._seconds * _LATE)
            threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self._workers - 1)]
            for thread in threads:
                thread.start()
            self._work()
            for thread in threads:
                thread.join()
            ended = now_ns()
        if self._failure is not None:
            raise self._failure
        return self._block(round, name, ended)

    def _work(self) -> None:
        try:
            self._serve()
        except BaseException as error:
            self._failure = error
            self._end = 0  # the others need not go on

    def _serve(self) -> None:
        """Take the next request, wait until it is due, ask. Whoever is free takes the next: one queue for all workers."""
        due: list[int] = (self._due + self._began).tolist()
        stages: dict[str, int] | None = {} if self._told else None
        while True:
            with self._lock:
                first = self._next
                if first >= len(due):
                    return
                now = now_ns()
                last = first + 1
                while last < len(due) and last - first < self._batch and due[last] <= now:
                    last += 1
                self._next = last
            if now >= self._end or not wait_until(due[first]):
                with self._lock:
                    self._next = len(due)
                return
            places = self._places[first:last]
            frames = [self._frames[place] for place in places]
            begun = now_ns()
            results = self._target.answer(frames, stages)
            done = now_ns()
            for at in range(first, last):
                self._begun[at] = begun
                self._done[at] = done
                if stages is not None:
                    self._rows[at] = stages
            if stages is not None:
                stages = {}
            self._check(first, places, results, due[last] if last < len(due) else done + 1_000_000_000)

    def _check(self, first: int, places: list[int], results: Any, next_due: int) -> None:
        """Compare, where it makes no request wait."""
        checker = self._checker
        now = now_ns()
        if now < checker.next_ns or next_due - now < 2 * checker.cost_ns + 1_000_000:
            return
        if self._checking.acquire(blocking=False):
            try:
                checker.look(first, places, results, now)
                checker.cost_ns = max(checker.cost_ns, now_ns() - now)
            finally:
                self._checking.release()

    def _block(self, round: int, name: str, ended: int) -> Block:
        done = taken(self._done, len(self._due))
        answered = np.flatnonzero(done)
        due = self._due[answered]
        stages = stage_arrays([self._rows[at] for at in answered.tolist()], self._told)
        stages["schedule"] = np.maximum(taken(self._begun, len(self._due))[answered] - self._began - due, 0)
        places = np.asarray(self._places, np.int64)[answered]
        back = {int(at): place for place, at in enumerate(answered.tolist())}
        return block_of(
            name, self._scenario, round, self._began, ended, done[answered] - self._began - due, places,
            due_ns=due, stages=stages, streams=np.zeros(len(answered), np.int64), offered=(len(self._due),),
            dropped=(len(self._due) - len(answered),), wrong=tuple(back[at] for at in self._checker.wrong),
        )  # fmt: skip
