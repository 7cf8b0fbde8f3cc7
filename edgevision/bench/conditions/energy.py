"""Energy: counted by the machine's own meters, or said to be unavailable. Nothing is guessed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgevision.bench.conditions.gpu import Gpus
from edgevision.bench.conditions.roots import Roots, number_of, text_of

SHORT_S = 30.0  # meters are read now and then: over less time the ends weigh too much


class Meter(Protocol):
    """Something that counts energy. ``name``: what it is and what it measures."""

    name: str

    def poll(self, now_s: float) -> None:
        """Read it. ``now_s``: seconds on a clock that never goes back."""
        ...

    def joules(self) -> float:
        """Since the first poll."""
        ...


class Rapl:
    """Intel's and AMD's counters of packages and memory, in microjoules. They start again at 0 after ``range_uj``."""

    name = "RAPL: processor packages and, where it is told, memory"

    def __init__(self, zones: Sequence[Path]) -> None:
        self._zones = list(zones)
        self._last: dict[Path, int] = {}
        self._sum_uj = 0

    def poll(self, now_s: float) -> None:
        """Add what each zone counted since the last poll, of which there must be one within each turn of the counter (minutes)."""
        for zone in self._zones:
            value = number_of(zone / "energy_uj")
            if value is None:
                continue
            if zone in self._last:
                turn = (number_of(zone / "max_energy_range_uj") or 0) + 1
                step = value - self._last[zone]
                self._sum_uj += step if step >= 0 else step + turn
            self._last[zone] = value

    def joules(self) -> float:
        """Since the first poll."""
        return self._sum_uj / 1e6


class Ina3221:
    """Voltage times current of a Jetson's rails, added up over time: the module, not the board that carries it."""

    name = "INA3221: power of the module"

    def __init__(self, rails: Sequence[tuple[Path, int]]) -> None:
        """``rails``: folder of the chip, and the number of the channel."""
        self._rails = list(rails)
        self._last: tuple[float, float] | None = None
        self._joules = 0.0

    def poll(self, now_s: float) -> None:
        """Add the mean power of the last two polls times the time between them."""
        watts = sum(_rail_watts(folder, channel) for folder, channel in self._rails)
        if self._last is not None:
            self._joules += (now_s - self._last[0]) * (watts + self._last[1]) / 2
        self._last = (now_s, watts)

    def joules(self) -> float:
        """Since the first poll."""
        return self._joules


class GpuEnergy:
    """The energy counters of NVIDIA GPUs."""

    name = "NVML: GPUs"

    def __init__(self, read: Callable[[], Sequence[float]]) -> None:
        self._read = read
        self._first: float | None = None
        self._last = 0.0

    def poll(self, now_s: float) -> None:
        """Read the counters."""
        self._last = sum(self._read())
        if self._first is None:
            self._first = self._last

    def joules(self) -> float:
        """Since the first poll."""
        return self._last - (self._last if self._first is None else self._first)


@dataclass(frozen=True)
class Meters:
    """``found``: the meters of this machine. ``reasons``: of each kind that is missing, why."""

    found: tuple[Meter, ...]
    reasons: tuple[str, ...]


def find_meters(roots: Roots, gpus: Gpus) -> Meters:
    """Look for RAPL, INA3221 and GPUs."""
    found: list[Meter] = []
    reasons: list[str] = []
    zones = _rapl_zones(roots)
    if not zones:
        reasons.append("no RAPL (virtual machines have none)")
    elif all(number_of(zone / "energy_uj") is None for zone in zones):
        reasons.append("RAPL may be read by root only")
    else:
        found.append(Rapl(zones))
    rails = _ina_rails(roots)
    if rails:
        found.append(Ina3221(rails))
    else:
        reasons.append("no INA3221 (Jetson boards have it)")
    if gpus.joules():
        found.append(GpuEnergy(gpus.joules))
    else:
        reasons.append(f"no GPU meter ({gpus.reason or 'this GPU does not count'})")
    return Meters(tuple(found), tuple(reasons))


def energy_values(meters: Meters, seconds: float) -> dict[str, object]:
    """By meter: "joules" and "watts" over ``seconds``; or "unavailable" with the reasons. What the machine takes when idle is within."""
    if not meters.found:
        return {"unavailable": "; ".join(meters.reasons)}
    values: dict[str, object] = {
        meter.name: {"joules": meter.joules(), "watts": meter.joules() / seconds if seconds > 0 else 0.0}
        for meter in meters.found
    }
    values["seconds"] = seconds
    if seconds < SHORT_S:
        values["note"] = f"measured over {seconds:.0f} s; under {SHORT_S:.0f} s the ends weigh too much"
    return values


def _rapl_zones(roots: Roots) -> list[Path]:
    """Packages and their memory. "psys" is left out: it holds the packages again."""
    zones = sorted(roots.sys.glob("class/powercap/*-rapl:*"))
    return [zone for zone in zones if (text_of(zone / "name") or "").startswith(("package", "dram"))]


def _ina_rails(roots: Roots) -> list[tuple[Path, int]]:
    """The rail that feeds all of the module where there is one, else all rails."""
    rails = []
    for folder in sorted(roots.sys.glob("class/hwmon/hwmon*")):
        if text_of(folder / "name") == "ina3221":
            rails += [(folder, channel) for channel in (1, 2, 3) if _rail_watts(folder, channel) > 0]
    whole = [
        (folder, channel)
        for folder, channel in rails
        if (text_of(folder / f"in{channel}_label") or "") in ("VDD_IN", "VIN_SYS_5V0")
    ]
    return whole or rails


def _rail_watts(folder: Path, channel: int) -> float:
    millivolts, milliamperes = number_of(folder / f"in{channel}_input"), number_of(folder / f"curr{channel}_input")
    return 0.0 if millivolts is None or milliamperes is None else millivolts * milliamperes / 1e6
