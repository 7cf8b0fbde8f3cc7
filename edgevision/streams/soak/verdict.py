"""What a soak says of the runtime: rule by rule, with the figure that decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from statistics import mean
from typing import Any

from edgevision.streams.fates import Fate
from edgevision.streams.soak.plan import Plan, Role, SoakOptions
from edgevision.streams.soak.record import Record, Sample
from edgevision.streams.soak.trend import medians, theil_sen

MB = 1_000_000
LEAST_TREND_S = 3600.0  # of judged time, before a growth of 1 MB an hour can be told from the trembling of memory
LEAST_FLAT_S = 60.0  # of judged time: in a shorter one, a camera that is away fills a whole third
_PIECES = 60  # of the judged time: memory's medians in these are taken for independent
_LONGEST_PAUSE_S = 5.0
_SEEN_S = 3.0  # a camera that is stopped for longer than this is noticed


class Outcome(Enum):
    """``TOO_SHORT``: the soak was too short to tell."""

    HELD = "held"
    BROKEN = "broken"
    TOO_SHORT = "too short to tell"


@dataclass(frozen=True)
class Rule:
    """One rule, and what came of it. ``figure``: in words, with what it was held against."""

    name: str
    outcome: Outcome
    figure: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "outcome": self.outcome.value}


def judge(record: Record, plan: Plan, options: SoakOptions) -> list[Rule]:
    """Every rule. The runtime has passed where none is ``BROKEN``."""
    judged = record.after(plan.warm_up_s)
    rules = [_end(record), _ledger(record), _lost(record), _twice(record), _order(record)]
    if len(judged) >= 3:
        rules += [
            _memory(judged, options), _flat("threads", judged, lambda one: one.usage.threads),
            _flat("descriptors", judged, lambda one: one.usage.descriptors), _ages(judged, options), _pauses(judged, plan),
        ]  # fmt: skip
    return [*rules, _noticed(record, plan), _swaps(record)]


def _rule(name: str, holds: bool, figure: str) -> Rule:
    return Rule(name, Outcome.HELD if holds else Outcome.BROKEN, figure)


def _end(record: Record) -> Rule:
    return _rule("it runs to the end and stops", not record.end, record.end or "no thread was left")


def _ledger(record: Record) -> Rule:
    """Also at every look in between."""
    captured = sum(account.captured for account in record.accounts.values())
    wrong = sorted(
        {name for sample in record.samples for name in sample.unbalanced}
        | {name for name, account in record.accounts.items() if not account.balanced or account.in_flight}
    )
    figure = f"{captured} frames captured" + (f"; not exact: {', '.join(wrong)}" if wrong else ", each with one fate")
    return _rule("the ledger is exact", captured > 0 and not wrong, figure)


def _lost(record: Record) -> Rule:
    served = {name: account.fates.get(Fate.SERVED, 0) for name, account in record.accounts.items()}
    lost = {name: count - record.arrivals[name].results for name, count in served.items()}
    missing = {name: count for name, count in lost.items() if count}
    late = sum(one.late for one in record.arrivals.values())
    figure = f"{sum(served.values())} served, {sum(lost.values())} lost, {late} late, in {record.outages} outages of the broker"
    if missing:
        figure += f"; lost: {', '.join(f'{name} {count}' for name, count in missing.items())}"
    return _rule("every result arrives at the broker", sum(served.values()) > 0 and not missing, figure)


def _twice(record: Record) -> Rule:
    twice = sum(one.twice for one in record.arrivals.values())
    again = sum(one.again for one in record.arrivals.values())
    return _rule("what comes twice is marked late", not twice, f"{twice} unmarked, {again} marked")


def _order(record: Record) -> Rule:
    unexplained = sum(one.unexplained for one in record.arrivals.values())
    return _rule(
        "results come in order, and their gaps tell what is missing",
        not unexplained,
        f"{unexplained} frames unexplained",
    )


def _memory(judged: Sequence[Sample], options: SoakOptions) -> Rule:
    hours = [sample.at_s / 3600 for sample in judged]
    slope = theil_sen(*medians(hours, [sample.usage.memory_bytes / MB for sample in judged], _PIECES))
    figure = (
        f"{slope.value:+.2f} MB/h (95 %: {slope.low:+.2f} to {slope.high:+.2f}), at most {options.most_growth_mb_h:g}; "
        f"{judged[-1].usage.memory_bytes / MB:.0f} MB at the end"
    )
    if judged[-1].at_s - judged[0].at_s < LEAST_TREND_S:
        return Rule("memory does not grow", Outcome.TOO_SHORT, figure)
    return _rule("memory does not grow", slope.high <= options.most_growth_mb_h, figure)


def _flat(name: str, judged: Sequence[Sample], value: Callable[[Sample], int]) -> Rule:
    """What is left behind raises the least and the mean; what comes and goes with the cameras seldom raises both."""
    third = max(1, len(judged) // 3)
    first, last = ([value(sample) for sample in part] for part in (judged[:third], judged[-third:]))
    figure = f"at least {min(first)} in the first third, {min(last)} in the last; {mean(first):.1f} and {mean(last):.1f} on average"
    if judged[-1].at_s - judged[0].at_s < LEAST_FLAT_S:
        return Rule(f"{name} are not left behind", Outcome.TOO_SHORT, figure)
    grew = min(last) > min(first) and mean(last) >= mean(first) + 1
    return _rule(f"{name} are not left behind", not grew, figure)


def _ages(judged: Sequence[Sample], options: SoakOptions) -> Rule:
    """By both clocks: the runtime's account does not know what a camera needs to encode."""
    told = [sample.age_s[1] for sample in judged if sample.age_s is not None]
    by_clock = [sample.clock_age_s[1] for sample in judged if sample.clock_age_s is not None]
    worst = max((_share(told), _share(by_clock)))
    figure = (
        f"p99 of {_share(told) * 1000:.0f} ms by the runtime's account, {_share(by_clock) * 1000:.0f} ms by the cameras' clocks; "
        f"at most {options.most_age_s * 1000:.0f} ms"
    )
    return _rule("results are fresh", bool(told) and worst <= options.most_age_s, figure)


def _share(values: Sequence[float]) -> float:
    """Of the p99 of all looks, the one that 19 of 20 do not exceed."""
    ordered = sorted(values)
    return ordered[int(0.95 * (len(ordered) - 1))] if ordered else 0.0


def _pauses(judged: Sequence[Sample], plan: Plan) -> Rule:
    """The others go on while one fails."""
    longest_s, slowest = 0.0, ""
    for name in plan.cameras(Role.HEALTHY):
        since_s, count = judged[0].at_s, judged[0].served.get(name, 0)
        for sample in judged:
            served = sample.served.get(name, 0)
            if served > count:
                since_s, count = sample.at_s, served
            if sample.at_s - since_s > longest_s:
                longest_s, slowest = sample.at_s - since_s, name
    seconds = judged[-1].at_s - judged[0].at_s
    rate = sum(
        judged[-1].served.get(name, 0) - judged[0].served.get(name, 0) for name in plan.cameras(Role.HEALTHY)
    ) / max(seconds, 1e-9)
    figure = f"{rate:.1f} results a second; longest pause {longest_s:.1f} s{f' of {slowest}' if slowest else ''}, at most {_LONGEST_PAUSE_S:g} s"
    return _rule("healthy cameras are served throughout", longest_s <= _LONGEST_PAUSE_S, figure)


def _noticed(record: Record, plan: Plan) -> Rule:
    """A camera that stops is told as stalled each time, and as live after it; the unreachable one never was."""
    figures, missed = [], False
    wanted = record.freezes if plan.freeze.lasts_s > _SEEN_S else 0
    for name in plan.cameras(Role.FREEZING):
        seen = record.arrivals[name]
        figures.append(
            f"{name} stopped {record.freezes} times, was told as stalled {seen.stalled}, as live {seen.live}"
        )
        missed = missed or seen.stalled < wanted or seen.live <= wanted
    for name in plan.cameras(Role.UNREACHABLE):
        figures.append(f"{name} was live {record.arrivals[name].live} times")
        missed = missed or record.arrivals[name].live > 0
    return _rule("failures of cameras are noticed", not missed, "; ".join(figures))


def _swaps(record: Record) -> Rule:
    switched = record.steps.get("switched", 0)
    failed = {name: record.steps[name] for name in ("refused", "replaced", "rolled_back") if record.steps.get(name)}
    figure = f"{switched} of {record.swaps} switched" + "".join(f", {count} {name}" for name, count in failed.items())
    figure += f" ({record.refusal})" if failed and record.refusal else ""
    return _rule("models are swapped", switched == record.swaps and not failed, figure)
