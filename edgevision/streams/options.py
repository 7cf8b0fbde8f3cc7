"""How cameras are served, as asked for; and the defaults, which stand here alone."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Literal

from edgevision.errors import InputError

MAX_AGE_S = 0.25  # of frames of live cameras, where the model is quick enough
SLOW_MODEL = 3.0  # times what the model takes for a frame: the most age where that is more, and none was asked for
QUEUE = 8  # frames that wait at most in mode "every"
MAX_QUEUE = 1024

Transport = Literal["tcp", "udp"]


@dataclass(frozen=True)
class Mode:
    """Which frames of a camera are for the model. ``depth``: how many may wait.

    ``latest``: the newest alone. ``every``: each, as long as the queue has room; the oldest is dropped where it has none.
    ``burst:k``: the newest k, so that what a camera held back and sends at once is seen (barcodes, tracking).

    >>> Mode.parse("burst:4")
    Mode(name='burst', depth=4)
    """

    name: Literal["latest", "every", "burst"]
    depth: int

    @classmethod
    def parse(cls, text: str) -> Mode:
        """The mode that is written so. Raises InputError."""
        if text == "latest":
            return LATEST
        if text == "every":
            return EVERY
        found = re.fullmatch(r"burst:(\d{1,4})", text)
        if found is None or not 2 <= int(found[1]) <= MAX_QUEUE:
            raise InputError(f"mode is latest, every or burst:k with k from 2 to {MAX_QUEUE}, got {text!r}")
        return cls("burst", int(found[1]))

    def __str__(self) -> str:
        return f"burst:{self.depth}" if self.name == "burst" else self.name


LATEST = Mode("latest", 1)
EVERY = Mode("every", QUEUE)


@dataclass(frozen=True)
class Service:
    """How one camera is served, every default filled in. See ``CameraOptions``. ``stretches``: a slow model makes ``max_age_s``
    longer, for nobody asked for it."""

    mode: Mode = LATEST
    max_age_s: float = MAX_AGE_S
    stretches: bool = False
    fps: float | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class CameraOptions:
    """One camera.

    ``name``: what results, metrics and messages call it. ``source``: a URL or a path; never shown, for it may hold a password.

    ``max_age_s``: a frame that would give a result older than this is dropped before the model sees it; None: 0.25 s for a live
    camera, or three times what the model takes for one frame where that is more; no limit for a file or folder. ``fps``: at most so many frames a second are served; None: as many as can be.
    ``weight``: its share of an overloaded model against the others'. ``mode``: see ``Mode``; None: ``latest`` for a live camera,
    ``every`` for a file or folder.

    ``user`` and ``password_env`` or ``password_file``: credentials that are not in the URL: the name of an environment variable, or
    a file that holds nothing else. ``ca_file``: certificates that a TLS camera may be signed with, in place of the system's.
    ``transport``: of RTSP. ``timeout_s``: how long opening or reading may block.
    """

    name: str
    source: str = field(repr=False)
    max_age_s: float | None = None
    fps: float | None = None
    weight: float = 1.0
    mode: Mode | None = None
    user: str | None = None
    password_env: str | None = None
    password_file: str | None = None
    ca_file: str | None = None
    transport: Transport = "tcp"
    timeout_s: float = 2.0

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable():
            raise InputError(f"a camera's name is printable text, got {self.name!r}")
        _check_positive(f"camera {self.name!r}: max_age_s", self.max_age_s)
        _check_positive(f"camera {self.name!r}: fps", self.fps)
        _check_positive(f"camera {self.name!r}: weight", self.weight)
        _check_positive(f"camera {self.name!r}: timeout_s", self.timeout_s)
        if self.transport not in ("tcp", "udp"):
            raise InputError(f"camera {self.name!r}: transport is tcp or udp, got {self.transport!r}")
        if self.password_env is not None and self.password_file is not None:
            raise InputError(f"camera {self.name!r}: give password_env or password_file, not both")

    def service(self, *, live: bool) -> Service:
        """How it is served. ``live``: as of its source."""
        mode, max_age_s = (LATEST, MAX_AGE_S) if live else (EVERY, math.inf)
        return Service(
            mode=mode if self.mode is None else self.mode,
            max_age_s=max_age_s if self.max_age_s is None else self.max_age_s,
            fps=self.fps,
            weight=self.weight,
            stretches=live and self.max_age_s is None,
        )


@dataclass(frozen=True)
class StreamOptions:
    """How all cameras share one model.

    ``age_budget_s``: None: results as fresh as can be. A number of seconds: wait for fuller batches as long as no result gets
    older than this, which costs less energy. ``max_batch``: frames that are run together at most; None: the model's own.
    ``min_interval_s``: each camera that has frames is served at least one in this time, however old, so that an overloaded
    stream degrades and starves nobody. ``model_timeout_s``: a call of the model that takes longer is given up with its frames, and so is a
    picture that takes longer to decode. ``warm_up``: run
    black frames first, alone and in a full batch, so that the first results are as quick as the others.
    """

    age_budget_s: float | None = None
    max_batch: int | None = None
    min_interval_s: float = 1.0
    model_timeout_s: float = 20.0
    warm_up: bool = True

    def __post_init__(self) -> None:
        _check_positive("age_budget_s", self.age_budget_s)
        _check_positive("min_interval_s", self.min_interval_s)
        _check_positive("model_timeout_s", self.model_timeout_s)
        if self.max_batch is not None and self.max_batch < 1:
            raise InputError(f"max_batch is a whole number, at least 1, got {self.max_batch!r}")


@dataclass(frozen=True)
class SwapOptions:
    """What a new model has to show before it takes over from the one that serves, and after; see ``Stream.swap``.

    ``keep_labels``: it has to know every label that the live model knows, by the same id; it may know more. ``frames``: so many
    live frames are given to both models, within ``within_s`` seconds; 0: none. ``share``: of the time, at most, that the new model
    is at work meanwhile. ``min_agreement``: of the answers to those frames, 0…1. ``max_slowdown``: how many times as long as the
    live model it may take for a frame. ``watched_batches``: an error in so many batches after the switch brings the old model back.
    """

    keep_labels: bool = True
    frames: int = 100
    within_s: float = 300.0
    share: float = 0.25
    min_agreement: float = 0.9
    max_slowdown: float = 1.5
    watched_batches: int = 50

    def __post_init__(self) -> None:
        _check_positive("within_s", self.within_s)
        _check_positive("max_slowdown", self.max_slowdown)
        if not 0 < self.share <= 1:
            raise InputError(f"share is over 0 and at most 1, got {self.share!r}")
        if not 0 <= self.min_agreement <= 1:
            raise InputError(f"min_agreement is within 0…1, got {self.min_agreement!r}")
        for name, count in (("frames", self.frames), ("watched_batches", self.watched_batches)):
            if count < 0:
                raise InputError(f"{name} is a whole number, at least 0, got {count!r}")


def _check_positive(name: str, value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} is a finite number over 0, got {value!r}")
