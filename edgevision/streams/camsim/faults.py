"""What goes wrong with simulated cameras, and when, as the command line tells it."""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from edgevision.errors import InputError
from edgevision.streams.camsim.camera import SimulatedCamera

_FORM = re.compile(
    r"(?P<camera>[\w-]+):(?P<kind>\w+)(=(?P<amount>[\d.]+))?@(?P<at>[\d.]+)(\+(?P<lasts>[\d.]+))?(/(?P<every>[\d.]+))?"
)
FORM = "CAMERA:KIND@START[+SECONDS][/EVERY], such as cam1:freeze@10+3/60 or cam2:slow=20000@5+10"


class Kind(Enum):
    """``FREEZE``: the camera's process is stopped. ``STALL``: the network holds everything back. ``SLOW``: it passes so many bytes a
    second. ``RESET``: it breaks the connections, once. ``DOWN``: nothing answers."""

    FREEZE = "freeze"
    STALL = "stall"
    SLOW = "slow"
    RESET = "reset"
    DOWN = "down"


@dataclass(frozen=True)
class Fault:
    """One fault of one camera: from ``at_s`` for ``lasts_s`` seconds, and again ``every_s``, where that is given.
    ``bytes_s``: of SLOW."""

    camera: str
    kind: Kind
    at_s: float
    lasts_s: float = 0.0
    every_s: float | None = None
    bytes_s: float | None = None

    @classmethod
    def parse(cls, text: str, cameras: Sequence[str]) -> Fault:
        """The fault that is written so. Raises InputError.

        >>> Fault.parse("cam1:freeze@10+3/60", ["cam0", "cam1"]).every_s
        60.0
        """
        found = _FORM.fullmatch(text)
        try:
            if found is None:
                raise ValueError
            kind = Kind(found["kind"])
            at_s, lasts_s = float(found["at"]), float(found["lasts"] or 0)
            every_s = None if found["every"] is None else float(found["every"])
            bytes_s = None if found["amount"] is None else float(found["amount"])
        except ValueError:
            kinds = ", ".join(kind.value for kind in Kind)
            raise InputError(f"a fault is {FORM} with KIND one of {kinds}, got {text!r}") from None
        if found["camera"] not in cameras:
            raise InputError(f"the fault {text!r} is of no camera that there is: {', '.join(cameras)}")
        if (kind is Kind.SLOW) != (bytes_s is not None and bytes_s > 0):
            raise InputError(f"slow needs bytes a second, and nothing else does: slow=20000; got {text!r}")
        if (kind is Kind.RESET) != (lasts_s == 0):
            raise InputError(f"every fault but reset has a length, such as +3; got {text!r}")
        if every_s is not None and every_s <= lasts_s:
            raise InputError(f"a fault that comes every {every_s:g} s lasts less than that, got {text!r}")
        return cls(found["camera"], kind, at_s, lasts_s, every_s, bytes_s)


@dataclass(frozen=True)
class Turn:
    """A fault begins or ends at ``at_s`` seconds."""

    at_s: float
    fault: Fault
    begins: bool

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.fault.camera}: {self.fault.kind.value}{'' if self.begins else ' is over'}"


def upcoming(faults: Sequence[Fault], until_s: float = math.inf) -> Iterator[Turn]:
    """All that happens before ``until_s``, in order; what began before it ends then at the latest. Endless, where a fault comes
    again and again and ``until_s`` is infinite.

    >>> [turn.words for turn in upcoming([Fault("cam0", Kind.STALL, at_s=1, lasts_s=2, every_s=5)], until_s=7)]
    ['cam0: stall', 'cam0: stall is over', 'cam0: stall', 'cam0: stall is over']
    """
    return heapq.merge(*(_turns(fault, until_s) for fault in faults), key=lambda turn: (turn.at_s, turn.begins))


def _turns(fault: Fault, until_s: float) -> Iterator[Turn]:
    at_s = fault.at_s
    while at_s < until_s:
        yield Turn(at_s, fault, begins=True)
        if fault.lasts_s:
            yield Turn(min(at_s + fault.lasts_s, until_s), fault, begins=False)
        if fault.every_s is None:
            return
        at_s += fault.every_s


def apply(turn: Turn, cameras: Mapping[str, SimulatedCamera]) -> None:
    """Make it happen."""
    camera, fault = cameras[turn.fault.camera], turn.fault
    begin: dict[Kind, Callable[[], None]] = {
        Kind.FREEZE: camera.freeze,
        Kind.STALL: camera.proxy.stall,
        Kind.SLOW: lambda: camera.proxy.slow(fault.bytes_s),
        Kind.RESET: camera.proxy.reset,
        Kind.DOWN: camera.proxy.down,
    }
    end: dict[Kind, Callable[[], None]] = {
        Kind.FREEZE: camera.thaw,
        Kind.STALL: camera.proxy.resume,
        Kind.SLOW: lambda: camera.proxy.slow(None),
        Kind.DOWN: camera.proxy.up,
    }
    (begin if turn.begins else end)[fault.kind]()
