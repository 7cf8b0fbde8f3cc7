"""What a target's cell becomes in the record: its figures, and what speaks against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from edgevision.bench.diagnosis import doubts_of
from edgevision.bench.record import Doubt, Result
from edgevision.bench.scenarios.base import Block
from edgevision.bench.session.cells import Cell
from edgevision.bench.session.opened import Opened

_OF_OUTPUTS = frozenset({"output-wrong", "output-differs", "ignores-input", "answer-changes", "cached"})


def judged_result(
    cell: Cell, target: Opened, reference: Opened, workload: Mapping[str, Any], most_cameras: int
) -> Result:
    """With doubts. ``reference``: whose outputs the target's are compared with; it may be the target itself."""
    if not cell.blocks:
        return cell.result(most_cameras)
    repeats = target.repeats
    doubts: tuple[Doubt, ...] = doubts_of(
        cell.blocks, {}, target.answers,
        reference=reference.answers if reference is not target and reference.answers else None,
        repeated=() if repeats is None else (_pairs(repeats),), fresh=() if repeats is None else (_new_ones(repeats),),
        different_frames=int(workload.get("count", 2)) > 1,
    )  # fmt: skip
    if cell.is_search:  # its blocks differ on purpose
        doubts = tuple(doubt for doubt in doubts if doubt.code in _OF_OUTPUTS)
    return cell.result(most_cameras, doubts)


def _pairs(block: Block) -> Block:
    """Each pair as a frame of its own: two copies of one frame of the workload are two frames."""
    return replace(block, frames=np.arange(len(block.latency_ns), dtype=np.int64) // 2)


def _new_ones(block: Block) -> Block:
    return replace(block, latency_ns=block.latency_ns[0::2], frames=block.frames[0::2])
