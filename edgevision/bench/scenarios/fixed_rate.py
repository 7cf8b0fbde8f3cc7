"""FixedRate, our own: N cameras give frames at a fixed rate, each on a phase of its own, and whoever has no time drops frames.

What a shop feels: the age of a frame when its result is there, and how many frames nobody looked at. Age counts from the moment at which
the camera gave the frame, however late it was taken.
"""

from __future__ import annotations

import threading
from array import array
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.bench.scenarios.base import Block, Nanoseconds, Scenario
from edgevision.bench.scenarios.checks import Checker
from edgevision.bench.scenarios.clock import now_ns, quiet, wait_until, whole_ns
from edgevision.bench.scenarios.measured import ask_once, block_of, integers, parameter, seconds_of, stage_arrays
from edgevision.bench.scenarios.order import asked, order
from edgevision.bench.targets.base import Target

NAME = "fixed-rate"
SETTLE_S = 0.5  # before frames count: a stream that begins is not one that runs
DRAIN_S = 1.0  # after the last frame, for results that are still to come
MOST_CAMERAS = 1024


def phases(cameras: int, seed: int) -> npt.NDArray[np.float64]:
    """When each camera gives its first frame, as a share 0…1 of a frame's time: cameras do not wait for each other."""
    return np.random.default_rng(seed).random(cameras)


def run(target: Target, workload: Any, scenario: Scenario, round: int, name: str) -> Block:
    """A block of cameras. Parameters: ``cameras``, ``fps`` of each, ``batch``, how many cameras' frames the target is given at once where
    it has no ``open_stream``; ``settle``, seconds before frames count.

    Samples are the frames that were served, in the order of ``due_ns``. A frame whose result came later than ``DRAIN_S`` after the
    block's end counts as dropped.
    """
    rig = _Rig(target, workload, scenario)
    with quiet():
        if hasattr(target, "open_stream"):
            rig.run_stream(target)
        else:
            rig.run_loop(target)
    return rig.block(round, name)


class _Rig:
    """The cameras: which frame of which is due when, and when each was served."""

    def __init__(self, target: Target, workload: Any, scenario: Scenario) -> None:
        self._scenario = scenario
        self._frames = workload.frames
        self._cameras = int(parameter(scenario, "cameras", 1))
        if self._cameras > MOST_CAMERAS:
            raise ValueError(f"scenario {scenario.name}: expected at most {MOST_CAMERAS} cameras, got {self._cameras}")
        self._fps = parameter(scenario, "fps", 1e-3)
        self._batch = int(parameter(scenario, "batch", 1)) if "batch" in scenario.parameters else 1
        self._settle_ns = whole_ns(float(scenario.parameters.get("settle", SETTLE_S)))
        self._seconds = seconds_of(scenario)
        period = 1e9 / self._fps
        total_ns = self._settle_ns + whole_ns(self._seconds)
        offsets = phases(self._cameras, scenario.seed) * period
        # due[c]: nanoseconds from the begin of settling at which camera c gives frames 0, 1, …
        self._due: list[Nanoseconds] = [
            np.arange(offset, total_ns, period).astype(np.int64) for offset in offsets.tolist()
        ]
        sizes = [len(due) for due in self._due]
        self._done = [integers(size) for size in sizes]
        self._taken = [integers(size) for size in sizes]  # when its request began, where a loop asks
        self._places: list[list[int]] = [
            asked(np.roll(order(len(self._frames), scenario.seed), -camera), size).tolist()
            for camera, size in enumerate(sizes)
        ]
        self._stages: dict[tuple[int, int], dict[str, int]] = {}
        self._told: tuple[str, ...] = ()
        self._checker = Checker(target, self._frames, self._seconds)
        self._wrong: list[tuple[int, int]] = []
        self._began = 0
        self._ended = 0
        self._cut_ns = total_ns  # where an interruption ended it
        self._loop = False

    # ---- a target with a way of its own ----

    def run_stream(self, target: Any) -> None:
        """Push each frame when it is due, and note when results come."""
        ask_once(target, [self._frames[self._places[0][0]]])
        events = self._events()
        left = threading.Semaphore(0)
        done = self._done
        clock = now_ns

        def served(camera: int, number: int) -> None:
            done[camera][number] = clock()
            left.release()

        stream = target.open_stream(self._cameras, self._fps, served)
        try:
            self._began = clock()
            pushed = 0
            for due, camera, number in events:
                if not wait_until(self._began + due):
                    self._cut_ns = min(self._cut_ns, due)
                    break
                stream.push(camera, number, self._frames[self._places[camera][number]])
                pushed += 1
            self._ended = clock()
            self._drain(pushed)
        finally:
            stream.close()

    def _drain(self, pushed: int) -> None:
        """Wait for what is under way: until each camera's last frame is served, which drops those before it, or ``DRAIN_S`` is over."""
        last = [int(np.searchsorted(due, self._cut_ns)) - 1 for due in self._due]
        until = self._ended + whole_ns(DRAIN_S)
        while pushed and now_ns() < until:
            if all(number < 0 or self._done[camera][number] for camera, number in enumerate(last)):
                return
            wait_until(min(until, now_ns() + 5_000_000))

    def _events(self) -> list[tuple[int, int, int]]:
        """(due, camera, number), in the order of time."""
        due = np.concatenate(self._due)
        camera = np.concatenate([np.full(len(one), place) for place, one in enumerate(self._due)])
        number = np.concatenate([np.arange(len(one)) for one in self._due])
        turn = np.argsort(due, kind="stable")
        return list(zip(due[turn].tolist(), camera[turn].tolist(), number[turn].tolist(), strict=True))

    # ---- a plain loop: the newest frame of each camera in turn ----

    def run_loop(self, target: Target) -> None:
        """Ask for the newest frames, up to ``batch`` cameras at once, until the time is over.

        No thread plays the cameras: which frame is the newest is known from the time. A user's capture threads would take some of the
        processor's time; here they take none, in favour of the target.
        """
        self._loop = True
        self._told = ask_once(target, [self._frames[self._places[0][0]]])
        due = [one.tolist() for one in self._due]
        newest = [0] * self._cameras  # the next frame of each camera that was not looked at yet
        turn = 0
        self._began = now_ns()
        end = self._began + self._cut_ns
        while True:
            elapsed = now_ns() - self._began
            batch: list[tuple[int, int]] = []
            for step in range(self._cameras):
                camera = (turn + step) % self._cameras
                number = _last_due(due[camera], newest[camera], elapsed)
                if number >= newest[camera]:
                    batch.append((camera, number))
                    newest[camera] = number + 1
                    if len(batch) == self._batch:
                        break
            if batch:
                turn = (batch[-1][0] + 1) % self._cameras
                self._ask(target, batch, due, newest)
                continue
            following = [due[camera][number] for camera, number in enumerate(newest) if number < len(due[camera])]
            if not following or self._began + min(following) >= end:
                break
            if not wait_until(self._began + min(following)):
                self._cut_ns = min(self._cut_ns, now_ns() - self._began)
                break
        self._ended = now_ns()

    def _ask(self, target: Target, batch: list[tuple[int, int]], due: list[list[int]], newest: list[int]) -> None:
        places = [self._places[camera][number] for camera, number in batch]
        frames = [self._frames[place] for place in places]
        stages: dict[str, int] | None = {} if self._told else None
        begun = now_ns()
        results = target.answer(frames, stages)
        done = now_ns()
        for camera, number in batch:
            self._taken[camera][number] = begun
            self._done[camera][number] = done
            if stages is not None:
                self._stages[camera, number] = stages
        checker = self._checker
        if done < checker.next_ns:
            return
        following = [due[camera][number] for camera, number in enumerate(newest) if number < len(due[camera])]
        if following and self._began + min(following) - done > 2 * checker.cost_ns + 1_000_000:
            known = len(checker.wrong)
            checker.look(0, places, results, done)
            checker.cost_ns = max(checker.cost_ns, now_ns() - done)
            if len(checker.wrong) > known:
                self._wrong.append(batch[0])

    # ---- what came of it ----

    def block(self, round: int, name: str) -> Block:
        """Frames that were due after settling and before the end."""
        columns: list[tuple[Nanoseconds, ...]] = []
        offered: list[int] = []
        dropped: list[int] = []
        latest = self._ended + whole_ns(DRAIN_S)
        for camera, due in enumerate(self._due):
            numbers = np.flatnonzero((due >= self._settle_ns) & (due < self._cut_ns))
            done = _as_array(self._done[camera])[numbers]
            served = (done > 0) & (done <= latest)
            offered.append(len(numbers))
            dropped.append(int(len(numbers) - served.sum()))
            numbers, done = numbers[served], done[served]
            places = np.asarray(self._places[camera], np.int64)[numbers]
            begun = _as_array(self._taken[camera])[numbers]
            columns.append((due[numbers], done, places, np.full(len(numbers), camera, np.int64), numbers, begun))
        due, done, places, streams, numbers, begun = (
            np.concatenate(column).astype(np.int64) for column in zip(*columns, strict=True)
        )
        turn = np.argsort(due, kind="stable")
        due, done, places, streams, numbers, begun = (
            column[turn] for column in (due, done, places, streams, numbers, begun)
        )
        keys = list(zip(streams.tolist(), numbers.tolist(), strict=True))
        stages: dict[str, Nanoseconds] = {}
        if self._loop:
            stages = stage_arrays([self._stages.get(key, {}) for key in keys], self._told)
            stages["schedule"] = np.maximum(begun - self._began - due, 0)
        where = {key: at for at, key in enumerate(keys)}
        first = self._began + self._settle_ns
        return block_of(
            name, self._scenario, round, first, self._began + max(self._cut_ns, self._settle_ns), done - self._began - due, places,
            due_ns=due - self._settle_ns, stages=stages, streams=streams, offered=tuple(offered), dropped=tuple(dropped),
            wrong=tuple(where[key] for key in self._wrong if key in where),
        )  # fmt: skip


def _as_array(values: array[int]) -> Nanoseconds:
    return np.frombuffer(values, np.int64) if len(values) else np.zeros(0, np.int64)


def _last_due(due: list[int], first: int, elapsed: int) -> int:
    """The newest frame that is there after ``elapsed``, at or after ``first``; ``first`` - 1 where none is."""
    number = first - 1
    while number + 1 < len(due) and due[number + 1] <= elapsed:
        number += 1
    return number
