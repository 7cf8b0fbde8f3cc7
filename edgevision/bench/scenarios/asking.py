"""From a scenario's name to the block that it gives. This is what a target's process calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgevision.bench.scenarios import fixed_rate, multi_stream, offline, repeats, server, single_stream
from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.targets.base import Target

# Density is no scenario of a block: it is a search by blocks at a fixed rate (session.density).
SCENARIOS: Mapping[str, Callable[[Target, Any, Scenario, int, str], Block]] = {
    module.NAME: module.run for module in (single_stream, multi_stream, server, offline, fixed_rate, repeats)
}


def run_scenario(scenario: Scenario, target: Target, workload: Any, round: int, name: str) -> Block:
    """Ask ``target`` for one block, with the frames of ``workload.frames``. ``round`` and ``name`` are noted in it.

    Raises ValueError for a scenario that is not known, or lacks a parameter, and whatever the target raises.
    """
    if scenario.name not in SCENARIOS:
        raise ValueError(f"there is no scenario {scenario.name!r}; expected one of {', '.join(SCENARIOS)}")
    return SCENARIOS[scenario.name](target, workload, scenario, round, name)
