"""The acceptance of the streaming runtime, measured: real RTSP cameras with bar codes in their pictures.

    PYTHONPATH=. python -m benchmarks.stream_cameras [--quick] [--hours X] [--only NAME …]

The scenarios are in ``stream_scenarios``, which tests/streams/test_acceptance.py holds against bounds in a short form; the letters are theirs.

- ``fresh`` (E): how long opening takes, and how old the first frame and the middle one of 100 truly are; beside PyAV and OpenCV as they come.
- ``rate`` (A): a camera that announces 25 frames a second and sends 22.4: frames served a second, and their share of those it sent.
- ``freeze`` (B): one of four cameras is stopped (SIGSTOP): the others' frames a second, their share of those sent, and longest pause (what never came is
  the cameras' own, where the machine is too slow to encode four; what came and was not served is ours: ``served_of_captured``); seconds
  until it is called stalled, and from its going on to its next frame.
- ``slow_loop`` (C): a loop that takes 100 ms for each result: how old these are.
- ``stall`` (D): the network holds everything back for 3 s: the oldest frame served after it, with ``max_age_s`` 0.25, and how many were stale.
- ``none_up`` (F): cameras that come up one by one, after the stream began: seconds from then to the first result.
- ``unreachable`` (G): a camera that is never there, tried each half second, for ``--hours``: memory, threads, descriptors.
- ``overload`` (H): twice what the model can serve, with broken connections: the ledger.
- ``come_and_go`` (I): a camera is added and removed 50 times: threads and descriptors.
- ``password`` (J): a wrong one: connections in 20 s. ``certificate`` (K): a self-signed one without ``ca_file`` and with it.
- ``broker_away`` (L): the broker is cut off for 20 s. ``bad_frame`` (M): the model raises on one picture.

Needs ``[stream]``, GStreamer's RTSP server (see ``edgevision camsim``) and mosquitto. Ages are true: they come from the pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from benchmarks import stream_scenarios as scenarios
from benchmarks.common import RESULTS, write_result
from benchmarks.stream_rig import SETTINGS, Reader, first_frames, milliseconds, reading
from edgevision.frames import ImageArray
from edgevision.streams.camsim.camera import SimulatedCamera
from edgevision.streams.camsim.reading import read_stamp

FRAMES = 100


def true_age_s(luma: ImageArray) -> float:
    """From the picture's bar code; NaN where it cannot be read."""
    now_ns = time.time_ns()
    stamp = read_stamp(luma, now_ns)
    return float("nan") if stamp is None else (now_ns - stamp.time_ns) / 1e9


def fresh_ours(url: str) -> tuple[float, list[float]]:
    return first_frames(url, FRAMES)


def fresh_pyav(url: str) -> tuple[float, list[float]]:
    import av

    begin_s, first_s, ages = time.monotonic(), 0.0, list[float]()
    with av.open(url, options={"rtsp_transport": "tcp"}) as container:
        for frame in container.decode(video=0):
            first_s = first_s or time.monotonic() - begin_s
            luma = frame.to_ndarray()[: frame.height]
            ages.append(true_age_s(luma))
            if len(ages) == FRAMES:
                return first_s, ages
    return first_s, ages


def fresh_opencv(url: str) -> tuple[float, list[float]]:
    import cv2

    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
    begin_s, first_s, ages = time.monotonic(), 0.0, list[float]()
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
    while len(ages) < FRAMES:
        _, picture = capture.read()
        first_s = first_s or time.monotonic() - begin_s
        ages.append(true_age_s(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)))
    capture.release()
    return first_s, ages


def fresh(rounds: int) -> dict[str, Any]:
    readers = {"edgevision": fresh_ours, "pyav_defaults": fresh_pyav, "opencv_defaults": fresh_opencv}
    rows: dict[str, list[tuple[float, list[float]]]] = {name: [] for name in readers}
    with SimulatedCamera(SETTINGS) as camera:
        watcher = Reader(camera.url)  # so that the camera runs already, as cameras do
        with reading(watcher):
            watcher.until(lambda: len(watcher.served) > 0)
            for _ in range(rounds):
                for name, read in readers.items():
                    rows[name].append(read(camera.url))
    return {
        name: {
            "first_frame_after_ms": milliseconds(median(first for first, _ in runs)),
            "first_frame_age_ms": milliseconds(median(ages[0] for _, ages in runs)),
            "p50_age_ms": milliseconds(float(np.nanmedian([ages for _, ages in runs]))),
        }
        for name, runs in rows.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, shorter waits")
    parser.add_argument(
        "--hours", type=float, default=1.0, help="of the camera that is never there (default 1; --quick: 20 s)"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="these alone; the file keeps what it has of the others"
    )
    arguments = parser.parse_args()
    quick = arguments.quick
    every: dict[str, Callable[[], dict[str, Any]]] = {
        "fresh": lambda: fresh(1 if quick else 5),
        "rate": lambda: scenarios.rate(5 if quick else 15),
        "freeze": lambda: scenarios.freeze(4 if quick else 8),
        "slow_loop": lambda: scenarios.slow_loop(5 if quick else 30),
        "stall": scenarios.stall,
        "none_up": lambda: scenarios.none_up(2 if quick else 4, 2.0),
        "unreachable": lambda: scenarios.unreachable(20 if quick else 3600 * arguments.hours),
        "overload": lambda: scenarios.overload(5 if quick else 30),
        "come_and_go": lambda: scenarios.come_and_go(6 if quick else 50),
        "password": lambda: scenarios.password(3 if quick else 20),
        "certificate": scenarios.certificate,
        "broker_away": lambda: scenarios.broker_away(4 if quick else 20),
        "bad_frame": scenarios.bad_frame,
    }
    if unknown := set(arguments.only or ()) - set(every):
        parser.error(f"--only knows {', '.join(every)}, got {', '.join(sorted(unknown))}")
    path = RESULTS / "stream-cameras.json"
    before = json.loads(path.read_text()) if arguments.only and path.exists() else {}
    result = {name: before[name] for name in every if name in before}
    for name in arguments.only or every:
        result[name] = every[name]()
        print(name, json.dumps(result[name]), flush=True)
    write_result("stream-cameras", result)


if __name__ == "__main__":
    main()
