"""What cameras that fail do to the rest: real RTSP cameras with bar codes in their pictures, each read by a ``Capture`` into a ``Mailbox``.

    PYTHONPATH=. python -m benchmarks.stream_cameras [--quick]

- ``fresh``: how long opening takes, and how old the first frame and the middle one of 100 truly are; beside PyAV and OpenCV as they come.
- ``rate``: a camera that announces 25 frames a second and sends 22.4: frames served a second, and their share of those it sent.
- ``freeze``: one of four cameras is stopped (SIGSTOP): the others' frames a second, their share of those sent, and longest pause (what never came is
  the cameras' own, where the machine is too slow to encode four; what came and was not served is ours: ``served_of_captured``); seconds
  until it is called stalled, and from its going on to its next frame.
- ``stall``: the network holds everything back for 3 s: the oldest frame served after it, with ``max_age_s`` 0.25, and how many were stale.
- ``password``: a wrong one: connections in 20 s. ``certificate``: a self-signed one without ``ca_file`` and with it.

Needs ``[stream]`` and GStreamer's RTSP server (see ``edgevision camsim``). Ages are true: they come from the pictures.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common import write_result
from edgevision.frames import ImageArray
from edgevision.streams.camera_state import State, StateChange
from edgevision.streams.camsim.camera import SimulatedCamera
from edgevision.streams.camsim.certificates import make_certificate
from edgevision.streams.camsim.reading import read_stamp
from edgevision.streams.camsim.server import CameraSettings
from edgevision.streams.capture import Capture
from edgevision.streams.clock import SystemClock
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Ledger
from edgevision.streams.mailbox import Mailbox
from edgevision.streams.options import CameraOptions
from edgevision.streams.reasons import Reason
from edgevision.streams.sources.registry import make_source

SETTINGS = CameraSettings(width=640, height=360)
FRAMES = 100


class Served(NamedTuple):
    """A frame that was taken: its number, its true age, and when."""

    number: int
    age_s: float
    at_s: float


class Reader:
    """Takes every frame of one camera as soon as it is there, as an idle model would."""

    def __init__(self, url: str, **options: Any) -> None:
        self.options = CameraOptions("cam", url, **options)
        self.ledger, self.served, self.changes = Ledger(), list[Served](), list[tuple[float, StateChange]]()
        self._arrived = threading.Semaphore(0)
        source = make_source(self.options)
        settle = partial(self.ledger.settle, "cam")
        self.mailbox = Mailbox(self.options.service(live=source.live), settle, self._arrived.release)
        self.capture = Capture("cam", source, self.mailbox, self.ledger, SystemClock(), self._note)
        self._stopping = False
        self._thread = threading.Thread(target=self._take, daemon=True)

    def _note(self, change: StateChange) -> None:
        self.changes.append((time.monotonic(), change))

    def _take(self) -> None:
        while self._arrived.acquire() and not self._stopping:
            captured = self.mailbox.take()
            if captured is None:  # a newer one took its place, and was taken before
                continue
            now_ns, now_s = time.time_ns(), time.monotonic()
            self.ledger.settle("cam", captured.sequence, Fate.SERVED)
            stamp = read_stamp(captured.frame.planes[0], now_ns)
            if stamp is not None:
                self.served.append(Served(stamp.number, (now_ns - stamp.time_ns) / 1e9, now_s))

    def until(self, what: Callable[[], bool], seconds: float = 60.0) -> float:
        """Wait for it; when it was."""
        end_s = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end_s:
                raise TimeoutError(f"{self.capture.state} {self.ledger.account('cam')}")
            time.sleep(0.002)
        return time.monotonic()

    def since(self, begin_s: float, end_s: float = float("inf")) -> list[Served]:
        """What was served between two moments."""
        return [one for one in self.served if begin_s < one.at_s < end_s]

    def first(self, state: State, after_s: float = 0.0) -> float:
        """When the camera went into that state."""
        self.until(lambda: any(at > after_s and one.state is state for at, one in self.changes))
        return next(at for at, one in self.changes if at > after_s and one.state is state)

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self.capture.start()

    def stop(self) -> None:
        """End, and be sure that every frame is accounted for."""
        self.capture.stop(10.0)
        self.mailbox.close()
        self._stopping = True
        self._arrived.release()
        self._thread.join(10.0)
        account = self.ledger.account("cam")
        if not account.balanced or account.in_flight:
            raise AssertionError(f"the ledger is not exact: {account}")


@contextlib.contextmanager
def reading(*readers: Reader) -> Iterator[None]:
    """Start them, and stop them at the end."""
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        for reader in readers:
            reader.stop()


def true_age_s(luma: ImageArray) -> float:
    """From the picture's bar code; NaN where it cannot be read."""
    now_ns = time.time_ns()
    stamp = read_stamp(luma, now_ns)
    return float("nan") if stamp is None else (now_ns - stamp.time_ns) / 1e9


def came(served: list[Served]) -> float:
    """Share of the frames that the camera sent in that time, by their numbers."""
    return len(served) / (served[-1].number - served[0].number + 1)


def milliseconds(seconds: float) -> int:
    return round(1000 * seconds)


# ---- fresh ----


def fresh_ours(url: str) -> tuple[float, list[float]]:
    reader = Reader(url)
    begin_s = time.monotonic()
    with reading(reader):
        reader.until(lambda: len(reader.served) >= FRAMES)
    return reader.served[0].at_s - begin_s, [one.age_s for one in reader.served[:FRAMES]]


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


# ---- the others ----


def rate(seconds: float) -> dict[str, Any]:
    with SimulatedCamera(CameraSettings(width=640, height=360, fps=22.4, announced_fps=25)) as camera:
        reader = Reader(camera.url)
        with reading(reader):
            begin_s = reader.until(lambda: len(reader.served) > 10)
            time.sleep(seconds)
            served = reader.since(begin_s)
    account = reader.ledger.account("cam")
    return {
        "announced_fps": 25, "real_fps": 22.4, "served_fps": round(len(served) / seconds, 2), "share_of_sent": round(came(served), 4), "captured": account.captured,
        "fates": {fate.value: count for fate, count in account.fates.items()},
    }  # fmt: skip


def freeze(seconds: float) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        cameras = [stack.enter_context(SimulatedCamera(SETTINGS)) for _ in range(4)]
        readers = [Reader(camera.url) for camera in cameras]
        with reading(*readers):
            for reader in readers:
                reader.until(lambda reader=reader: len(reader.served) > 50)  # type: ignore[misc]
            cameras[1].freeze()
            frozen_s = time.monotonic()
            stalled_s = readers[1].first(State.STALLED, frozen_s)
            time.sleep(max(0.0, frozen_s + seconds - time.monotonic()))
            cameras[1].thaw()
            thawed_s = time.monotonic()
            back_s = readers[1].until(lambda: readers[1].served[-1].at_s > thawed_s)
        others = [reader.since(frozen_s, thawed_s) for place, reader in enumerate(readers) if place != 1]
    accounts = [reader.ledger.account("cam") for place, reader in enumerate(readers) if place != 1]
    pauses = [after.at_s - before.at_s for served in others for before, after in pairwise(served)]
    return {
        "frozen_s": round(thawed_s - frozen_s, 2),
        "others_fps": [round(len(served) / (thawed_s - frozen_s), 2) for served in others],
        "others_share_of_sent": [round(came(served), 4) for served in others],
        "others_served_of_captured": [round(one.fates[Fate.SERVED] / one.captured, 4) for one in accounts],
        "others_longest_pause_ms": milliseconds(max(pauses)),
        "stalled_after_s": round(stalled_s - frozen_s, 2),
        "back_after_s": round(back_s - thawed_s, 2),
    }


def stall() -> dict[str, Any]:
    with SimulatedCamera(SETTINGS) as camera:
        reader = Reader(camera.url, timeout_s=10.0)
        with reading(reader):
            reader.until(lambda: len(reader.served) > 50)
            camera.proxy.stall()
            time.sleep(3.0)
            camera.proxy.resume()
            resumed_s = time.monotonic()
            time.sleep(3.0)
        after = reader.since(resumed_s)
    return {
        "max_age_s": 0.25, "oldest_served_ms": milliseconds(max(one.age_s for one in after)), "served": len(after),
        "stale": reader.ledger.counts("cam").get(Fate.STALE, 0),
    }  # fmt: skip


def password(seconds: float) -> dict[str, Any]:
    with SimulatedCamera(CameraSettings(user="till", password="right")) as camera:
        reader = Reader(camera.url.replace("rtsp://", "rtsp://till:wrong@"))
        with reading(reader):
            reader.first(State.BACKOFF)
            time.sleep(seconds)
    tries = [one for _, one in reader.changes if one.state is State.BACKOFF]
    return {"tries": len(tries), "in_s": seconds, "refused": all(one.reason is Reason.REFUSED for one in tries)}


def certificate() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        both, alone = make_certificate(Path(folder))
        with SimulatedCamera(CameraSettings(certificate=str(both))) as camera:
            stranger, known = Reader(camera.url), Reader(camera.url, ca_file=str(alone))
            with reading(stranger, known):
                stranger.first(State.BACKOFF)
                known.until(lambda: len(known.served) > 10)
    untrusted = any(one.reason is Reason.UNTRUSTED for _, one in stranger.changes)
    return {
        "without_ca_file": "untrusted" if untrusted else "served",
        "frames_without": len(stranger.served),
        "with_ca_file": "served",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, shorter waits")
    quick = parser.parse_args().quick
    result = {
        "fresh": fresh(1 if quick else 5),
        "rate": rate(5 if quick else 15),
        "freeze": freeze(4 if quick else 8),
        "stall": stall(),
        "password": password(3 if quick else 20),
        "certificate": certificate(),
    }
    write_result("stream-cameras", result)


if __name__ == "__main__":
    main()
