"""A run: targets are opened, warmed up and measured in turns until it is decided or the time is spent. What was measured is never lost."""

from __future__ import annotations

import secrets
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.bench.conditions import rules
from edgevision.bench.conditions.watcher import Watcher
from edgevision.bench.diagnosis import doubts_of_machine
from edgevision.bench.process.pinning import choose_cores
from edgevision.bench.process.remote import OPEN_LIMIT_S, RUN_LIMIT_S, RemoteTarget
from edgevision.bench.record import Comparison, Doubt, Record, Result
from edgevision.bench.record_file import ROOM, ensure_place, numbers_of, read_record
from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.session import progress as steps
from edgevision.bench.session.budget import Budget
from edgevision.bench.session.cells import COMPLETE, FAILED, INTERRUPTED, UNSUPPORTED, Cell
from edgevision.bench.session.density import probe_scenario
from edgevision.bench.session.interrupts import Interrupts
from edgevision.bench.session.judge import Judge
from edgevision.bench.session.keeper import Keeper
from edgevision.bench.session.opened import Opened, Opener, addresses_of, close_all, names_of, notes_of, open_one
from edgevision.bench.session.options import FIXED_RATE, SERVER, SINGLE_STREAM, BenchOptions
from edgevision.bench.session.plan import block_seconds, for_block, scenarios_of, shuffled
from edgevision.bench.session.progress import Progress, Silent
from edgevision.bench.session.results import judged_result
from edgevision.bench.session.resume import (
    OPTIONS,
    cells_from,
    check_machine,
    check_options,
    check_targets,
    check_workload,
    find_cell,
    options_values,
    summary_of,
)  # fmt: skip
from edgevision.bench.session.searches import Search, first_cameras
from edgevision.bench.statistics.decision import Plan, plan_looks
from edgevision.bench.statistics.steady import first_steady
from edgevision.bench.targets.address import allowance_of
from edgevision.bench.targets.base import Allowance
from edgevision.bench.workload.workload import Workload
from edgevision.errors import EdgeVisionError, TargetError
from edgevision.machine import usable_cores

OPEN_S = 5.0  # what opening a target is expected to take
WARM_UP_S = 6.0  # of a target in a scenario, at most
WARM_UP_SHARE = 0.2  # of the budget, for all of them
WINDOW_S = 0.2  # of a block that warms up
DENSITY_SHARE = 0.5  # of the time left, where there are rounds as well
END_S = 0.08  # what the figures and doubts of a target in a scenario take
MOST_RATE = 1000.0  # requests a second that are chosen where nobody says: above, waiting for the clock takes a share of the core
KEEP_S = 60.0  # a record is written after so many seconds, whatever has ended
_REPEATS = Scenario("repeats", {"pairs": 40, "seconds": 2.0})
_NOISY = "--force measures all the same, and the record says so"


@dataclass(frozen=True)
class Parts:
    """What a run is made of, besides its options. ``watch``: sees the machine's conditions."""

    workload: Callable[[BenchOptions], Workload]
    opener: Opener
    watch: Callable[[], AbstractContextManager[Any]]
    clock: Callable[[], float] = time.monotonic


def run_bench(options: BenchOptions, on_progress: Progress | None = None, parts: Parts | None = None) -> Record:
    """Measure, and return the record, which is written to ``options.output`` as well. It takes no longer than ``options.minutes`` by
    more than the block that is running and a tenth; a target that hangs is given up after ten seconds at least, or twenty in a block.

    Ctrl-C ends the running block; the record is then "interrupted", with all that was measured. Where nothing was yet, it raises
    KeyboardInterrupt.

    Raises InputError for options, addresses or a record to go on with that cannot be; EdgeVisionError on a machine that is busy with other
    things, unless ``options.force``; UnwrittenRecordError, which holds the record, where it cannot be written.
    """
    from edgevision.bench.session.frames import make_workload

    return _Run(options, on_progress or Silent(), parts or Parts(make_workload, RemoteTarget, Watcher)).run()


class _Run:
    def __init__(self, options: BenchOptions, progress: Progress, parts: Parts) -> None:
        self._options = options
        self._progress = progress
        self._parts = parts
        self._budget = Budget(options.minutes, parts.clock)
        self._threads = options.threads or usable_cores()
        self._resumed = None if options.resume is None else read_record(options.resume)
        if self._resumed is not None:
            check_options(self._resumed, options)
        self._addresses, reference = addresses_of(options.targets, options.reference)
        self._names = names_of(self._addresses)
        self._reference = self._names[reference]
        output = options.output or options.resume
        if output is not None and output != options.resume:  # that one was read, and is a record
            ensure_place(output)
        self._keeper = Keeper(output)
        self._kept_at_s = 0.0
        self._id = secrets.token_hex(8)
        self._began = _now()
        self._targets: list[Opened] = []
        self._cells: list[Cell] = []
        self._comparisons: dict[str, list[Comparison]] = {}
        self._doubts: list[Doubt] = []
        self._numbers = 0
        self._request_s: dict[tuple[str, str], float] = {}
        self._interrupts = Interrupts()
        self._watcher: Any = None
        self._workload: Mapping[str, Any] = {}

    # ---- from begin to end ----

    def run(self) -> Record:
        with self._interrupts:
            with self._parts.watch() as self._watcher:
                self._check_machine()
                if self._resumed is not None:
                    check_machine(self._resumed, self._watcher.values())
                with tempfile.TemporaryDirectory(prefix="edgevision-bench-") as folder:
                    workload = self._parts.workload(self._options)
                    self._workload = workload.describe()
                    if self._resumed is not None:
                        check_workload(self._resumed, workload.sha256)
                    path = str(Path(folder, "workload"))
                    workload.save(path)
                    interrupted = self._measure(path)
                record = self._finished(interrupted)
            self._keeper.finish(record)
        return record

    def _measure(self, workload_path: str) -> bool:
        """Everything that needs targets; whether it was interrupted."""
        try:
            self._open(workload_path)
            self._warm_up()
            self._measure_rounds()
            self._measure_density()
            close_all(self._targets, at_once=self._interrupts.asked)
            self._interrupts.over()
        except KeyboardInterrupt:  # it comes once: from here on Ctrl-C does nothing
            pass
        finally:
            close_all(self._targets, at_once=True)
        return self._interrupts.asked

    def _check_machine(self) -> None:
        """Refuse a machine whose figures would be of its other work, or say so in the record; say so of one with too few cores."""
        cores, allowance = usable_cores(), Allowance(self._threads)
        threads = max(allowance_of(address, allowance).threads for address in self._addresses)
        if threads > cores:
            text = f"{threads} threads were asked for, and {cores} cores may be used: threads wait for each other. Give --threads {cores} at most."
            self._doubts.append(Doubt("threads", text))
        reasons = rules.reasons_against(self._watcher.values())
        if reasons and not self._options.force:
            raise EdgeVisionError(f"{'; '.join(reasons)}. {_NOISY}")

    # ---- targets ----

    def _open(self, workload_path: str) -> None:
        options, number = self._options, len(self._addresses)
        self._progress.expect({
            steps.OPEN: OPEN_S * number,
            steps.WARM_UP: min(WARM_UP_SHARE * self._budget.whole_s, 2.0 * number * len(options.scenarios)),
            steps.MEASURE: max(1.0, self._budget.whole_s * (1 - WARM_UP_SHARE) - OPEN_S * number),
        })  # fmt: skip
        allowance = Allowance(self._threads, options.batch)
        for place, (name, address) in enumerate(zip(self._names, self._addresses, strict=True)):
            self._progress(steps.OPEN, place, number)
            cores = choose_cores(allowance_of(address, allowance).threads)
            limit = min(OPEN_LIMIT_S, max(10.0, self._budget.left_s))
            self._targets.append(open_one(name, address, allowance, workload_path, cores, self._parts.opener, limit))
        self._progress(steps.OPEN, number, number)
        if self._resumed is not None:
            check_targets(self._resumed, [target.entry for target in self._targets])
        for target in self._alive():
            self._guarded(target, partial(self._ask_first, target))

    def _ask_first(self, target: Opened) -> None:
        """What it says of each frame, and whether it keeps what it said."""
        assert target.remote is not None
        target.answers = target.remote.answers(limit_s=max(10.0, min(RUN_LIMIT_S, self._budget.left_s)))
        target.repeats = self._block(target, replace(_REPEATS, seed=self._options.seed), 0, 2.0)

    def _alive(self) -> list[Opened]:
        return [target for target in self._targets if target.remote is not None]

    def _guarded(self, target: Opened, work: Callable[[], object]) -> bool:
        """Do something with a target; where it fails, it is out of the run, and the others go on."""
        try:
            work()
        except TargetError as error:
            target.failure = target.failure or str(error)
            for cell in self._cells:
                if cell.target == target.name:
                    cell.end(FAILED, target.failure)
            close_all([target], at_once=True)
            return False
        return True

    def _block(self, target: Opened, scenario: Scenario, round: int, seconds: float) -> Block:
        """One block, which Ctrl-C ends early. Raises TargetError."""
        remote = target.remote
        if remote is None:
            raise TargetError(target.failure or f"{target.name} is not open")
        request_s = self._request_s.get(
            (target.name, scenario.name), self._request_s.get((target.name, SINGLE_STREAM), 0.0)
        )
        limit_s = min(RUN_LIMIT_S, max(20.0, 4 * seconds + 20 * request_s))
        self._interrupts.running = remote
        try:
            return remote.run(scenario, round, target.name, limit_s=limit_s)
        finally:
            self._interrupts.running = None

    # ---- warm-up ----

    def _warm_up(self) -> None:
        """Every target in every scenario until it is steady; then it is known how long requests, and so blocks, take."""
        alive = self._alive()
        needs_rate = SERVER in self._options.scenarios
        plain = Scenario(SINGLE_STREAM, {}, self._options.seed)
        warm = [
            plain,
            *(one for one in scenarios_of(self._options, 1.0) if one.name not in (SINGLE_STREAM, SERVER, FIXED_RATE)),
        ]
        warm = [one for one in warm if "rule" not in one.parameters]
        turns = len(warm) * max(1, len(alive))
        limit_s = min(WARM_UP_S, WARM_UP_SHARE * self._budget.left_s / turns)
        for place, (target, scenario) in enumerate((target, scenario) for target in alive for scenario in warm):
            self._progress(steps.WARM_UP, place, turns)
            if self._interrupts.asked or target.remote is None:
                continue
            self._guarded(target, partial(self._until_steady, target, scenario, limit_s))
        self._progress(steps.WARM_UP, turns, turns)
        slowest_s = max(
            (self._request_s.get((target.name, SINGLE_STREAM), 0.0) for target in self._alive()), default=0.0
        )
        rate = self._rate(slowest_s) if needs_rate else None
        self._make_cells(scenarios_of(self._options, rate))

    def _rate(self, slowest_s: float) -> float:
        """Requests a second for all targets alike; those of a record that is gone on with."""
        if self._resumed is not None:
            for result in self._resumed.results:
                if result.scenario.name == SERVER:
                    return float(result.scenario.parameters["rate"])
        return float(f"{min(MOST_RATE, 0.5 / max(slowest_s, 1e-6)):.3g}")

    def _until_steady(self, target: Opened, scenario: Scenario, limit_s: float) -> None:
        began = self._parts.clock()
        medians: list[float] = []
        while not self._interrupts.asked:
            block = self._block(target, for_block(scenario, WINDOW_S, len(medians)), len(medians), WINDOW_S)
            medians.append(max(1.0, float(np.median(block.latency_ns))))
            self._request_s[target.name, scenario.name] = medians[-1] / 1e9
            if first_steady(medians) is not None or self._parts.clock() - began >= limit_s:
                break
        if scenario.name == SINGLE_STREAM:
            target.warm_up_ms = [median / 1e6 for median in medians]

    def _make_cells(self, scenarios: Sequence[Scenario]) -> None:
        """A cell for each target in each scenario, filled with what a record has already."""
        old: list[Cell] = []
        if self._resumed is not None:
            names = {was.name: now.name for was, now in zip(self._resumed.targets, self._targets, strict=True)}
            old = cells_from(self._resumed, names)
        for scenario in scenarios:
            slowest = max(
                (self._request_s.get((target.name, scenario.name), 0.0) for target in self._alive()), default=0.0
            )
            for target in self._targets:
                cell = find_cell(old, target.name, scenario) or Cell(target.name, scenario)
                cell.seconds = (
                    self._options.probe_seconds if cell.is_search else block_seconds(scenario, slowest, self._options)
                )
                self._numbers += sum(numbers_of(block) for block in cell.blocks)
                if target.entry.unsupported:
                    cell.end(UNSUPPORTED, target.entry.unsupported)
                elif target.failure:
                    cell.end(FAILED, target.failure)
                self._cells.append(cell)
        self._budget.keep_back(END_S * len(self._cells))

    # ---- rounds ----

    def _measure_rounds(self) -> None:
        """In each round one block of every cell, in random order, until all is decided or the time is spent."""
        budget, options = self._budget, self._options
        cells = [cell for cell in self._cells if not cell.is_search]
        if not cells:
            return
        searches = any(cell.is_search and not cell.status for cell in self._cells)
        until_s = budget.spent_s + budget.left_s * (1 - DENSITY_SHARE if searches else 1.0)
        judge = Judge(
            self._reference, self._looks(cells, until_s - budget.spent_s), options.least_difference, options.rounds
        )
        began_s = budget.spent_s
        number = max((cell.next_round for cell in cells if not cell.status), default=0)
        while True:
            running = [cell for cell in cells if not cell.status]
            if not running or not self._round(running, number, until_s, began_s):
                break
            number += 1
            self._end_what_is_over(cells, judge)
            if number >= options.most_rounds:
                break
        for cell in cells:
            if cell.rounds >= min(options.rounds, options.most_rounds) and not self._interrupts.asked:
                cell.end(COMPLETE)
            else:
                cell.end(
                    INTERRUPTED,
                    f"{cell.rounds} of at least {options.rounds} rounds were measured; {self._why_it_ends()}",
                )
        for key, group in self._by_scenario(cells).items():
            if key not in self._comparisons:
                self._comparisons[key] = judge.comparisons(group, final=True)
        if searches:
            self._keep()

    def _looks(self, cells: Sequence[Cell], seconds: float) -> Plan:
        """At which rounds it is looked, from how many there is time for: known beforehand, or looking would be choosing."""
        round_s = sum(1.15 * cell.seconds for cell in cells if not cell.status)
        rounds = int(seconds / round_s) if round_s else self._options.rounds
        measured = max((cell.rounds for cell in cells), default=0)
        return plan_looks(max(1, min(self._options.most_rounds, max(self._options.rounds, measured + rounds))))

    def _round(self, cells: Sequence[Cell], number: int, until_s: float, began_s: float) -> bool:
        """One round; False where it came to no end. What does not fit in the time that is left is not begun."""
        budget = self._budget
        for cell in shuffled(cells, self._options.seed, number):
            if cell.status:
                continue
            if self._interrupts.asked or budget.spent_s + 0.5 * cell.seconds > until_s:
                return False
            if not self._has_room():
                return False
            target = self._target(cell)
            self._guarded(target, partial(self._take, cell, target, number))
            self._progress(steps.MEASURE, round(budget.spent_s - began_s), max(1, round(until_s - began_s)))
        return True

    def _take(self, cell: Cell, target: Opened, number: int) -> None:
        block = self._block(target, for_block(cell.scenario, cell.seconds, number), number, cell.seconds)
        cell.blocks.append(block)
        self._numbers += numbers_of(block)

    def _has_room(self) -> bool:
        """Whether the record can hold more; else it is said, once."""
        if self._numbers < ROOM:
            return True
        if not any(doubt.code == "record-full" for doubt in self._doubts):
            text = f"The record holds {self._numbers} numbers, as many as a file may: nothing more was measured. Measure fewer targets at once."
            self._doubts.append(Doubt("record-full", text))
        return False

    def _end_what_is_over(self, cells: Sequence[Cell], judge: Judge) -> None:
        """Scenarios that need no more rounds end; the record is written then, and now and then."""
        ended = False
        for key, group in self._by_scenario(cells).items():
            if any(not cell.status for cell in group) and judge.is_over(group):
                self._comparisons[key] = judge.comparisons(group)
                for cell in group:
                    cell.end(COMPLETE)
                ended = True
        if ended or self._budget.spent_s - self._kept_at_s > KEEP_S:
            self._keep()

    def _by_scenario(self, cells: Sequence[Cell]) -> dict[str, list[Cell]]:
        groups: dict[str, list[Cell]] = {}
        for cell in cells:
            groups.setdefault(cell.scenario.name, []).append(cell)
        return groups

    def _why_it_ends(self) -> str:
        if self._interrupts.asked:
            return "by Ctrl-C"
        if self._numbers >= ROOM:
            return "the record is full"
        return f"the time was spent: {self._options.minutes:g} minutes"

    def _target(self, cell: Cell) -> Opened:
        return next(target for target in self._targets if target.name == cell.target)

    # ---- density ----

    def _measure_density(self) -> None:
        """The searches take turns, probe by probe, until all have ended or the time is spent."""
        searches = [
            Search(cell, self._first_cameras(cell), self._options.most_cameras)
            for cell in self._cells
            if cell.is_search and not cell.status
        ]
        began_s, whole_s = self._budget.spent_s, self._budget.left_s
        number = 0
        while True:
            going = [one for one in searches if not one.cell.status]
            if not going:
                break
            for one in shuffled(going, self._options.seed, number):
                if self._interrupts.asked or not self._budget.allows(0.5 * one.cell.seconds) or not self._has_room():
                    why = (
                        "by Ctrl-C"
                        if self._interrupts.asked
                        else f"the time was spent: {self._options.minutes:g} minutes"
                    )
                    one.cell.end(INTERRUPTED, f"the search did not come to its end; {why}")
                    continue
                target = self._target(one.cell)
                self._guarded(target, partial(self._probe, one, target))
                if one.found is not None:
                    one.cell.end(COMPLETE)
                    self._keep()
                self._progress(steps.DENSITY, round(self._budget.spent_s - began_s), max(1, round(whole_s)))
            number += 1

    def _first_cameras(self, cell: Cell) -> int:
        return first_cameras(
            self._request_s.get((cell.target, SINGLE_STREAM), 0.0), float(cell.scenario.parameters["fps"])
        )

    def _probe(self, one: Search, target: Opened) -> None:
        """One block with the number of cameras that the search asks for."""
        cell = one.cell
        number = cell.next_round
        block = self._block(
            target,
            for_block(probe_scenario(cell.scenario, one.cameras), cell.seconds, number),
            number,
            cell.seconds + 2.0,
        )
        cell.blocks.append(block)
        self._numbers += numbers_of(block)
        if not self._interrupts.asked:
            one.advance()

    # ---- the record ----

    def _keep(self) -> None:
        self._kept_at_s = self._budget.spent_s
        self._keeper.keep(self._record(INTERRUPTED, self._watcher.values()))

    def _finished(self, interrupted: bool) -> Record:
        """The record of the whole run, with doubts. Raises KeyboardInterrupt where the run was interrupted before it measured: then a
        record to go on with stays as it was."""
        if not self._cells:
            raise KeyboardInterrupt
        for cell in self._cells:
            cell.end(INTERRUPTED, "by Ctrl-C")
        judged = Judge(
            self._reference, plan_looks(self._options.most_rounds), self._options.least_difference, self._options.rounds
        )
        for key, group in self._by_scenario([cell for cell in self._cells if not cell.is_search]).items():
            if key not in self._comparisons:
                self._comparisons[key] = judged.comparisons(group, final=True)
        conditions = self._watcher.values()
        self._doubts = [*doubts_of_machine(conditions), *self._doubts]
        status = INTERRUPTED if interrupted else COMPLETE
        measured = any(cell.blocks for cell in self._cells)
        if not measured and not interrupted:
            status = FAILED
        return self._record(status, conditions, judged=True)

    def _record(self, status: str, conditions: Mapping[str, Any], *, judged: bool = False) -> Record:
        results = tuple(self._result(cell, judged) for cell in self._cells)
        own = {
            OPTIONS: options_values(self._options),
            "threads": self._threads,
            "minutes": {"allowed": self._options.minutes, "spent": round(self._budget.spent_s / 60, 3)},
            **notes_of(self._targets),
        }
        if self._resumed is not None:
            before = self._resumed.conditions.get("before", [])
            own["before"] = [*(before if isinstance(before, list) else []), summary_of(self._resumed)]
        return Record(
            self._id, shlex.join(["edgevision", *sys.argv[1:]]), self._began, _now(), status, self._workload, {**conditions, **own},
            tuple(target.entry for target in self._targets), results,
            tuple(one for group in self._comparisons.values() for one in group), tuple(self._doubts),
        )  # fmt: skip

    def _result(self, cell: Cell, judged: bool) -> Result:
        if not judged:
            return cell.result(self._options.most_cameras)
        target = self._target(cell)
        reference = next((one for one in self._targets if one.name == self._reference), target)
        return judged_result(cell, target, reference, self._workload, self._options.most_cameras)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
