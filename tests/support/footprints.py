"""What compile takes from a process of its own, without one."""

from __future__ import annotations

from typing import Any


def opened_here(variant: Any, threads: int, batch: int = 1) -> Any:
    """Stands in for ``measure.footprint``: the variant opened and run once in this process, with figures that say nothing."""
    from edgevision.engines.child import Footprint

    with variant.open(threads) as engine:
        engine.run(engine.slots(1)[0])  # a variant that does not run here raises
    return Footprint(1.0, 1)
