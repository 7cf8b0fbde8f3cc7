"""Going on with a record: only where it is of the same targets, frames and options, so that its blocks and new ones are of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from edgevision.bench.conditions.rules import machine_differences
from edgevision.bench.record import Record, TargetEntry
from edgevision.bench.scenarios.base import Scenario
from edgevision.bench.session.cells import COMPLETE, Cell
from edgevision.bench.session.options import BenchOptions
from edgevision.errors import InputError

OPTIONS = "options"  # where a record keeps them, among its conditions
# What may differ: where things lie, how long it may take, and what does not change a block.
_FREE = frozenset({"minutes", "output", "resume", "force", "data", "most_rounds"})


def options_values(options: BenchOptions) -> dict[str, Any]:
    """The options that a record keeps, as JSON values."""
    values = {one.name: getattr(options, one.name) for one in fields(options) if one.name not in _FREE}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def check_options(record: Record, options: BenchOptions) -> None:
    """Raise InputError, naming the first difference, where the record was asked for with other options."""
    old = record.conditions.get(OPTIONS)
    if not isinstance(old, Mapping):
        raise InputError("this record does not say with which options it was made; measure anew, without --resume")
    for name, value in options_values(options).items():
        if old.get(name) != value:
            raise _differs(name.replace("_", " "), old.get(name), value)


def check_machine(record: Record, conditions: Mapping[str, Any]) -> None:
    """Raise InputError on another machine: blocks of two would make one figure."""
    if differing := machine_differences(record.conditions, conditions):
        raise InputError(
            f"cannot go on with this record on another machine: {'; '.join(differing)}; go on where it was made, or measure anew without "
            "--resume"
        )


def check_workload(record: Record, sha256: str) -> None:
    """Raise InputError where the frames are others."""
    if record.workload.get("sha256") != sha256:
        raise _differs("workload (its hash)", record.workload.get("sha256"), sha256)


def check_targets(record: Record, entries: Sequence[TargetEntry]) -> None:
    """Raise InputError where a target is another file than it was, or may use something else. One that could not be opened, then or now,
    is no difference."""
    if [entry.address for entry in record.targets] != [entry.address for entry in entries]:
        raise _differs(
            "targets", ", ".join(one.address for one in record.targets), ", ".join(one.address for one in entries)
        )
    for old, new in zip(record.targets, entries, strict=True):
        if old.allowance != new.allowance:
            raise _differs(f"allowance of {new.name}", old.allowance, new.allowance)
        if old.identity is None or new.identity is None:
            continue
        for what in ("sha256", "precision", "engine", "provider", "input_shape"):
            was, now = getattr(old.identity, what), getattr(new.identity, what)
            if was != now:
                raise _differs(f"{what} of {new.name}", was, now)


def cells_from(record: Record, names: Mapping[str, str]) -> list[Cell]:
    """What it measured; whatever is not complete goes on. ``names``: today's name of each of its targets."""
    return [
        Cell(
            names[result.target], result.scenario, list(result.blocks), result.status if result.status == COMPLETE else "",
            result.reason if result.status == COMPLETE else "",
        )
        for result in record.results
        if result.target in names
    ]  # fmt: skip


def find_cell(cells: Sequence[Cell], target: str, scenario: Scenario) -> Cell | None:
    """The cell of a target in a scenario, None where the record has none."""
    same = (cell for cell in cells if cell.target == target and cell.scenario.name == scenario.name)
    return next(
        (cell for cell in same if cell.scenario.parameters.get("rule") == scenario.parameters.get("rule")), None
    )


def _differs(what: str, old: object, new: object) -> InputError:
    return InputError(
        f"cannot go on with this record: its {what} is {old}, now it is {new}; give the same again, or measure anew without --resume"
    )


def summary_of(record: Record) -> dict[str, Any]:
    """What a record that is gone on with was: the new one's conditions are not those of its blocks."""
    kept = {
        name: value
        for name, value in record.conditions.items()
        if name not in (OPTIONS, "before", "repeats_ns", "warm_up_ms")
    }
    return {"id": record.id, "began": record.began, "ended": record.ended, "conditions": kept}
