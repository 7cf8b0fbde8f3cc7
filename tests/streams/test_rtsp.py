"""Real RTSP cameras that fail. Bounds are far apart from what wrong code gives, for this runs on busy machines: figures are in
benchmarks/stream_cameras.py."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from watched_cameras import Watched, watching

from edgevision.streams.camera_state import State
from edgevision.streams.camsim.camera import SimulatedCamera
from edgevision.streams.camsim.certificates import make_certificate
from edgevision.streams.camsim.server import CameraSettings
from edgevision.streams.fates import Fate
from edgevision.streams.options import CameraOptions
from edgevision.streams.reasons import Reason

pytestmark = pytest.mark.requires("av", "gstreamer")

SMALL = {"width": 320, "height": 192, "bitrate_kbps": 400}


@pytest.fixture(scope="module")
def plain() -> Iterator[SimulatedCamera]:
    with SimulatedCamera(CameraSettings(**SMALL)) as camera:
        yield camera


def watch(camera: SimulatedCamera, name: str = "till", **options: object) -> Watched:
    return Watched(CameraOptions(name, camera.url, **options))


def test_the_first_frame_is_fresh_and_none_is_held_back(plain):
    """A reader that gathers data before it decodes begins more than a second late."""
    till = watch(plain)
    with watching(till):
        till.wait_for(lambda: len(till.taken) > 50)
    assert till.taken[0].age_s < 0.8
    assert sorted(one.age_s for one in till.taken)[25] < 0.4
    assert till.frames[0].frame.planes[0].base is not None  # FFmpeg's own memory


def test_a_rate_that_is_not_the_announced_one_loses_no_frame():
    """Announced 25, real 15 frames a second."""
    with SimulatedCamera(CameraSettings(fps=15, announced_fps=25, **SMALL)) as camera:
        till = watch(camera)
        with watching(till):
            till.wait_for(lambda: (State.LIVE, Reason.WRONG_RATE) in till.states(), 60)
    account = till.ledger.account("till")
    assert account.fates[Fate.SERVED] > 0.9 * account.captured
    numbers = [one.number for one in till.taken]
    assert numbers[-1] - numbers[0] + 1 < 1.1 * len(numbers)
    assert "announces 25 frames a second and sends 15" in till.changes[-2].words


def test_one_frozen_camera_stalls_alone_and_comes_back(plain):
    with SimulatedCamera(CameraSettings(**SMALL)) as other:
        frozen, till = watch(other, "frozen"), watch(plain)
        with watching(frozen, till):
            frozen.wait_for(lambda: frozen.state is State.LIVE)
            till.wait_for(lambda: till.state is State.LIVE)
            other.freeze()
            frozen_s = time.monotonic()
            frozen.wait_for(lambda: (State.STALLED, Reason.SILENT) in frozen.states())
            thawed_s = time.monotonic()
            other.thaw()
            frozen.wait_for(lambda: frozen.state is State.LIVE)
            frozen.wait_for(lambda: frozen.taken[-1].at_s > thawed_s)
    between = [one.at_s for one in till.taken if frozen_s < one.at_s < thawed_s]
    assert len(between) > 20
    assert max(b - a for a, b in itertools.pairwise(between)) < 1.5
    assert {State.STALLED, State.BACKOFF} & {change.state for change in till.changes} == set()


def test_after_a_stall_of_the_network_no_old_frame_is_let_in(plain):
    """Frames that were held for three seconds come at once; those are dropped, and counted as stale."""
    till = watch(plain, timeout_s=10.0)
    with watching(till):
        till.wait_for(lambda: len(till.taken) > 30)
        plain.proxy.stall()
        time.sleep(3.0)
        plain.proxy.resume()
        resumed_s = time.monotonic()
        till.wait_for(lambda: till.taken[-1].at_s > resumed_s + 1.0)
    after = [one.age_s for one in till.taken if one.at_s > resumed_s]
    assert max(after) < 1.2
    assert till.ledger.counts("till")[Fate.STALE] > 20


@pytest.mark.parametrize("break_it", ["reset", "down"])
def test_a_broken_connection_is_made_again(plain, break_it):
    till = watch(plain)
    with watching(till):
        till.wait_for(lambda: len(till.taken) > 3)
        getattr(plain.proxy, break_it)()
        till.wait_for(lambda: State.BACKOFF in {change.state for change in till.changes})
        plain.proxy.up()
        broken_s = time.monotonic()
        till.wait_for(lambda: till.taken[-1].at_s > broken_s and till.state is State.LIVE)
    sequences = [one.sequence for one in till.taken]
    assert sequences == sorted(set(sequences))


def test_the_cameras_clock_is_told_with_each_frame_and_doubted_where_it_is_wrong():
    with (
        SimulatedCamera(CameraSettings(**SMALL)) as right,
        SimulatedCamera(CameraSettings(**SMALL), shift_s=-3600.0) as wrong,
    ):
        one, other = watch(right, "right"), watch(wrong, "wrong")
        with watching(one, other):
            other.wait_for(lambda: (State.LIVE, Reason.CLOCK_SKEW) in other.states())
            one.wait_for(lambda: bool(one.frames) and one.frames[0].frame.captured_ns is not None)
            time.sleep(0.5)
            right_ns, wrong_ns = one.frames[0].frame.captured_ns, other.frames[0].frame.captured_ns
            now_ns = time.time_ns()
    assert 0 < now_ns - right_ns < 1.5e9
    assert 3599e9 < now_ns - wrong_ns < 3602e9
    assert "3600 s behind" in next(change.words for change in other.changes if change.reason is Reason.CLOCK_SKEW)
    assert Reason.CLOCK_SKEW not in {change.reason for change in one.changes}


PASSWORD = "p@ss/w:rd?#&%41"


@pytest.fixture(scope="module")
def locked() -> Iterator[SimulatedCamera]:
    with SimulatedCamera(CameraSettings(user="till", password=PASSWORD, **SMALL)) as camera:
        yield camera


def test_the_right_password_opens_however_odd_it_is(locked, monkeypatch):
    monkeypatch.setenv("TILL_PASSWORD", PASSWORD)
    till = watch(locked, user="till", password_env="TILL_PASSWORD")
    with watching(till):
        till.wait_for(lambda: len(till.taken) > 3)


def test_a_refused_password_is_not_tried_again_and_again_and_shown_nowhere(locked, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    url = locked.url.replace("rtsp://", "rtsp://till:wrong-secret@")
    till = Watched(CameraOptions("till", url))
    with watching(till):
        till.wait_for(lambda: till.state is State.BACKOFF)
        time.sleep(2.0)
    assert till.states().count((State.BACKOFF, Reason.REFUSED)) == 1
    shown = repr((till.changes, till.options, till.capture.state, till.ledger.accounts())) + caplog.text
    shown += "".join(capfd.readouterr())
    for process in ("self/cmdline", f"{locked.process_id}/cmdline", f"{locked.process_id}/environ"):
        shown += (Path("/proc") / process).read_text(errors="replace")
    assert "wrong-secret" not in shown
    assert PASSWORD not in shown


@pytest.mark.requires("openssl")
def test_a_certificate_is_trusted_only_where_it_is_given(tmp_path):
    both, certificate = make_certificate(tmp_path)
    with SimulatedCamera(CameraSettings(certificate=str(both), **SMALL)) as camera:
        stranger, till = watch(camera, "stranger"), watch(camera, ca_file=str(certificate))
        with watching(stranger, till):
            stranger.wait_for(lambda: stranger.state is State.BACKOFF)
            till.wait_for(lambda: len(till.taken) > 3)
    assert (State.BACKOFF, Reason.UNTRUSTED) in stranger.states()
    assert "self-signed" in stranger.changes[-2].words
    assert stranger.ledger.account("stranger").captured == 0


def test_cameras_that_are_not_there_yet_are_found_when_they_come(plain):
    plain.proxy.down()
    till = watch(plain)
    with watching(till):
        till.wait_for(lambda: (State.BACKOFF, Reason.UNREACHABLE) in till.states())
        plain.proxy.up()
        till.wait_for(lambda: till.state is State.LIVE)
