"""What a camera is doing and how well, told from what happens and when. Pure: no thread, and no clock of its own."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from edgevision.streams.arrivals import Arrivals
from edgevision.streams.backoff import AT_ONCE, CAREFUL, USUAL, Backoff
from edgevision.streams.camera_state import CameraState, State
from edgevision.streams.reasons import Reason

STALL_S = 2.0  # without a new frame; or so many periods of the camera, where those are longer
STALL_PERIODS = 5
# Encoders of cameras that see nothing move may send the very same picture for seconds, and that is no fault.
FROZEN_S = 10.0
REOPEN_AFTER_S = 5.0  # of a stall while data still come
REOPEN_FROZEN_AFTER_S = 30.0
FIRST_FRAME_S = 30.0  # some cameras send a key frame every twenty seconds
SETTLED_S = 10.0  # a camera that was live for so long begins with short waits again,
EXPECTED_S = 30.0  # and keeps to the shortest for so long: most outages are short, and it is wanted back at once
RATE_TOLERANCE = 0.1
SPEED_TOLERANCE = 0.02
SKEW_S = 2.0

_CAREFULLY = frozenset({Reason.REFUSED, Reason.UNTRUSTED})
# What is said of a live camera, the weightier first.
_NOTICES = {"clock": Reason.CLOCK_SKEW, "speed": Reason.WRONG_RATE, "rate": Reason.WRONG_RATE}
_TAKEN_BACK = 0.5  # of a tolerance: a rate that trembles at its edge is said once


class Health:
    """The state of one camera. Every method takes the present in seconds of the monotonic clock; ``state`` is the outcome.

    A file or folder (``live=False``) is opened, read and ended: it cannot stall.

    >>> health = Health(live=True, now_s=0.0)
    >>> health.opened(1.0, announced_fps=25.0)
    >>> health.arrived(1.1, captured_s=1.1)
    >>> health.state.state
    <State.LIVE: 'live'>
    >>> health.check(3.2)
    >>> health.state.state, health.state.words
    (<State.STALLED: 'stalled'>, 'no new frame for 2.1 s')
    """

    def __init__(self, *, live: bool, now_s: float, uniform: Callable[[], float] = random.random) -> None:
        self._live = live
        self._backoff = Backoff(uniform)
        self.state = CameraState(State.CONNECTING, now_s)
        self.retry_s = math.inf  # when a camera in BACKOFF is due
        self._announced_fps: float | None = None
        self._opened_s = now_s
        self._live_since_s: float | None = None
        self._expected_until_s = -math.inf  # it is tried again and again without longer waits
        self._changes: list[CameraState] = []
        self._captures = (
            Arrivals()
        )  # by the moments of capture, which a network that holds frames back does not disturb
        self._came_s = now_s  # when anything came last
        self._new_s = now_s  # when something new came last
        self._captured_s = -math.inf  # of the newest
        self._damaged = False  # since the last whole frame
        self._picture: int | None = None
        self._picture_since_s = self._looked_s = now_s
        self._reopened_for: int | None = None  # a picture that a new connection did not change
        self._notices: dict[str, str] = {}  # key of _NOTICES → words

    @property
    def period_s(self) -> float | None:
        """Seconds between frames, as they come; None until enough came."""
        return self._captures.period_s

    @property
    def stall_s(self) -> float:
        """Without a new frame for so long, the camera stalls."""
        return max(STALL_S, STALL_PERIODS * (self.period_s or 0.0))

    # ---- the connection ----

    def connecting(self, now_s: float) -> None:
        """It is being opened. The reason why that is needed stays."""
        self._become(State.CONNECTING, now_s, self.state.reason, "")

    def opened(self, now_s: float, announced_fps: float | None) -> None:
        """It is open. It is live from its first frame on."""
        if announced_fps != self._announced_fps:
            self._notices.pop("rate", None)
        self._announced_fps = announced_fps
        self._opened_s = self._came_s = self._new_s = self._picture_since_s = self._looked_s = now_s
        self._captured_s = -math.inf
        self._captures = Arrivals()
        self._damaged = False

    def failed(self, now_s: float, reason: Reason, words: str) -> None:
        """It could not be opened, or gives no more frames: it is tried again at ``retry_s``."""
        pace = CAREFUL if reason in _CAREFULLY else USUAL
        if self._live_since_s is not None:
            if reason is Reason.SILENT:
                self._become(State.STALLED, now_s, reason, words)
            if now_s - self._live_since_s >= SETTLED_S:
                self._backoff.reset()
                self._expected_until_s = now_s + EXPECTED_S
                if pace is USUAL:
                    pace = AT_ONCE
            self._live_since_s = None
        elif reason not in _CAREFULLY and now_s < self._expected_until_s:
            self._backoff.reset()
        wait_s = self._backoff.wait_s(pace)
        if pace is AT_ONCE:
            self._backoff.reset()  # that try is one more, and makes no later wait longer
        self.retry_s = now_s + wait_s
        self._become(State.BACKOFF, now_s, reason, f"{words}; tried again in {wait_s:.1f} s")

    def disabled(self, now_s: float, reason: Reason | None, words: str) -> None:
        """It cannot work as it is set up: it is not tried again."""
        self._become(State.DISABLED, now_s, reason, words)

    def ended(self, now_s: float) -> None:
        """A file or folder is at its end; or the camera was told to stop."""
        self._become(State.ENDED, now_s, None, "")

    # ---- frames ----

    def arrived(self, now_s: float, captured_s: float) -> None:
        """A whole frame came. ``captured_s``: when it was captured, as ``Captured`` has it."""
        self._damaged = False
        self._came_s = now_s
        if captured_s - self._captured_s > 0.01 * (now_s - self._new_s):
            self._captures.add(captured_s)
            self._captured_s = captured_s
            self._new_s = now_s
        if self._live_since_s is None:
            self._live_since_s = now_s
            self._become(State.LIVE, now_s, *self._notice())
        self.check(now_s)

    def damaged(self, now_s: float) -> None:
        """A frame came that is not whole."""
        self._damaged = True
        self.check(now_s)

    def pictured(self, now_s: float, digest: int) -> None:
        """What the last frame shows, as a number that differs where pictures differ. Not needed for every frame."""
        self._looked_s = now_s
        if digest != self._picture:
            self._picture, self._picture_since_s = digest, now_s
            self._reopened_for = None
        self.check(now_s)

    def clocked(self, now_s: float, skew_s: float | None, stamp_speed: float | None) -> None:
        """``skew_s``: this machine's clock less the camera's. ``stamp_speed``: seconds of time stamp in a second."""
        if skew_s is not None:
            self._set_notice("clock", abs(skew_s) > SKEW_S, lambda: _skew_words(skew_s))
        if stamp_speed is not None:
            self._set_notice(
                "speed",
                abs(stamp_speed - 1) > self._tolerance("speed", SPEED_TOLERANCE),
                lambda: f"its time stamps run {stamp_speed:.2f} times as fast as the clock; ages count from arrival",
            )
        self.check(now_s)

    def check(self, now_s: float) -> None:
        """Look whether time alone has changed something. To be called about once a second."""
        if not self._live or self._live_since_s is None:
            return
        if now_s - self._live_since_s > SETTLED_S:
            self._compare_rates()
        silent_s, same_s = now_s - self._new_s, self._looked_s - self._picture_since_s
        if silent_s > self.stall_s:
            self._become(State.STALLED, now_s, *self._stall(now_s, silent_s))
        elif self._picture is not None and same_s > max(FROZEN_S, self.stall_s):
            self._become(State.STALLED, now_s, Reason.FROZEN_PICTURE, "the same picture comes again and again")
        else:
            self._become(State.LIVE, now_s, *self._notice())

    def must_reopen(self, now_s: float) -> bool:
        """Whether a new connection may help, although data still come: not for a picture that the last one did not change."""
        if self._live and self._live_since_s is None:
            return self._damaged and now_s - self._opened_s > FIRST_FRAME_S
        if self.state.state is not State.STALLED:
            return False
        if now_s - self._new_s > self.stall_s:
            return now_s - self._new_s > self.stall_s + REOPEN_AFTER_S
        frozen = self._looked_s - self._picture_since_s > REOPEN_FROZEN_AFTER_S
        if not frozen or self._reopened_for == self._picture:
            return False
        self._reopened_for = self._picture
        return True

    def _stall(self, now_s: float, silent_s: float) -> tuple[Reason, str]:
        if self._damaged:
            return Reason.CORRUPT, "its pictures are damaged"
        if now_s - self._came_s < self.stall_s:
            return Reason.FROZEN_PICTURE, "frames come, but their time stamps stand still"
        return Reason.SILENT, f"no new frame for {silent_s:.1f} s"

    def _compare_rates(self) -> None:
        period_s, announced = self.period_s, self._announced_fps
        if period_s is None or announced is None:
            return
        real = 1 / period_s
        self._set_notice(
            "rate",
            abs(real - announced) > self._tolerance("rate", RATE_TOLERANCE) * announced,
            lambda: f"it announces {announced:g} frames a second and sends {real:.1f}; nothing is dropped for that",
        )

    # ---- what is said ----

    def take_changes(self) -> tuple[CameraState, ...]:
        """The states since the last call, in their order."""
        changes, self._changes = tuple(self._changes), []
        return changes

    def _tolerance(self, key: str, usual: float) -> float:
        """What is allowed; less before a notice is taken back."""
        return usual * _TAKEN_BACK if key in self._notices else usual

    def _set_notice(self, key: str, applies: bool, words: Callable[[], str]) -> None:
        """Words stay as they were said first: figures that tremble are no news."""
        if applies:
            self._notices.setdefault(key, words())
        else:
            self._notices.pop(key, None)

    def _notice(self) -> tuple[Reason | None, str]:
        keys = [key for key in _NOTICES if key in self._notices]
        first = _NOTICES[keys[0]] if keys else None
        return first, "; ".join(self._notices[key] for key in keys)

    def _become(self, state: State, now_s: float, reason: Reason | None, words: str) -> None:
        old = self.state
        same = (old.state, old.reason) == (state, reason)
        if same and (
            state is not State.LIVE or old.words == words
        ):  # of a live camera, words change only with what there is to say
            return
        self.state = CameraState(state, old.since_s if old.state is state else now_s, reason, words)
        self._changes.append(self.state)


def _skew_words(skew_s: float) -> str:
    way = "behind" if skew_s > 0 else "ahead of"
    return f"its clock is {abs(skew_s):.0f} s {way} this machine's; times of results are as the camera tells them"
