"""Models for tests of the streaming runtime: they answer each frame with its camera and number, and misbehave when told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from edgevision.frames import Frame

Answer = tuple[str | None, int | None]


def _nothing(frames: Sequence[Frame]) -> None:
    return None


class ToyModel:
    """``before``: called with the frames of each call, in the thread that makes it: it may raise or wait. ``calls``: the frames of
    each, as answers."""

    def __init__(
        self,
        max_batch: int = 8,
        parallel: int = 1,
        before: Callable[[Sequence[Frame]], None] = _nothing,
        id: str = "toy",
    ) -> None:
        self.id = id
        self.max_batch = max_batch
        self.parallel = parallel
        self.before = before
        self.calls: list[list[Answer]] = []
        self._lock = threading.Lock()

    def predict_frames(self, frames: Sequence[Frame]) -> list[Answer]:
        answers = [(frame.camera, frame.sequence) for frame in frames]
        with self._lock:
            self.calls.append(answers)
        self.before(frames)
        return answers


class Gate:
    """Holds calls of a model until the test lets them go on. ``inside``: how many are held."""

    def __init__(self) -> None:
        self.inside = 0
        self._open = 0
        self._changed = threading.Condition()

    def __call__(self, frames: Sequence[Frame]) -> None:
        with self._changed:
            self.inside += 1
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._open > 0, 30)
            self._open -= 1
            self.inside -= 1

    def wait_for_calls(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.inside >= count, 30)

    def let_go(self, count: int = 1) -> None:
        with self._changed:
            self._open += count
            self._changed.notify_all()
