"""What the batcher itself costs, with real threads and the real clock: no engine, no pictures.

    PYTHONPATH=. python -m benchmarks.stream_overhead [--seconds 10]

- ``hand_off``: from ``Mailbox.put`` to the answer of a model that does nothing, one camera at 200 fps, and, in turns, from
  ``SimpleQueue.put`` to ``get`` in another thread: what the machine itself takes to wake a thread.
- ``processor``: time of all threads for each frame, 64 cameras at 25 fps, less that of making the same frames and putting them into
  mailboxes that are closed, in turns.
- ``one_thread``: the same work without waking a thread, in one: put, taken, run, told; the least of many short stretches, in turns with that of making the
  same frames. It says what Python does for a frame, also on a machine that does other work besides.
- ``throughput``: a model that sleeps 10 ms whatever it gets, behind the batcher and called in a bare loop, in turns, while the same
  frames are made beside both: batches a second.
- ``overload``: a model that sleeps 10 ms a frame and 8 cameras at 25 fps with weights: shares against weighted max-min shares,
  greatest age, and whether the ledger is exact.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from queue import SimpleQueue
from typing import Any

import numpy as np

from benchmarks.common import write_result
from edgevision.frames import Frame
from edgevision.streams.batcher import Batcher
from edgevision.streams.captured import Captured
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Ledger
from edgevision.streams.mailbox import Mailbox
from edgevision.streams.options import Service, StreamOptions
from edgevision.streams.tickets import Settled

ENGINE_S = 0.010
_PIXELS = np.zeros((2, 2, 3), np.uint8)


class SleepingModel:
    """Sleeps ``seconds(n)`` and answers each frame with its number."""

    id = "sleeping"
    parallel = 1

    def __init__(self, seconds: Callable[[int], float], max_batch: int) -> None:
        self.max_batch = max_batch
        self.calls = 0
        self._seconds = seconds

    def predict_frames(self, frames: Sequence[Frame]) -> list[int | None]:
        """Sleep."""
        self.calls += 1
        seconds = self._seconds(len(frames))
        if seconds > 0:
            time.sleep(seconds)
        return [frame.sequence for frame in frames]


class Feed:
    """Puts frames of cameras into their mailboxes, as a capture thread does."""

    def __init__(self, ledger: Ledger, mailboxes: Mapping[str, Mailbox]) -> None:
        self._ledger = ledger
        self._mailboxes = mailboxes

    def put(self, camera: str) -> None:
        """One frame, now."""
        frame = Frame.from_array(_PIXELS, camera=camera, sequence=self._ledger.captured(camera))
        now_s = time.monotonic()
        self._mailboxes[camera].put(Captured(frame, now_s, now_s))

    def run(self, fps: float, seconds: float) -> None:
        """Every camera at ``fps``, spread over the period."""
        cameras = list(self._mailboxes)
        start_s = time.monotonic()
        for step in range(round(seconds * fps)):
            for place, camera in enumerate(cameras):
                at_s = start_s + (step + place / len(cameras)) / fps
                if (left_s := at_s - time.monotonic()) > 0:
                    time.sleep(left_s)
                self.put(camera)


@contextmanager
def running(
    model: SleepingModel, services: Mapping[str, Service], answer: Callable[[Settled], None]
) -> Iterator[tuple[Batcher, Feed]]:
    ledger = Ledger()
    batcher = Batcher(model, ledger, options=StreamOptions(warm_up=False))
    mailboxes = {name: batcher.add(name, service, answer) for name, service in services.items()}
    batcher.start()
    try:
        yield batcher, Feed(ledger, mailboxes)
    finally:
        assert not batcher.stop(10.0)


def hand_off(seconds: float, turns: int = 10) -> dict[str, Any]:
    ours_s: list[float] = []
    bare_s: list[float] = []
    for _ in range(turns):
        with running(SleepingModel(lambda n: 0.0, 8), {"a": Service()}, lambda one: ours_s.append(one.age_s)) as (
            _,
            feed,
        ):
            feed.run(200, seconds / turns)
        bare_s += bare_hand_off(200, seconds / turns)
    ours, bare = 1e6 * np.array(ours_s), 1e6 * np.array(bare_s)
    return {
        "p50_us": round(float(np.percentile(ours, 50)), 1),
        "p90_us": round(float(np.percentile(ours, 90)), 1),
        "queue_p50_us": round(float(np.percentile(bare, 50)), 1),
        "queue_p90_us": round(float(np.percentile(bare, 90)), 1),
        "p50_over_queue_us": round(float(np.percentile(ours, 50) - np.percentile(bare, 50)), 1),
        "frames": len(ours_s),
    }


def bare_hand_off(fps: float, seconds: float) -> list[float]:
    """Seconds from ``put`` to ``get`` of a queue, in another thread."""
    queue: SimpleQueue[float | None] = SimpleQueue()
    taken_s: list[float] = []

    def take() -> None:
        while (put_s := queue.get()) is not None:
            taken_s.append(time.monotonic() - put_s)

    taker = threading.Thread(target=take)
    taker.start()
    start_s = time.monotonic()
    for step in range(round(seconds * fps)):
        if (left_s := start_s + step / fps - time.monotonic()) > 0:
            time.sleep(left_s)
        queue.put(time.monotonic())
    queue.put(None)
    taker.join()
    return taken_s


def processor(seconds: float, turns: int = 5) -> dict[str, Any]:
    """Microseconds for each frame of each turn, and their median."""
    cameras = {str(i): Service() for i in range(64)}
    frames = round(25 * seconds / turns) * len(cameras)
    costs = []
    for _ in range(turns):
        before_s = time.process_time()
        feed_for_nobody(cameras).run(25, seconds / turns)
        alone_s = time.process_time() - before_s
        with running(SleepingModel(lambda n: 0.0, 8), cameras, lambda one: None) as (_, feed):
            before_s = time.process_time()
            feed.run(25, seconds / turns)
            costs.append(1e6 * (time.process_time() - before_s - alone_s) / frames)
    return {"us_per_frame": [round(cost, 1) for cost in costs], "median_us": round(float(np.median(costs)), 1)}


def feed_for_nobody(cameras: Mapping[str, Service]) -> Feed:
    """The same frames, for mailboxes that let nothing in."""
    ledger = Ledger()
    closed = {name: Mailbox(service, partial(ledger.settle, name)) for name, service in cameras.items()}
    for mailbox in closed.values():
        mailbox.close()
    return Feed(ledger, closed)


def one_thread(stretches: int = 60, frames: int = 200) -> dict[str, Any]:
    """Microseconds for each frame, of the scheduler and of making and counting the frame."""
    cameras = {str(i): Service() for i in range(64)}
    ledger = Ledger()
    batcher = Batcher(SleepingModel(lambda n: 0.0, 8), ledger, options=StreamOptions(warm_up=False))
    served = Feed(ledger, {name: batcher.add(name, service, lambda one: None) for name, service in cameras.items()})
    alone = feed_for_nobody(cameras)
    names = [name for _, name in zip(range(frames), cycle(cameras), strict=False)]
    costs: dict[str, list[float]] = {"scheduler": [], "frame": []}
    for _ in range(stretches):
        begin_s = time.thread_time()
        for name in names:
            served.put(name)
            batcher._serve()  # what a worker does, in this thread
        middle_s = time.thread_time()
        for name in names:
            alone.put(name)
        costs["scheduler"].append(1e6 * (middle_s - begin_s) / frames)
        costs["frame"].append(1e6 * (time.thread_time() - middle_s) / frames)
    frame_us = min(costs["frame"])
    return {"scheduler_us": round(min(costs["scheduler"]) - frame_us, 1), "frame_us": round(frame_us, 1)}


def throughput(seconds: float, turns: int = 11) -> dict[str, Any]:
    """Batches a second behind the batcher ÷ in a bare loop, for each turn."""
    ratios = []
    frames = [Frame.from_array(_PIXELS)] * 2
    cameras = {str(i): Service() for i in range(2)}
    for _ in range(turns):
        bare = SleepingModel(lambda n: ENGINE_S, 2)
        feeding = threading.Thread(target=feed_for_nobody(cameras).run, args=(120, seconds / turns))
        feeding.start()
        started_s = time.monotonic()
        while feeding.is_alive():
            bare.predict_frames(frames)
        bare_rate = bare.calls / (time.monotonic() - started_s)
        behind = SleepingModel(lambda n: ENGINE_S, 2)
        with running(behind, cameras, lambda one: None) as (_, feed):
            started_s = time.monotonic()
            feed.run(120, seconds / turns)
            ratios.append(behind.calls / (time.monotonic() - started_s) / bare_rate)
    return {"ratios": [round(ratio, 4) for ratio in ratios], "median": round(float(np.median(ratios)), 4)}


def fair_shares(weights: Sequence[float], rate: float, capacity: float) -> list[float]:
    """Weighted max-min: no camera gets more than its ``rate``, and what is left is divided by weight."""
    shares = [0.0] * len(weights)
    left = set(range(len(weights)))
    while left:
        unit = capacity / sum(weights[i] for i in left)
        content = {i for i in left if unit * weights[i] >= rate}
        for i in content or left:
            shares[i] = rate if content else unit * weights[i]
        capacity -= rate * len(content)
        left = left - content if content else set()
    return shares


def overload(weights: Sequence[float], seconds: float) -> dict[str, Any]:
    served: dict[str, list[float]] = {str(i): [] for i in range(len(weights))}
    lock = threading.Lock()

    def answer(one: Settled) -> None:
        if one.fate is Fate.SERVED:
            with lock:
                served[one.captured.camera].append(one.age_s)

    cameras = {str(i): Service(weight=weight) for i, weight in enumerate(weights)}
    model = SleepingModel(lambda n: ENGINE_S * n, 1)
    with running(model, cameras, answer) as (batcher, feed):
        feed.run(25, seconds)
    fps = [len(served[str(i)]) / seconds for i in range(len(weights))]
    expected = fair_shares(weights, 25, sum(fps))
    ages = [age for one in served.values() for age in one]
    accounts = batcher.ledger.accounts()
    return {
        "weights": list(weights),
        "fps": [round(one, 2) for one in fps],
        "offered_to_served": round(25 * len(weights) / sum(fps), 2),
        "worst_share_off": round(max(abs(one / due - 1) for one, due in zip(fps, expected, strict=True)), 4),
        "greatest_age_ms": round(1e3 * max(ages), 1),
        "ledger_exact": all(one.balanced and not one.in_flight for one in accounts),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each part")
    seconds = parser.parse_args().seconds
    result: dict[str, Any] = {"seconds": seconds}
    parts: dict[str, Callable[[], Any]] = {
        "hand_off": lambda: hand_off(seconds),
        "processor": lambda: processor(seconds),
        "one_thread": one_thread,
        "throughput": lambda: throughput(seconds),
        "overload_equal": lambda: overload([1] * 8, seconds),
        "overload_weighted": lambda: overload([1, 1, 1, 1, 2, 2, 4, 4], seconds),
    }
    for name, measure in parts.items():
        result[name] = measure()
        print(name, result[name], flush=True)
    write_result("stream_overhead", result)


if __name__ == "__main__":
    main()
