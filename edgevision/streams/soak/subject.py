"""The process that is judged: a stream and nothing else, so that what it takes of the machine is the runtime's alone.

The first line of its input is JSON (``Settings``); then ``look``, ``swap PATH`` and ``stop`` are asked of it, each answered with one
line of JSON. It ends when its input does.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevision.streams.allocator import keep_memory_flat
from edgevision.streams.model_change import ModelChange, Step
from edgevision.streams.options import CameraOptions, SwapOptions
from edgevision.streams.results import StreamResult
from edgevision.streams.sinks.base import Item
from edgevision.streams.sinks.registry import make_sink
from edgevision.streams.stream import Stream

STOP_S = 20.0
_MAX_SLOWDOWN = 10.0  # the machine is full of cameras, and how quick the models are is not what is judged
_NOT_MADE = (Step.REFUSED, Step.REPLACED, Step.ROLLED_BACK)


@dataclass(frozen=True)
class Settings:
    """``model``: a bundle. ``cameras``: name → URL. ``sink``: of MQTT, as ``make_sink`` takes it; ``spool``: its file.
    ``shadow_frames``: that a new model is given in shadow."""

    model: str
    cameras: dict[str, str]
    sink: str
    spool: str
    threads: int | None = None
    shadow_frames: int = SwapOptions.frames


class Watch:
    """A sink that keeps how old results were since it was asked last, by the runtime's own account and by the clock of the camera, which
    is this machine's; and counts the steps of model swaps."""

    name = "watch"
    wants_frames = False

    def __init__(self) -> None:
        self._told_s: list[float] = []
        self._clock_s: list[float] = []
        self._steps: Counter[Step] = Counter()
        self._refusal = ""
        self._lock = threading.Lock()

    def open(self) -> None:
        """Nothing to do."""

    def write(self, item: Item) -> None:
        """Look at an item."""
        with self._lock:
            if isinstance(item, StreamResult):
                self._told_s.append(item.age_s)
                if item.captured_ns is not None:
                    self._clock_s.append((time.time_ns() - item.captured_ns) / 1e9)
            elif isinstance(item, ModelChange):
                self._steps[item.step] += 1
                if item.step in _NOT_MADE:
                    self._refusal = item.words

    def close(self, timeout_s: float) -> None:
        """Nothing to do."""

    def take(self) -> dict[str, Any]:
        """[p50, p99, greatest] age in seconds since the last call, None where nothing came; all steps of swaps so far, and
        why the last that was not made was not."""
        with self._lock:
            told_s, self._told_s = self._told_s, []
            clock_s, self._clock_s = self._clock_s, []
            refusal = self._refusal
            steps = {step.value: count for step, count in self._steps.items()}
        return {"told_s": _spread(told_s), "clock_s": _spread(clock_s), "steps": steps, "refusal": refusal}


def _spread(values: list[float]) -> list[float] | None:
    return np.percentile(values, (50, 99, 100)).round(4).tolist() if values else None


class Subject:
    """The stream, and what is asked of it."""

    def __init__(self, settings: Settings, model: Any) -> None:
        self._watch = Watch()
        self._swap_options = SwapOptions(frames=settings.shadow_frames, max_slowdown=_MAX_SLOWDOWN)
        self._mqtt = make_sink(settings.sink, {"spool": settings.spool, "discovery": ""})
        self._stream = Stream(model, sinks=[self._mqtt, self._watch])
        for name, url in settings.cameras.items():
            self._stream.add(CameraOptions(name, url))
        self._stream.start()

    def look(self) -> dict[str, Any]:
        """As of now."""
        courier = getattr(self._mqtt, "courier")  # noqa: B009 - of the sink that the settings name
        return {
            "accounts": [account.to_dict() for account in self._stream.ledger.accounts()],
            "states": {name: camera.state.state.value for name, camera in self._stream.cameras.items()},
            "delivered": courier.delivered,
            "refused": courier.refused,
            "fault": courier.fault,
            **self._watch.take(),
        }

    def swap(self, path: str) -> None:
        """Begin to swap the model."""
        self._stream.swap(path, options=self._swap_options)

    def stop(self) -> dict[str, Any]:
        """End the stream; what became of everything."""
        stopped = self._stream.stop(STOP_S)
        left = sorted(one.name for one in threading.enumerate() if one.name.startswith("edgevision"))
        return {**self.look(), "stopped": stopped, "threads_left": left}


def main() -> None:
    """Serve until the input ends."""
    import edgevision as ev

    warnings.simplefilter("ignore")
    keep_memory_flat()  # as `edgevision stream` does
    settings = Settings(**json.loads(sys.stdin.readline()))
    with ev.load(settings.model, threads=settings.threads, max_batch=len(settings.cameras)) as model:
        subject = Subject(settings, model)
        _answer({"ready": True})
        for line in sys.stdin:
            command, _, argument = line.rstrip("\n").partition(" ")
            if command == "look":
                _answer(subject.look())
            elif command == "swap":
                subject.swap(argument)
                _answer({})
            elif command == "stop":
                _answer(subject.stop())


def _answer(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
