"""What a target is: something that answers frames, and says what it is.

It lives in a process of its own, which may be the Python of another environment: this module needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

# The parts of a request, in the order in which they happen. A target that cannot tell one leaves it out.
STAGES = ("decode", "preprocess", "infer", "post")

# Nanoseconds spent in each stage of a request, by its name in ``STAGES``.
StageTimes = Mapping[str, int]


@dataclass(frozen=True)
class Allowance:
    """What every target of a run may use alike. ``threads``: of its engine, and cores that its process is bound to;
    ``max_batch``: the most frames that it is given at once."""

    threads: int = 1
    max_batch: int = 1


@dataclass(frozen=True)
class Identity:
    """What was measured, as found inside, not as its name says.

    ``precision``: as counted in the graph or read back from the engine, such as "int8 in 56 of 58 layers"; ``engine``: what runs it,
    such as "openvino 2026.4.1"; ``provider``: what that says it really used, such as "CPUExecutionProvider" or "OpenVINO CPU: brgemm_avx512".
    ``input_shape``: of the tensor for one frame of the workload, as the engine gets it: a target that resizes to fewer pixels does less work.
    ``sha256``, ``bytes``: of ``file``; empty and 0 for what is no file here. ``versions``: of packages. ``notes``: whatever a reader should
    know, a sentence each.
    """

    kind: str
    file: str
    sha256: str
    bytes: int
    task: str
    precision: str
    engine: str
    provider: str
    threads: int
    input_shape: tuple[int, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Answer:
    """What a target says of one frame, in a form that targets can be compared by.

    A classifier: ``classes`` int64 [k], best first, and their ``scores`` float64 [k]. A detector: the same for each box, best first,
    and ``boxes`` float64 [k, 4] as x1, y1, x2, y2 in pixels of the frame. A graph whose task nobody knows: neither, but ``tensors``:
    its outputs flattened, float64, by name.
    """

    classes: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    boxes: npt.NDArray[np.float64] | None = None
    tensors: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = [len(self.classes), len(self.scores), *([] if self.boxes is None else [len(self.boxes)])]
        if len(set(counts)) > 1:
            raise ValueError(f"expected as many scores and boxes as classes in an answer, got {counts}")


class Target(Protocol):
    """Something that answers frames. Used by one thread, unless ``parallel`` says that more may call at once."""

    identity: Identity
    parallel: bool

    def answer(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Any]:
        """One raw result for each frame of the workload, as a user of this target would get it: nothing is copied or converted for the harness.

        ``frames``: what ``workload`` made for this target: BGR arrays uint8 [H, W, 3], or bytes of JPEG where the workload is encoded.
        ``stages``: None where nobody asks; else the nanoseconds of each stage that the target can tell are added to it.
        """
        ...

    def read(self, result: Any) -> Answer:
        """A raw result, read. Never timed."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class Stream(Protocol):
    """A target at work on cameras."""

    def push(self, camera: int, number: int, frame: Any) -> None:
        """The next frame of a camera, at the time at which it would give it. Returns at once: what has no time for it drops it."""
        ...

    def close(self) -> None:
        """End, with no thread left."""
        ...


class Streaming(Protocol):
    """A target with a way of its own to serve many cameras. One without is asked in a plain loop: the newest frame of each camera in
    turn, up to ``max_batch`` at once."""

    def open_stream(self, cameras: int, fps: float, served: Callable[[int, int], None]) -> Stream:
        """``served(camera, number)`` is called, by any thread, as soon as a frame's result is in the user's hands."""
        ...
