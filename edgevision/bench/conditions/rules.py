"""Which machine is fit to be measured on: what speaks against one, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# More of this, and figures are of the machine's other work: processes besides ours, as a share of the cores; ticks that the host kept for
# others, as a share of all; a frequency that fell while busy, as a share of what it was.
MOST_OTHERS = 0.3
MOST_STEAL = 0.02
LEAST_FREQUENCY = 0.9
MACHINE = ("cpu", "architecture", "cores", "features")  # what of a machine makes figures of another one incomparable


def reasons_against(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Why this machine is not fit to be measured on, a sentence each; empty where nothing speaks against it.

    ``values``: of a ``Watcher``, taken before the first measurement: a run may refuse to begin by them.
    """
    return tuple(reason for reason in (noisy(values), stolen(values)) if reason)


def machine_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between the machines of two runs and matters for speed, in words; also where one does not say its machine. ``old``,
    ``new``: conditions of a record."""
    machines = [conditions.get("machine") for conditions in (old, new)]
    known = [one for one in machines if isinstance(one, Mapping)]
    if len(known) < 2:
        return ["a record does not say on which machine it was made"]
    return [
        f"{name} {shown(known[0].get(name))} → {shown(known[1].get(name))}"
        for name in MACHINE
        if known[0].get(name) != known[1].get(name)
    ]


def shown(value: Any) -> str:
    """One of a machine's values, in words."""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def noisy(values: Mapping[str, Any]) -> str:
    """What other processes took, where that is too much; else empty."""
    cores = values.get("machine", {}).get("cores")
    if not cores:
        return ""
    found = [
        f"{values[key]:.1f} of {cores} cores {when}"
        for key, when in (("others_before_cores", "before the run"), ("others_cores", "during it"))
        if values.get(key) is not None and values[key] > MOST_OTHERS * cores
    ]
    if not found:
        return ""
    return f"other processes kept busy {' and '.join(found)}; at most {MOST_OTHERS * cores:.1f} are fine: end them, and measure again"


def stolen(values: Mapping[str, Any]) -> str:
    """What the host of a virtual machine gave to others, where that is too much; else empty."""
    share = values.get("steal_share")
    if share is None or share <= MOST_STEAL:
        return ""
    return f"the host gave {share:.1%} of this machine's time to others, at most {MOST_STEAL:.0%} is fine: measure at another hour, or on a machine of your own"


def throttled(values: Mapping[str, Any]) -> str:
    """What slowed the processor or a GPU down, where something did; else empty."""
    found = []
    counts = values.get("throttled")
    if isinstance(counts, Mapping) and any(count > 0 for count in counts.values()):
        found.append(f"the processor was too hot {max(counts.values())} times")
    periods = values.get("quota_throttled")
    if isinstance(periods, int) and periods > 0:
        found.append(f"the quota of processor time was used up in {periods} periods")
    frequency = values.get("frequency_mhz")
    if isinstance(frequency, Mapping) and frequency["last"] < LEAST_FREQUENCY * frequency["first"]:
        found.append(f"the frequency fell from {frequency['first']:.0f} to {frequency['last']:.0f} MHz while busy")
    gpus = values.get("gpus")
    for gpu in gpus if isinstance(gpus, list) else ():
        if gpu["slowed_by"]:
            found.append(f"{gpu['name']} was slowed down by {', '.join(gpu['slowed_by'])}")
    return f"{'; '.join(found)}: cool it, lift the limit, or leave pauses" if found else ""
