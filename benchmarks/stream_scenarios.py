"""The acceptance of the streaming runtime: thirteen scenarios with real RTSP cameras, each a function that gives figures.

``stream_cameras`` records them; tests/streams/test_acceptance.py holds the same functions, in a short form, against bounds that a busy
machine keeps. Ages are true: they come from the pictures. Lengths are in seconds; a scenario raises AssertionError where the
ledger is not exact.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.stream_rig import (
    NO_WARM_UP,
    SETTINGS,
    SMALL,
    Figures,
    Kept,
    Reader,
    StampModel,
    came,
    check_ledger,
    milliseconds,
    reading,
    true_age_s,
    until,
)
from edgevision.frames import Frame
from edgevision.streams.camera_state import State
from edgevision.streams.camsim.camera import SimulatedCamera
from edgevision.streams.camsim.certificates import make_certificate
from edgevision.streams.camsim.server import CameraSettings
from edgevision.streams.fates import Fate
from edgevision.streams.reasons import Reason
from edgevision.streams.sinks.registry import make_sink
from edgevision.streams.soak.arrivals import Arrivals, Subscriber
from edgevision.streams.soak.broker import SoakBroker
from edgevision.streams.soak.trend import theil_sen
from edgevision.streams.soak.usage import Usage, read_usage
from edgevision.streams.stream import Stream


def rate(seconds: float) -> Figures:
    """A: a camera that announces 25 frames a second and sends 22.4."""
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


def freeze(seconds: float, settings: CameraSettings = SETTINGS) -> Figures:
    """B: one of four cameras is stopped (SIGSTOP) for ``seconds`` at least."""
    with contextlib.ExitStack() as stack:
        cameras = [stack.enter_context(SimulatedCamera(settings)) for _ in range(4)]
        readers = [Reader(camera.url) for camera in cameras]
        with reading(*readers):
            for reader in readers:
                reader.until(lambda reader=reader: len(reader.served) > 2 * settings.fps)  # type: ignore[misc]
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


def stall() -> Figures:
    """D: the network holds everything back for 3 s, and then sends it at once."""
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


def password(seconds: float) -> Figures:
    """J: a wrong password."""
    with SimulatedCamera(CameraSettings(user="till", password="right")) as camera:
        reader = Reader(camera.url.replace("rtsp://", "rtsp://till:not-this-one@"))
        with reading(reader):
            reader.first(State.BACKOFF)
            time.sleep(seconds)
    told = repr((reader.changes, reader.options, reader.capture.state, reader.ledger.accounts()))
    tries = [one for _, one in reader.changes if one.state is State.BACKOFF]
    return {
        "tries": len(tries),
        "in_s": seconds,
        "refused": all(one.reason is Reason.REFUSED for one in tries),
        "shown": "not-this-one" in told,
    }


def certificate() -> Figures:
    """K: a certificate that the camera signs itself, without ``ca_file`` and with it."""
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


def slow_loop(seconds: float) -> Figures:
    """C: a loop that takes 100 ms for each result of a camera with 25 frames a second."""
    with SimulatedCamera(SETTINGS) as camera:
        stream = Stream(StampModel(), options=NO_WARM_UP)
        stream.add(camera.url, name="cam")
        ages: list[float] = []
        with stream:
            first = next(stream)
            end_s = time.monotonic() + seconds
            while time.monotonic() < end_s:
                ages.append(true_age_s(next(stream)))
                time.sleep(0.1)
        check_ledger(stream)
    low, high, most = np.nanpercentile(ages, (50, 99, 100)).tolist()
    return {
        "loop_s": 0.1, "results": len(ages), "p50_age_ms": milliseconds(low), "p99_age_ms": milliseconds(high),
        "oldest_ms": milliseconds(most), "first_age_ms": milliseconds(true_age_s(first)),
        "superseded": stream.ledger.counts("cam").get(Fate.SUPERSEDED, 0),
    }  # fmt: skip


def none_up(cameras: int, apart_s: float) -> Figures:
    """F: no camera is up when the stream begins; they come up one by one, ``apart_s`` apart."""
    with contextlib.ExitStack() as stack:
        simulated = {f"cam{place}": stack.enter_context(SimulatedCamera(SMALL)) for place in range(cameras)}
        for one in simulated.values():
            one.proxy.down()
        kept = Kept()
        stream = Stream(StampModel(), options=NO_WARM_UP, sinks=[kept])
        for name, one in simulated.items():
            stream.add(one.url, name=name)
        with stream:
            until(lambda: all(camera.state.state is State.BACKOFF for camera in stream.cameras.values()))
            none_before = len(kept.results)
            after_s = []
            for name, one in simulated.items():
                time.sleep(apart_s)
                one.proxy.up()
                up_s = time.monotonic()
                after_s.append(until(lambda name=name: bool(kept.of(name))) - up_s)  # type: ignore[misc]
            live = [camera.state.state is State.LIVE for camera in stream.cameras.values()]
        check_ledger(stream)
    return {
        "cameras": cameras, "results_before": none_before, "live": sum(live),
        "first_result_after_s": [round(one, 2) for one in after_s],
    }  # fmt: skip


# A stream with one camera that is never there, tried each half second, until the input ends.
_UNREACHABLE = """
import sys
from edgevision.streams import health
from edgevision.streams.backoff import Pace
from edgevision.streams.options import StreamOptions
from edgevision.streams.stream import Stream
health.USUAL = Pace(0.5, 0.5)
class Nothing:
    id, max_batch, parallel = "nothing", 1, 1
    def predict_frames(self, frames):
        return list(frames)
tries = []
class Count:
    name, wants_frames = "count", False
    def open(self): pass
    def write(self, item): tries.append(1) if item.state.value == "connecting" else None
    def close(self, timeout_s): pass
stream = Stream(Nothing(), options=StreamOptions(warm_up=False), sinks=[Count()])
stream.add(sys.argv[1], name="gone")
with stream:
    print("ready", flush=True)
    sys.stdin.readline()
print(len(tries), flush=True)
"""


def unreachable(seconds: float) -> Figures:
    """G: a camera that is never there, tried each half second: memory, threads and descriptors of a process of its own."""
    with contextlib.ExitStack() as stack:
        taken = stack.enter_context(contextlib.closing(_free_port()))
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", _UNREACHABLE, f"rtsp://127.0.0.1:{taken.getsockname()[1]}/cam"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
        stack.callback(process.kill)
        assert process.stdout is not None
        process.stdout.readline()
        begin_s, warm_up_s = time.monotonic(), min(600.0, seconds / 4)
        samples: list[tuple[float, Usage]] = []
        while (at_s := time.monotonic() - begin_s) < seconds:
            samples.append((at_s, read_usage(process.pid)))
            time.sleep(min(5.0, seconds / 40))
        told, _ = process.communicate("\n", 30.0)
    judged = [(at_s / 3600, usage) for at_s, usage in samples if at_s >= warm_up_s]
    slope = theil_sen([hour for hour, _ in judged], [usage.memory_bytes / 1e6 for _, usage in judged])
    third = len(judged) // 3
    return {
        "seconds": seconds, "tries": int(told), "memory_mb": round(judged[-1][1].memory_bytes / 1e6, 1),
        "memory_slope_mb_h": [round(one, 2) for one in slope],
        "threads": [min(usage.threads for _, usage in part) for part in (judged[:third], judged[-third:])],
        "descriptors": [min(usage.descriptors for _, usage in part) for part in (judged[:third], judged[-third:])],
    }  # fmt: skip


def _free_port() -> socket.socket:
    """Holds a port where nobody listens."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    return taken


def overload(seconds: float) -> Figures:
    """H: four cameras with 25 frames a second, a model that serves half of that, broken connections, and a camera that is removed: the
    ledger is exact at every look and at the end, and what each result says of the frames before it adds up."""
    with contextlib.ExitStack() as stack:
        simulated = {f"cam{place}": stack.enter_context(SimulatedCamera(SMALL)) for place in range(4)}
        kept = Kept()
        stream = Stream(StampModel(takes_s=0.02), options=NO_WARM_UP, sinks=[kept])
        for name, one in simulated.items():
            stream.add(one.url, name=name)
        looks = unbalanced = 0
        with stream:
            until(lambda: all(kept.of(name) for name in simulated))
            before = _served(stream)  # cameras do not come up at the same moment
            end_s, turn = time.monotonic() + seconds, 0
            while time.monotonic() < end_s:
                time.sleep(seconds / 200)
                turn += 1
                if turn % 100 == 50:
                    simulated["cam1"].proxy.reset()
                looks += 1
                unbalanced += len([one for one in stream.ledger.accounts() if not one.balanced])
            shares = {name: count - before[name] for name, count in _served(stream).items()}
            stream.remove("cam3")
        check_ledger(stream)
    accounts = stream.ledger.accounts()
    served = _served(stream)
    return {
        "looks": looks, "unbalanced": unbalanced, "captured": sum(one.captured for one in accounts), "served": served,
        "served_while_all_were_up": shares,
        "results": {name: len(kept.of(name)) for name in simulated},
        "unexplained": sum(kept.unexplained(name) for name in simulated),
        "fates": {fate.value: sum(one.fates.get(fate, 0) for one in accounts) for fate in Fate},
    }  # fmt: skip


def _served(stream: Stream) -> dict[str, int]:
    """Frames served of each camera so far."""
    return {one.camera: one.fates.get(Fate.SERVED, 0) for one in stream.ledger.accounts()}


def come_and_go(times: int) -> Figures:
    """I: a camera is added and removed ``times`` times beside one that stays; each third is let live, the others go at once."""
    with SimulatedCamera(SMALL) as steady, SimulatedCamera(SMALL) as other:
        kept = Kept()
        stream = Stream(StampModel(), options=NO_WARM_UP, sinks=[kept])
        stream.add(steady.url, name="steady")
        with stream:
            until(lambda: len(kept.of("steady")) > 10)
            before = _left()
            ended = []
            for turn in range(times):
                name = f"guest{turn}"
                stream.add(other.url, name=name)
                if turn % 3 == 0:
                    until(lambda name=name: bool(kept.of(name)))  # type: ignore[misc]
                ended.append(stream.remove(name, 10.0))
            until(lambda: _left().threads <= before.threads, 10.0)
            after = _left()
        check_ledger(stream)
    came_s = [at_s for at_s, one in kept.results if one.camera == "steady"]
    return {
        "times": times, "ended": sum(ended), "threads": [before.threads, after.threads],
        "descriptors": [before.descriptors, after.descriptors],
        "steady_longest_pause_ms": milliseconds(max(later - sooner for sooner, later in pairwise(came_s))),
    }  # fmt: skip


def _left() -> Usage:
    return read_usage(os.getpid())


def broker_away(seconds: float) -> Figures:
    """L: the broker is cut off for ``seconds``: nothing is lost, order is kept, what waited comes late.

    It is not killed, for what it had confirmed and not handed on would be its own to lose; tests/streams/sinks/test_mqtt.py kills one.
    """
    arrivals, topic = Arrivals(), f"acceptance-{secrets.token_hex(4)}"
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(SoakBroker(folder))
        stack.enter_context(contextlib.closing(Subscriber(broker.host, broker.port, topic, arrivals)))
        camera = stack.enter_context(SimulatedCamera(SMALL))
        sink = make_sink(
            f"mqtt://127.0.0.1:{broker.door.port}/{topic}", {"spool": str(folder / "s.spool"), "discovery": ""}
        )
        stream = Stream(StampModel(), options=NO_WARM_UP, sinks=[sink])
        stream.add(camera.url, name="cam")
        with stream:
            until(lambda: arrivals.of("cam").results > 20)
            broker.away()
            time.sleep(seconds)
            waited = stream.ledger.counts("cam")[Fate.SERVED] - arrivals.of("cam").results
            broker.back()
            back_s = time.monotonic()
            first_s = until(lambda: arrivals.of("cam").late > 0) - back_s
            until(lambda: arrivals.of("cam").results > arrivals.of("cam").late + 40)
        check_ledger(stream)
        served = stream.ledger.counts("cam")[Fate.SERVED]
        with contextlib.suppress(TimeoutError):  # then they are lost, as the figures tell
            until(lambda: arrivals.of("cam").results >= served, 10.0)
        found = arrivals.of("cam")
    return {
        "away_s": seconds, "served": served, "lost": served - found.results, "waited": waited, "late": found.late,
        "again_marked_late": found.again, "twice": found.twice, "unexplained": found.unexplained, "first_after_s": round(first_s, 2),
    }  # fmt: skip


def bad_frame() -> Figures:
    """M: the model raises on one picture of one camera of four."""
    with contextlib.ExitStack() as stack:
        simulated = {f"cam{place}": stack.enter_context(SimulatedCamera(SMALL)) for place in range(4)}
        kept, armed, failed = Kept(), threading.Event(), list[int]()

        def fails(frame: Frame, number: int) -> bool:
            """One picture, in a batch as well as alone: the first of cam2 that is seen once it is armed."""
            if frame.camera != "cam2":
                return False
            if armed.is_set() and not failed:
                failed.append(number)
            return failed == [number]

        stream = Stream(StampModel(fails=fails), options=NO_WARM_UP, sinks=[kept])
        for name, one in simulated.items():
            stream.add(one.url, name=name)
        with stream:
            until(lambda: all(len(kept.of(name)) > 10 for name in simulated))
            armed.set()
            until(lambda: bool(failed))
            counts = {name: len(kept.of(name)) for name in simulated}
            until(lambda: all(len(kept.of(name)) > counts[name] + 20 for name in simulated))
        check_ledger(stream)
    return {
        "lost": sum(one.fates.get(Fate.POISON, 0) for one in stream.ledger.accounts()),
        "unexplained": sum(kept.unexplained(name) for name in simulated), "troubles": len(stream.troubles),
        "told": sum(one.gap.get(Fate.POISON, 0) for name in simulated for one in kept.of(name)),
    }  # fmt: skip
