"""NVIDIA GPUs by NVML: what they are, and whether they slowed down. The package ``nvidia-ml-py`` is optional."""

from __future__ import annotations

from typing import Any

from edgevision.engines.importing import import_package
from edgevision.errors import EdgeVisionError

# Bits of NVML's clock reasons that make a GPU slower than it could be. Idle and clocks chosen by the user are none.
_SLOWED = {
    0x04: "power limit",
    0x08: "hardware slowdown",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power supply",
}


class Gpus:
    """The GPUs of this machine. ``reason``: why there is none to ask, empty where there are."""

    def __init__(self, nvml: Any | None = None) -> None:
        """``nvml``: the module ``pynvml``, imported where it is None."""
        self.reason = ""
        self._handles: list[Any] = []
        self._nvml: Any = nvml
        self._slowed: list[set[str]] = []
        self._hottest: list[float | None] = []
        try:
            if nvml is None:
                self._nvml = import_package("pynvml", "", "reading GPU clocks and energy", needs="nvmlInit")
            self._nvml.nvmlInit()
            self._handles = [self._nvml.nvmlDeviceGetHandleByIndex(i) for i in range(self._nvml.nvmlDeviceGetCount())]
        except EdgeVisionError:
            self.reason = "nvidia-ml-py is not installed"
        except Exception as error:  # NVML's own errors: no driver, no permission
            self.reason = f"NVML does not answer: {error}"
        if not self._handles and not self.reason:
            self.reason = "NVML sees no GPU"
        self._slowed = [set() for _ in self._handles]
        self._hottest = [None for _ in self._handles]

    def poll(self) -> None:
        """Note temperatures, and what slows GPUs down now."""
        for i, handle in enumerate(self._handles):
            reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle) or 0
            self._slowed[i] |= {name for bit, name in _SLOWED.items() if reasons & bit}
            heat = self._ask("nvmlDeviceGetTemperature", handle, 0)  # 0: the sensor of the chip
            if heat is not None:
                self._hottest[i] = max(float(heat), self._hottest[i] or float(heat))

    def values(self) -> list[dict[str, Any]] | str:
        """For each GPU: "name", "driver", "clock_mhz" (now), "highest_c", "slowed_by"; or why there is none."""
        if self.reason:
            return f"none ({self.reason})"
        return [
            {
                "name": _plain(self._ask("nvmlDeviceGetName", handle)),
                "driver": _plain(self._ask("nvmlSystemGetDriverVersion")),
                "clock_mhz": self._ask("nvmlDeviceGetClockInfo", handle, 1),  # 1: of the multiprocessors
                "highest_c": self._hottest[i],
                "slowed_by": sorted(self._slowed[i]),
            }
            for i, handle in enumerate(self._handles)
        ]

    def joules(self) -> list[float]:
        """The energy counters of those GPUs that have one, from when their driver started."""
        counts = [self._ask("nvmlDeviceGetTotalEnergyConsumption", handle) for handle in self._handles]
        return [count / 1000 for count in counts if count is not None]

    def close(self) -> None:
        """Let NVML go."""
        if self._handles:
            self._ask("nvmlShutdown")
            self._handles = []
            self.reason = self.reason or "closed"

    def _ask(self, function: str, *arguments: Any) -> Any:
        """What NVML answers; None where this GPU or this version cannot tell."""
        try:
            return getattr(self._nvml, function)(*arguments)
        except Exception:  # one error class for each code, and AttributeError in versions without the function
            return None


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "unknown" if value is None else str(value)
