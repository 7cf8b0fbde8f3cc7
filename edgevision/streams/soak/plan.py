"""What a soak does, and when. All times are seconds since its start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edgevision.errors import InputError
from edgevision.streams.camsim.faults import Fault, Kind
from edgevision.streams.camsim.stamps import LEAST_WIDTH
from edgevision.streams.options import SwapOptions

SECONDS = 7200.0
CAMERAS = 8
LEAST_CAMERAS = 4  # one of each kind
LEAST_SECONDS = 20.0
MOST_CAMERAS = 64
MOST_FPS = 60.0
LEAST_HEIGHT, MOST_PIXELS = 64, 4096  # room for the stamp and a picture below it; what encoders take
WARM_UP_S = 600.0  # at most: caches and memory pools fill, each kind of failure comes once
_SHADOW_S, _FEW_FRAMES = 120.0, 10  # where models are swapped more often than this, they are not long in shadow
_QUIET_S = 6.0  # at the end nothing fails any more: what waits can go out


class Role(Enum):
    """What is the matter with a camera. ``UNREACHABLE``: nothing ever answers at its address. ``FREEZING``: its process is stopped, again
    and again. ``FLAPPING``: it refuses connections for a moment, again and again."""

    UNREACHABLE = "unreachable"
    FREEZING = "freezing"
    FLAPPING = "flapping"
    HEALTHY = "healthy"


@dataclass(frozen=True)
class SoakOptions:
    """What is asked for. ``model``: a bundle; ``swap_to``: the one it is changed for and back, None: the same again.
    ``broker``: host and port of an MQTT broker without TLS that takes anybody; None: mosquitto is started.
    ``fps``, ``width``, ``height``: of the cameras. ``threads``: of the engine; None: all cores.
    ``most_age_s``: 99 of 100 results are no older; ``most_growth_mb_h``: memory grows no quicker (10⁶ bytes an hour).
    """

    model: Path
    swap_to: Path | None = None
    seconds: float = SECONDS
    cameras: int = CAMERAS
    broker: tuple[str, int] | None = None
    fps: float = 15.0
    width: int = 640
    height: int = 360
    threads: int | None = None
    most_age_s: float = 0.5
    most_growth_mb_h: float = 1.0

    def __post_init__(self) -> None:
        if not LEAST_CAMERAS <= self.cameras <= MOST_CAMERAS:
            raise InputError(
                f"a soak has {LEAST_CAMERAS} to {MOST_CAMERAS} cameras, three of which fail in ways of their own, got {self.cameras}"
            )
        if not LEAST_SECONDS <= self.seconds < float("inf"):
            raise InputError(f"a soak takes {LEAST_SECONDS:g} seconds at least, got {self.seconds:g}")
        if not 1 <= self.fps <= MOST_FPS:
            raise InputError(f"the cameras of a soak send 1 to {MOST_FPS:g} pictures a second, got {self.fps:g}")
        for name, pixels, least in (("width", self.width, LEAST_WIDTH), ("height", self.height, LEAST_HEIGHT)):
            if not least <= pixels <= MOST_PIXELS or pixels % 2:  # colours of H.264 are for 2 × 2 pixels
                raise InputError(
                    f"{name} of a soak's pictures is an even number of {least} to {MOST_PIXELS} pixels, got {pixels}"
                )


@dataclass(frozen=True)
class Event:
    """Something comes every ``every_s``, first at ``first_s``, and ``lasts_s``; 0: it is over at once."""

    first_s: float
    every_s: float
    lasts_s: float = 0.0

    def turns(self, until_s: float) -> Iterator[tuple[float, bool]]:
        """When it begins (True) and is over (False), all of it before ``until_s``.

        >>> list(Event(1, 5, 2).turns(10))
        [(1.0, True), (3.0, False), (6.0, True), (8.0, False)]
        """
        number = 0
        while (at_s := float(self.first_s + number * self.every_s)) + self.lasts_s < until_s:
            yield at_s, True
            if self.lasts_s:
                yield at_s + self.lasts_s, False
            number += 1


@dataclass(frozen=True)
class Plan:
    """``warm_up_s``: what is before is not judged. ``quiet_s``: from then on nothing fails. ``roles``: by camera.

    ``shadow_frames``: that a new model is given in shadow; few, where the next swap comes soon.

    Everything comes at least once in each third of the judged time, so that the thirds can be compared.

    >>> Plan.of(7200, 8).swap.every_s, Plan.of(90, 4).swap.every_s
    (600.0, 22.0)
    """

    seconds: float
    warm_up_s: float
    quiet_s: float
    roles: dict[str, Role]
    freeze: Event
    flap: Event
    away: Event
    swap: Event
    sample_s: float
    shadow_frames: int

    @classmethod
    def of(cls, seconds: float, cameras: int) -> Plan:
        """The plan for a soak of that length."""
        warm_up_s = min(WARM_UP_S, seconds / 5)
        quiet_s = seconds - _QUIET_S
        third_s = (quiet_s - warm_up_s) / 3
        failing = (Role.UNREACHABLE, Role.FREEZING, Role.FLAPPING)
        roles = {f"cam{place}": failing[place] if place < len(failing) else Role.HEALTHY for place in range(cameras)}
        return cls(
            seconds=seconds,
            warm_up_s=warm_up_s,
            quiet_s=quiet_s,
            roles=roles,
            freeze=_event(60.0, 5.0, third_s, begin=0.5),
            flap=_event(15.0, 2.0, third_s, begin=0.3),
            away=_event(300.0, 30.0, third_s, begin=0.4),
            swap=_event(600.0, 0.0, third_s, begin=0.75),
            sample_s=min(2.0, max(0.5, seconds / 1440)),
            shadow_frames=SwapOptions.frames if third_s >= _SHADOW_S else _FEW_FRAMES,
        )

    def cameras(self, role: Role) -> list[str]:
        """The cameras of a role."""
        return [name for name, one in self.roles.items() if one is role]

    @property
    def faults(self) -> list[Fault]:
        """What the cameras do."""
        wanted = ((Role.FREEZING, Kind.FREEZE, self.freeze), (Role.FLAPPING, Kind.DOWN, self.flap))
        return [
            Fault(name, kind, event.first_s, event.lasts_s, event.every_s)
            for role, kind, event in wanted
            for name in self.cameras(role)
        ]


def _event(every_s: float, lasts_s: float, third_s: float, *, begin: float) -> Event:
    """As often as that, or more where the thirds are short; ``begin``: the share of the time between two before the first."""
    every_s = min(every_s, third_s)
    return Event(begin * every_s, every_s, min(lasts_s, 0.3 * every_s))
