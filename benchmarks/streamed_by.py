"""Streams cameras by one runtime, in the environment that has it, and tells what it served. Run by ``stream_peers`` alone.

One line of JSON comes in: ``runtime``, ``model``, ``urls``, ``seconds``. Lines of JSON go out: ``{"ready": true}`` at the first result of
each camera, then the figures. Ages are true: each picture that a result is of carries its number and time.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from edgevision.frames import ImageArray
from edgevision.streams.camsim.reading import read_stamp

_START_S = 60.0

Result = tuple[int, ImageArray]  # which camera, and the luma of the picture


def ours(model: str, urls: Sequence[str]) -> Iterator[Result]:
    """``ev.stream``, as its page shows it. ``model``: a bundle."""
    import edgevision as ev

    places = {f"cam{place}": place for place in range(len(urls))}
    cameras = dict(zip(places, urls, strict=True))
    with (
        ev.load(model, engine="onnxruntime", max_batch=len(urls)) as loaded,
        ev.stream(cameras, loaded, keep_frames=True) as results,
    ):
        for result in results:
            assert result.frame is not None
            yield places[result.camera], result.frame.planes[0]


def ultralytics(model: str, urls: Sequence[str]) -> Iterator[Result]:
    """The stream mode of Ultralytics, as its page shows it. ``model``: an ONNX file with a free batch.

    ``rect=False``: a graph of free size would run on 384×640 pixels for these cameras, and ours runs on 640×640: the same work for both.
    """
    from ultralytics import YOLO

    with tempfile.NamedTemporaryFile("w", suffix=".streams") as listed:
        listed.write("\n".join(urls))
        listed.flush()
        network = YOLO(model, task="detect")
        for number, result in enumerate(
            network(source=listed.name, stream=True, verbose=False, batch=len(urls), rect=False)
        ):
            yield number % len(urls), _luma(result.orig_img)


def roboflow(model: str, urls: Sequence[str]) -> Iterator[Result]:
    """InferencePipeline of Roboflow's ``inference``, with the network by ONNX Runtime, for its own models need an account."""
    import queue

    import onnxruntime
    from inference import InferencePipeline

    session = onnxruntime.InferenceSession(model)
    name, (_, _, height, width) = session.get_inputs()[0].name, session.get_inputs()[0].shape
    served: queue.Queue[Result] = queue.Queue()

    def predict(frames: list[Any]) -> list[Any]:
        import cv2

        pictures = [cv2.resize(frame.image, (width, height))[..., ::-1].transpose(2, 0, 1) for frame in frames]
        outputs = session.run(None, {name: np.ascontiguousarray(np.stack(pictures), np.float32) / 255})[0]
        return list(outputs)

    def sink(answers: Any, frames: Any) -> None:
        for frame in frames if isinstance(frames, list) else [frames]:
            if frame is not None:
                served.put((frame.source_id or 0, _luma(frame.image)))

    pipeline = InferencePipeline.init_with_custom_logic(
        video_reference=list(urls), on_video_frame=predict, on_prediction=sink
    )
    pipeline.start(use_main_thread=False)
    try:
        while True:
            yield served.get(timeout=_START_S)
    finally:
        pipeline.terminate()


RUNTIMES: dict[str, Callable[[str, Sequence[str]], Iterator[Result]]] = {
    "edgevision": ours, "ultralytics": ultralytics, "roboflow": roboflow,
}  # fmt: skip


def measure(results: Iterator[Result], cameras: int, seconds: float, begun: Callable[[], None]) -> dict[str, Any]:
    """What comes in ``seconds``, from the first result of each camera on, as far as they come."""
    waiting, limit_s = set(range(cameras)), time.monotonic() + _START_S
    while waiting and time.monotonic() < limit_s:
        waiting.discard(next(results)[0])
    begun()
    ages: list[list[float]] = [[] for _ in range(cameras)]
    numbers: list[set[int]] = [set() for _ in range(cameras)]
    unread, begin_s = 0, time.monotonic()
    while time.monotonic() < begin_s + seconds:
        place, luma = next(results)
        now_ns = time.time_ns()
        stamp = read_stamp(luma, now_ns)
        if stamp is None:
            unread += 1
            continue
        ages[place].append((now_ns - stamp.time_ns) / 1e9)
        numbers[place].add(stamp.number)
    took_s = time.monotonic() - begin_s
    every = [age for some in ages for age in some]
    low, high, most = (np.percentile(every, (50, 99, 100)) if every else np.full(3, np.nan)).tolist()
    return {
        "fps": [round(len(some) / took_s, 2) for some in numbers], "again": sum(map(len, ages)) - sum(map(len, numbers)),
        "p50_age_ms": round(1000 * low), "p99_age_ms": round(1000 * high), "oldest_ms": round(1000 * most), "unread": unread,
        "never_came": len(waiting), "seconds": round(took_s, 2),
    }  # fmt: skip


def _luma(picture: ImageArray) -> ImageArray:
    import cv2

    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))


def main() -> None:
    asked = json.loads(sys.stdin.readline())
    _end_after(asked["seconds"] + 2 * _START_S)
    results = RUNTIMES[asked["runtime"]](asked["model"], asked["urls"])
    found = measure(results, len(asked["urls"]), asked["seconds"], lambda: _tell({"ready": True}))
    _tell(found)
    os._exit(0)  # some runtimes do not end when they are left


def _end_after(seconds: float) -> None:
    """A runtime that hangs is no figure, and does not end by itself."""
    timer = threading.Timer(seconds, lambda: os._exit(3))
    timer.daemon = True
    timer.start()


def _tell(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
