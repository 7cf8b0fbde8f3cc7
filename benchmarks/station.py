"""A Station on rendered placements with known truth: one event chain each, right or asked, and how soon; beside it the argmax of each frame.

    python -m benchmarks.station --classifier C.edge [--placements 300] [--first-seed 0]

Frames are drawn (``station_scenes.py``), 384 pixels, 12.5 a second of camera time; nothing waits in real time. Options of the Station were chosen on other
seeds (1000 and up: ``--first-seed 1000``). Latency is camera time from the last movement to the answer, and the processor time of the Station's steps
on this machine, which others used too. The argmax is that of
every fourth frame, of the whole picture, where the bundle's own threshold says that it is known; each change of it is an item.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import edgevision as ev
from benchmarks.common import write_result
from benchmarks.station_scenes import FPS, SIDE_PX, Kind, Session, Visit, camera_frames
from edgevision.frames import Frame
from edgevision.kiosk.events import (
    Answer,
    Blocked,
    Placed,
    PlacementEvent,
    Recognised,
    Removed,
    StationEvent,
    Unblocked,
    Unknown,
    Unsure,
)
from edgevision.kiosk.station.options import StationOptions
from edgevision.kiosk.station.placements import Placements

PER_SESSION = 10
SHOWN = ("placements", "one_chain", "right", "right_or_asked", "wrong_and_unasked", "from_still_to_answer_s")
NAIVE_EVERY = 4  # frames: each would only give it more chances to flicker


@dataclass(frozen=True)
class Outcome:
    """What became of one visit. ``chain``: exactly one placed, one answer, one removed, in this order; none of them where nothing is placed.

    ``verdict``: right, asked, helped (``Unsure`` or ``Unknown`` for a listed one), wrong, or none. ``offered``: an ``Unsure`` that holds the truth.
    """

    seed: int
    kind: str
    labels: tuple[int | None, ...]
    chain: bool
    verdict: str
    events: tuple[str, ...]
    offered: bool | None = None
    waited_s: float | None = None
    early: bool = False


@dataclass
class Naive:
    """The argmax of each frame of the same visits. ``items``: changes to a known label; ``exact``: visits with one that is right, or
    with none where nothing listed lies there."""

    visits: int = 0
    exact: int = 0
    wrong: int = 0
    items: int = 0
    frames: int = 0
    right_frames: int = 0


@dataclass
class Run:
    """Everything of one run. ``step_ms``: of each frame, without the model's; ``looks``: pictures that the model was shown."""

    outcomes: list[Outcome] = field(default_factory=list)
    naive: Naive = field(default_factory=Naive)
    step_ms: list[float] = field(default_factory=list)
    looks: int = 0
    frames: int = 0
    bundle: str = ""

    def add(self, other: Run) -> None:
        """Those of another session too."""
        self.outcomes += other.outcomes
        self.step_ms += other.step_ms
        self.looks += other.looks
        self.frames += other.frames
        self.bundle = other.bundle
        counts = asdict(other.naive)
        self.naive = Naive(**{name: value + counts[name] for name, value in asdict(self.naive).items()})


def watch(
    session: Session, model: Any, options: StationOptions, run: Run, *, naive: bool, folder: Path | None = None
) -> None:
    placements = Placements(model, options=options)
    told: list[tuple[StationEvent, float]] = []
    argmax: list[tuple[float, int | None]] = []
    for at_s, picture in camera_frames(session, folder):
        frame = Frame.from_array(picture)
        began = time.process_time()
        before = placements.looks
        events = placements.step(frame, at_s)
        spent_s = time.process_time() - began  # with one thread, what it takes where nothing else runs
        if placements.looks == before:
            run.step_ms.append(1e3 * spent_s)
        told += [(event, spent_s) for event in events]
        run.frames += 1
        if naive and run.frames % NAIVE_EVERY == 0:
            answer = model.predict(frame)
            argmax.append((at_s, answer.best.id if answer.known else None))
    run.looks += placements.looks
    for place, visit in enumerate(session.visits):
        ends_s = session.visits[place + 1].enters_s if place + 1 < len(session.visits) else np.inf
        mine = [(event, spent) for event, spent in told if visit.enters_s <= event.at_s < ends_s]
        run.outcomes.append(judged(session.seed, visit, mine))
        if naive:
            count_naive(visit, [label for at_s, label in argmax if visit.enters_s <= at_s < visit.ends_s], run.naive)


def judged(seed: int, visit: Visit, told: Sequence[tuple[StationEvent, float]]) -> Outcome:
    chain = [(event, spent) for event, spent in told if isinstance(event, PlacementEvent)]
    words = tuple(event.kind for event, _ in told)
    if not visit.labels:
        fine = not chain
        if visit.kind in (Kind.DARK, Kind.COVERED):
            blocks = [event for event, _ in told if isinstance(event, (Blocked, Unblocked))]
            fine &= [type(event) for event in blocks] == [Blocked, Unblocked]
        return Outcome(seed, visit.kind.value, (), fine, "none", words)
    kinds = [type(event) for event, _ in chain]
    whole = len(kinds) == 3 and kinds[0] is Placed and issubclass(kinds[1], Answer) and kinds[2] is Removed
    answers = [(event, spent) for event, spent in chain if isinstance(event, Answer)]
    if not answers:
        return Outcome(seed, visit.kind.value, visit.labels, whole, "none", words)
    verdicts = [verdict_of(visit, event) for event, _ in answers]
    worst = next(word for word in ("wrong", "helped", "asked", "right") if word in verdicts)
    first, spent_s = answers[0]
    still_s = max((end for begin, end in visit.moving if end <= first.at_s + 1e-9), default=None)
    early = any(begin <= first.at_s < end for begin, end in visit.moving)
    waited_s = None if early or still_s is None else first.at_s - still_s + spent_s
    offered = None
    if isinstance(first, Unsure):
        offered = any(choice.id == label for choice in first.choices for label in visit.labels)
    return Outcome(seed, visit.kind.value, visit.labels, whole, worst, words, offered, waited_s, early)


def verdict_of(visit: Visit, event: Answer) -> str:
    """Two products at once have no single right answer: what does not ask is wrong."""
    listed = [label for label in visit.labels if label is not None]
    if isinstance(event, Recognised):
        right = len(visit.labels) == 1 and listed == [event.product.id]
        return "right" if right else "wrong"
    if isinstance(event, Unknown):
        return "right" if not listed else "helped"
    return "asked"


def count_naive(visit: Visit, labels: Sequence[int | None], naive: Naive) -> None:
    runs = [label for place, label in enumerate(labels) if place == 0 or labels[place - 1] != label]
    items = [label for label in runs if label is not None]
    listed = [label for label in visit.labels if label is not None]
    alone = len(visit.labels) == 1
    naive.visits += 1
    naive.items += len(items)
    naive.exact += items == (listed if alone else []) or (not alone and sorted(items) == sorted(listed))
    naive.wrong += any(label not in listed for label in items)
    naive.frames += len(labels)
    naive.right_frames += sum(label in listed if label is not None else not listed for label in labels)


class Recorded:
    """A model that remembers what it said."""

    finds_boxes = False

    def __init__(self, model: Any) -> None:
        self.classes = len(model.labels)
        self.said: list[Any] = []
        self._model = model

    def predict_frames(self, frames: Sequence[Frame]) -> Sequence[Any]:
        """As the model."""
        answers: list[Any] = self._model.predict_items(frames)
        self.said += answers
        return answers


def alike(model: Any, first_seed: int, placements: int, folder: Path | None) -> dict[str, dict[str, float]]:
    """How much looks at one product that lies still are alike: the intraclass correlation of the log odds of each look's best class, apart for
    listed products, which this classifier hardly ever mistakes, and for unlisted ones."""
    options = StationOptions(sure=1 - 1e-9, patience_s=0.5, unknown_s=0.5)
    odds: dict[str, list[list[float]]] = {"listed": [], "unlisted": []}
    for session in sessions(first_seed, placements):
        recorded = Recorded(model)
        steps = Placements(recorded, options=options)
        seen: list[Any] = []
        for at_s, picture in camera_frames(session, folder):
            recorded.said.clear()
            events = steps.step(Frame.from_array(picture), at_s)
            if any(isinstance(event, Placed) for event in events):
                seen = []
            seen += recorded.said
            for event in events:
                visit = next((one for one in session.visits if one.enters_s <= event.at_s < one.ends_s), None)
                if isinstance(event, Answer) and visit is not None and len(visit.labels) == 1:
                    kind = "unlisted" if visit.labels[0] is None else "listed"
                    odds[kind].append([math.log(one.best.score / (1 - one.best.score + 1e-9)) for one in seen])
    return {kind: {"correlation": intraclass(groups), "placements": len(groups)} for kind, groups in odds.items()}


def intraclass(groups: Sequence[Sequence[float]]) -> float:
    """Of groups of equal size, cut to the smallest: the correlation of two members of one (one-way analysis of variance)."""
    size = min(len(group) for group in groups)
    table = np.array([group[:size] for group in groups])
    between = size * float(table.mean(axis=1).var(ddof=1))
    within = float(table.var(axis=1, ddof=1).mean())
    return (between - within) / (between + (size - 1) * within)


def quantile(values: Sequence[float], share: float) -> float | None:
    return float(np.quantile(values, share)) if len(values) else None


def summary(run: Run) -> dict[str, Any]:
    placed = [one for one in run.outcomes if one.labels]
    empty = [one for one in run.outcomes if not one.labels]
    waits = [one.waited_s for one in placed if one.waited_s is not None]
    count = max(1, len(placed))
    verdicts = Counter(one.verdict for one in placed)
    asked = verdicts["asked"] + verdicts["helped"]
    by_kind: dict[str, Counter[str]] = {}
    for one in run.outcomes:
        by_kind.setdefault(one.kind, Counter()).update([one.verdict, "chain" if one.chain else "other chain"])
    return {
        "bundle": run.bundle,
        "placements": len(placed),
        "one_chain": sum(one.chain for one in placed) / count,
        "right_or_asked": (verdicts["right"] + asked) / count,
        "wrong_and_unasked": verdicts["wrong"] / count,
        "right": verdicts["right"] / count,
        "asked": verdicts["asked"] / count,
        "unknown_for_a_listed_one": verdicts["helped"] / count,
        "no_answer": verdicts["none"] / count,
        "choices_hold_the_truth": [sum(bool(one.offered) for one in placed), sum(one.offered is not None for one in placed)],
        "visits_without_a_product_that_made_no_placement": [sum(one.chain for one in empty), len(empty)],
        "from_still_to_answer_s": {"p50": quantile(waits, 0.5), "p95": quantile(waits, 0.95), "max": max(waits, default=None),
                                   "count": len(waits), "while_something_moved": sum(one.early for one in placed)},
        "step_ms_without_the_model": {"p50": quantile(run.step_ms, 0.5), "p99": quantile(run.step_ms, 0.99)},
        "pictures_shown_to_the_model": run.looks,
        "frames": run.frames,
        "by_kind": {kind: dict(counts) for kind, counts in sorted(by_kind.items())},
        "argmax_of_each_frame": asdict(run.naive),
        "misses": [asdict(one) for one in run.outcomes if not one.chain or one.verdict in ("wrong",) or (one.labels and one.verdict == "none")],
    }  # fmt: skip


def sessions(first_seed: int, placements: int) -> Iterator[Session]:
    left, seed = placements, first_seed
    while left > 0:
        yield Session(seed, min(PER_SESSION, left))
        left, seed = left - PER_SESSION, seed + 1


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--classifier", type=Path, required=True, help="the demo's, as edgevision demo compiles it")
    arguments.add_argument("--placements", type=int, default=300)
    arguments.add_argument("--first-seed", type=int, default=0)
    arguments.add_argument("--whole-picture", action="store_true", help="show the classifier whole pictures")
    arguments.add_argument("--frames", type=Path, help="a folder where drawn frames are kept for the next run")
    arguments.add_argument("--processes", type=int, default=2)
    arguments.add_argument("--without-argmax", action="store_true")
    arguments.add_argument("--alike", action="store_true", help="only: the correlation of looks at one product")
    given = arguments.parse_args()
    cv2.setNumThreads(1)
    if given.alike:
        with ev.load(given.classifier, threads=1) as model:
            print(json.dumps(alike(model, given.first_seed, given.placements, given.frames), indent=1))
        return
    options = StationOptions(crop=not given.whole_picture)
    work = partial(watched, given.classifier, options, not given.without_argmax, given.frames)
    reported = given.first_seed == 0 and not given.whole_picture
    run = Run()
    with ProcessPoolExecutor(given.processes, multiprocessing.get_context("spawn")) as pool:
        for one in pool.map(work, list(sessions(given.first_seed, given.placements))):
            run.add(one)
            done = summary(run)
            print({key: done[key] for key in SHOWN}, flush=True)
            for miss in summary(one)["misses"]:
                print(miss, flush=True)
            if reported:  # a run that is stopped leaves what it has
                told = {"options": asdict(options), "fps": FPS, "side_px": SIDE_PX, **done}
                write_result("station", told)
    if not reported:
        print(json.dumps(summary(run), indent=1, ensure_ascii=False))


def watched(classifier: Path, options: StationOptions, naive: bool, folder: Path | None, session: Session) -> Run:
    """One session, in a process of its own."""
    cv2.setNumThreads(1)
    run = Run()
    with ev.load(classifier, threads=1) as model:
        run.bundle = f"{model.manifest.name}@{model.id[:12]}, {model.variant.id}"
        watch(session, model, options, run, naive=naive, folder=folder)
    return run


if __name__ == "__main__":
    main()
