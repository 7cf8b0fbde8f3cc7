"""What streams hand to their sinks, made by hand."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from edgevision.frames import Frame
from edgevision.streams.camera_state import State, StateChange
from edgevision.streams.fates import Fate
from edgevision.streams.reasons import Reason
from edgevision.streams.results import StreamResult
from edgevision.tasks.detections import Detections
from edgevision.tasks.results import Classification, Label, Prediction, Timing
from edgevision.tracking.events import Cause, InventoryEvent

T0_NS = 1_790_000_000_000_000_000  # in 2026
TIMING = Timing(1.0, 2.0, 0.5)


def classified(name: str = "cola", *, known: bool = True) -> Classification:
    return Classification((Prediction(7, name, 0.9),), known, TIMING)


def detected(*boxes: tuple[float, float, float, float], name: str = "cola") -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.full(count, 0.9, np.float32), np.zeros(count, np.int64),
        (Label(7, name),), TIMING,
    )  # fmt: skip


def result(
    sequence: int = 0, camera: str = "till", answer: Any = None, *, age_s: float = 0.05, frame: Frame | None = None,
    captured_ns: int | None = -1, gap: dict[Fate, int] | None = None,
) -> StreamResult:  # fmt: skip
    """``captured_ns`` −1: 25 frames a second."""
    if captured_ns == -1:
        captured_ns = T0_NS + 40_000_000 * sequence
    return StreamResult(
        camera, sequence, classified() if answer is None else answer, captured_ns, age_s, gap or {}, "model-1", frame
    )


def event(number: int = 0, *, delta: int = 1, place: str = "shelf", product: str = "cola", time_s: float | None = None,
          camera: str = "till") -> InventoryEvent:  # fmt: skip
    when = T0_NS / 1e9 + number if time_s is None else time_s
    return InventoryEvent(f"event-{number}", when, camera, place, product, delta, number, Cause.CROSSED)


def change(state: State = State.LIVE, camera: str = "till", reason: Reason | None = None) -> StateChange:
    return StateChange(camera, state, reason, "" if reason is None else reason.words, T0_NS)


def wait_until(is_so: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait until it is so; fail where it never is."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def threads_named(word: str) -> list[str]:
    return [one.name for one in threading.enumerate() if word in one.name]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
