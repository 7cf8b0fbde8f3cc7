"""The ledger: every captured frame has exactly one fate.

At every moment, for each camera: captured = the sum of all fates + in flight.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgevision.errors import InputError
from edgevision.streams.fates import Fate

_MOST = 2**63 - 1  # frames, or nanoseconds since 1970: the year 2262


def is_count(value: Any) -> bool:
    """Whether it is a whole number that a ledger may hold: of frames, or of nanoseconds since 1970."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


@dataclass(frozen=True)
class Account:
    """What became of the frames of one camera so far. ``in_flight``: they wait, or the model is at work on them."""

    camera: str
    captured: int
    in_flight: int
    fates: Mapping[Fate, int]
    at_ns: int | None = None

    @property
    def balanced(self) -> bool:
        """Whether no frame is missing and none counts twice."""
        return self.captured == sum(self.fates.values()) + self.in_flight

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: one line of an exported ledger."""
        return {
            "camera": self.camera, "captured": self.captured, "in_flight": self.in_flight,
            "fates": {fate.value: self.fates.get(fate, 0) for fate in Fate}, "at_ns": self.at_ns,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Any) -> Account:
        """What ``to_dict`` made. Raises InputError that names what is wrong."""
        if not isinstance(values, dict):
            raise InputError(f"an account of the ledger is an object, got {type(values).__name__}")
        if not isinstance(camera := values.get("camera"), str):
            raise InputError(f"an account of the ledger needs the camera's name, got {camera!r}")
        fates = values.get("fates")
        known = {fate.value for fate in Fate}
        if not isinstance(fates, dict) or not set(fates) <= known:
            raise InputError(f"the account of {camera!r} needs fates, some of {sorted(known)}, got {fates!r}")
        at_ns = values.get("at_ns")
        counts = {
            "captured": values.get("captured"), "in_flight": values.get("in_flight"), **fates,
            **({} if at_ns is None else {"at_ns": at_ns}),
        }  # fmt: skip
        for name, count in counts.items():
            if not is_count(count):
                raise InputError(f"the account of {camera!r} needs {name} as a whole number, got {count!r}")
        return cls(camera, values["captured"], values["in_flight"], {Fate(k): n for k, n in fates.items() if n}, at_ns)


@dataclass
class _Camera:
    """``lost``: drops since the last result that came before every frame in flight; ``lost_later``: the others, by sequence."""

    captured: int = 0
    fates: Counter[Fate] = field(default_factory=Counter)
    in_flight: dict[int, None] = field(default_factory=dict)  # a set in the order of its sequences
    lost: Counter[Fate] = field(default_factory=Counter)
    lost_later: dict[int, Fate] = field(default_factory=dict)


class Ledger:
    """Counts each frame in, and settles it once. Thread-safe.

    >>> ledger = Ledger()
    >>> first, second = ledger.captured("till"), ledger.captured("till")
    >>> ledger.settle("till", first, Fate.SUPERSEDED)
    >>> ledger.in_flight("till"), ledger.counts("till")
    (1, {<Fate.SUPERSEDED: 'superseded'>: 1})
    """

    def __init__(self) -> None:
        self._cameras: dict[str, _Camera] = {}
        self._lock = threading.Lock()

    def captured(self, camera: str) -> int:
        """Count a frame in. Its sequence: frames of a camera are numbered from 0 in the order of these calls, and never anew."""
        with self._lock:
            account = self._cameras.get(camera)
            if account is None:
                account = self._cameras[camera] = _Camera()
            sequence = account.captured
            account.captured += 1
            account.in_flight[sequence] = None
            return sequence

    def settle(self, camera: str, sequence: int, fate: Fate) -> None:
        """Say what became of a frame. Raises ValueError where it is not in flight: it was settled before, or never captured."""
        with self._lock:
            account = self._cameras.get(camera)
            if account is None or sequence not in account.in_flight:
                raise ValueError(f"frame {sequence} of camera {camera!r} is not in flight: it has its fate already")
            was_oldest = next(iter(account.in_flight)) == sequence
            del account.in_flight[sequence]
            account.fates[fate] += 1
            if fate is not Fate.SERVED:
                account.lost_later[sequence] = fate
            if was_oldest and account.lost_later:
                _fold(account)

    def take_gap(self, camera: str, sequence: int) -> dict[Fate, int]:
        """What became of the frames before ``sequence`` that no gap has told yet. For the result of frame ``sequence``, before
        it is settled; its camera's older frames have to be settled by then."""
        with self._lock:
            account = self._cameras[camera]
            if not account.lost and not account.lost_later:
                return {}
            gap = account.lost
            account.lost = Counter()
            for lost in [one for one in account.lost_later if one < sequence]:
                gap[account.lost_later.pop(lost)] += 1
            return dict(gap)

    def counts(self, camera: str) -> dict[Fate, int]:
        """How many frames had each fate; fates that none had are left out."""
        return dict(self.account(camera).fates)

    def in_flight(self, camera: str) -> int:
        """How many frames have no fate yet."""
        return self.account(camera).in_flight

    def account(self, camera: str, at_ns: int | None = None) -> Account:
        """All of one camera, as of one moment. A camera that nobody knows has no frames."""
        with self._lock:
            return self._account(camera, at_ns)

    def accounts(self, at_ns: int | None = None) -> tuple[Account, ...]:
        """All cameras, as of one moment, in the order they came. ``at_ns``: the moment, to be written into them."""
        with self._lock:
            return tuple(self._account(camera, at_ns) for camera in self._cameras)

    def _account(self, camera: str, at_ns: int | None) -> Account:
        account = self._cameras.get(camera, _Camera())
        return Account(camera, account.captured, len(account.in_flight), dict(account.fates), at_ns)


def _fold(account: _Camera) -> None:
    """Keep ``lost_later`` small: what came before every frame in flight needs no sequence any more."""
    oldest = next(iter(account.in_flight), account.captured)
    for lost in [one for one in account.lost_later if one < oldest]:
        account.lost[account.lost_later.pop(lost)] += 1
