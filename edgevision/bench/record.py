"""The record of a run: what was measured, where, how, and every raw sample. The report can be made again from it alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.targets.base import Allowance, Identity

SCHEMA = 1


@dataclass(frozen=True)
class Figure:
    """One number made of samples. ``name``: such as "p90" or "throughput"; ``unit``: "ms", "frames/s", "cameras", "J";
    ``low``, ``high``: its bounds at ``confidence``, None where there are too few samples, and ``note`` says so."""

    name: str
    unit: str
    value: float
    low: float | None
    high: float | None
    confidence: float
    higher_is_better: bool
    n: int
    note: str = ""


@dataclass(frozen=True)
class Doubt:
    """Something that speaks against a figure. ``code``: a fixed word, such as "drift" or "output-wrong"; ``text``: a sentence or two,
    with the numbers and what to do; ``fatal``: whether figures must not be compared."""

    code: str
    text: str
    fatal: bool = False


@dataclass(frozen=True)
class TargetEntry:
    """One target of the run. ``name``: short, different for each; ``address``: as it was given. ``unsupported``: why it could not be
    measured at all, empty where it was; ``identity``: None then."""

    name: str
    address: str
    allowance: Allowance
    identity: Identity | None
    unsupported: str = ""


@dataclass(frozen=True, eq=False)
class Result:
    """One target in one scenario. ``status``: "complete", "interrupted", "failed" or "unsupported", with the ``reason``; ``blocks`` are
    all that were measured, ``figures`` and ``doubts`` what was made of them."""

    target: str
    scenario: Scenario
    status: str
    reason: str
    blocks: tuple[Block, ...]
    figures: tuple[Figure, ...]
    doubts: tuple[Doubt, ...]


@dataclass(frozen=True)
class Comparison:
    """Two targets in one scenario, by one figure: ``ratio`` is ``a`` / ``b`` with its interval. ``verdict``: "lower", "higher", "equal"
    (the interval lies within the least difference that counts) or "undecided"; ``ended_by``: "decided" or "budget"."""

    a: str
    b: str
    scenario: Scenario
    figure: str
    ratio: float
    low: float
    high: float
    confidence: float
    rounds: int
    verdict: str
    ended_by: str


@dataclass(frozen=True, eq=False)
class Record:
    """All of a run. ``status``: "complete", "interrupted" or "failed". ``workload``: name, size, format, seed, count and hash of the frames.
    ``conditions``: what ``conditions`` saw before, during and after, as plain values. Times are ISO 8601 in UTC."""

    id: str
    command: str
    began: str
    ended: str
    status: str
    workload: Mapping[str, Any]
    conditions: Mapping[str, Any]
    targets: tuple[TargetEntry, ...]
    results: tuple[Result, ...]
    comparisons: tuple[Comparison, ...]
    doubts: tuple[Doubt, ...] = field(default_factory=tuple)
    schema: int = SCHEMA
