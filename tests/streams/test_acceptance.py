"""What the streaming runtime has to show before anybody relies on it: thirteen scenarios, A to M, with real RTSP cameras.

The scenarios and their full figures are in benchmarks/stream_scenarios.py and stream_cameras.py. Here each is held against bounds that are far
apart from what wrong code gives, and that a busy machine keeps: a short form always, the long one with ``--slow``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from benchmarks import stream_rig as rig
from benchmarks import stream_scenarios as scenarios
from edgevision.streams.camsim.camera import SimulatedCamera

pytestmark = [pytest.mark.requires("av", "gstreamer"), pytest.mark.acceptance]

Figures = dict[str, Any]
SLOW = replace(rig.SMALL, fps=10.0, announced_fps=10)  # four of them, on a machine that is busy already


class Case(NamedTuple):
    """``run``: called with ``short`` or ``long``; ``holds``: asserts of its figures. ``would_catch``: which wrong code breaks it."""

    run: Callable[..., Figures]
    short: tuple[Any, ...]
    long: tuple[Any, ...]
    holds: Callable[[Figures], None]
    would_catch: str


def rate(found: Figures) -> None:
    assert found["share_of_sent"] > 0.5  # what trusts the rate serves a tenth
    assert found["fates"]["served"] > 0.5 * found["captured"]


def freeze(found: Figures) -> None:
    assert min(found["others_fps"]) > 2
    assert found["others_longest_pause_ms"] < 2500  # what waits for the frozen one pauses as long as it, 3 s and more
    assert found["stalled_after_s"] < 10
    assert found["back_after_s"] < 20


def slow_loop(found: Figures) -> None:
    assert found["p99_age_ms"] < 1000
    assert found["superseded"] > found["results"] / 2


def stall(found: Figures) -> None:
    assert found["oldest_served_ms"] < 1200
    assert found["stale"] > 20
    assert found["served"] > 20


def first_frame() -> Figures:
    """E. The camera runs already, as cameras do."""
    with SimulatedCamera(rig.SETTINGS) as camera:
        watcher = rig.Reader(camera.url)
        with rig.reading(watcher):
            watcher.until(lambda: len(watcher.served) > 0)
            first_s, ages = rig.first_frames(camera.url, 50)
    return {"first_s": first_s, "first_age_s": ages[0], "p50_age_s": sorted(ages)[25]}


def fresh(found: Figures) -> None:
    assert found["first_age_s"] < 0.8
    assert found["p50_age_s"] < 0.4


def none_up(found: Figures) -> None:
    assert found["results_before"] == 0
    assert found["live"] == found["cameras"]


def unreachable(found: Figures) -> None:
    assert found["tries"] >= found["seconds"] / 2
    assert found["threads"][1] <= found["threads"][0]
    assert found["descriptors"][1] <= found["descriptors"][0]
    if found["seconds"] >= 3600:
        assert found["memory_slope_mb_h"][0] < 1


def overload(found: Figures) -> None:
    assert found["unbalanced"] == 0
    assert found["unexplained"] == 0
    assert found["results"] == found["served"]
    shares = dict(found["served_while_all_were_up"])
    assert shares.pop("cam1") > 0  # its connection is broken twice
    assert min(shares.values()) > max(shares.values()) / 2
    assert found["captured"] == sum(found["fates"].values())


def come_and_go(found: Figures) -> None:
    assert found["ended"] == found["times"]
    assert found["threads"][1] <= found["threads"][0]
    assert found["descriptors"][1] <= found["descriptors"][0] + 2  # of a connection that is being made anew
    assert found["steady_longest_pause_ms"] < 2000


def password(found: Figures) -> None:
    assert found["tries"] == 1
    assert found["refused"]
    assert not found["shown"]


def certificate(found: Figures) -> None:
    assert found["without_ca_file"] == "untrusted"
    assert found["frames_without"] == 0


def broker_away(found: Figures) -> None:
    assert found["lost"] == found["twice"] == found["unexplained"] == 0
    assert found["waited"] > 0
    assert found["late"] > found["waited"] / 2


def bad_frame(found: Figures) -> None:
    assert found["lost"] == found["told"] == 1
    assert found["unexplained"] == 0
    assert found["troubles"] == 1


CASES = {
    "A-rate": Case(scenarios.rate, (4,), (15,), rate, "trusts the announced rate, and drops what it takes for a surplus"),
    "B-freeze": Case(scenarios.freeze, (3, SLOW), (8,), freeze, "waits for each camera in turn; or never looks whether frames still come"),
    "C-slow-loop": Case(scenarios.slow_loop, (4,), (30,), slow_loop, "queues what the reader has no time for"),
    "D-stall": Case(scenarios.stall, (), (), stall, "serves what the network had held back"),
    "E-first-frame": Case(first_frame, (), (), fresh, "lets FFmpeg gather a second of data before it decodes"),
    "F-none-up": Case(scenarios.none_up, (2, 0.5), (4, 5.0), none_up, "needs every camera at its start"),
    "G-unreachable": Case(scenarios.unreachable, (8,), (120,), unreachable, "leaves a thread, socket or decoder behind at each try"),
    "H-ledger": Case(scenarios.overload, (4,), (30,), overload, "forgets a frame, counts it twice, or tells of a drop too late"),
    "I-come-and-go": Case(scenarios.come_and_go, (6,), (50,), come_and_go, "leaves a camera's thread or connection behind"),
    "J-password": Case(scenarios.password, (2,), (20,), password, "tries a wrong password again at once, or shows it"),
    "K-certificate": Case(scenarios.certificate, (), (), certificate, "verifies no certificate"),
    "L-broker": Case(scenarios.broker_away, (3,), (20,), broker_away, "keeps what waits in memory, or sends it out of order or unmarked"),
    "M-bad-frame": Case(scenarios.bad_frame, (), (), bad_frame, "loses the whole batch, or ends"),
}  # fmt: skip
NEEDS = {"K-certificate": "openssl", "L-broker": "mosquitto"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.requires(NEEDS[name]) if name in NEEDS else ()) for name in CASES]
)
def test_short(name):
    case = CASES[name]
    case.holds(case.run(*case.short))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.requires(NEEDS[name]) if name in NEEDS else ())
        for name in CASES
        if CASES[name].long
    ],
)
def test_long(name):
    case = CASES[name]
    case.holds(case.run(*case.long))
