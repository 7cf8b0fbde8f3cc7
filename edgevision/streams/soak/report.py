"""A soak as a page with pictures, and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

from edgevision.evaluate.page.html import Figure, Rich, Section, Table, Text, html_page
from edgevision.evaluate.page.pictures import over_time
from edgevision.streams.fates import Fate
from edgevision.streams.soak.plan import Plan, SoakOptions
from edgevision.streams.soak.record import Record, Spread
from edgevision.streams.soak.verdict import MB, Outcome, Rule

_TONES: dict[Outcome, Literal["good", "bad", "warning"]] = {
    Outcome.HELD: "good",
    Outcome.BROKEN: "bad",
    Outcome.TOO_SHORT: "warning",
}
_MOST_POINTS = 1000  # of a line: more are not seen, and make the page large


def headline(rules: Sequence[Rule], plan: Plan) -> str:
    """The verdict in one line."""
    broken = sum(rule.outcome is Outcome.BROKEN for rule in rules)
    short = sum(rule.outcome is Outcome.TOO_SHORT for rule in rules)
    held = len(rules) - broken - short
    what = f"{len(plan.roles)} cameras for {plan.seconds / 3600:.3g} h: {held} rules held, {broken} broken"
    return what + (f", {short} needs a longer soak" if short else "")


def soak_values(record: Record, plan: Plan, options: SoakOptions, rules: Sequence[Rule]) -> dict[str, Any]:
    """Plain JSON values: the verdict, what was asked for, and all that was measured."""
    return {
        "passed": all(rule.outcome is not Outcome.BROKEN for rule in rules),
        "rules": [rule.to_dict() for rule in rules],
        "options": {
            "model": options.model.name, "seconds": options.seconds, "cameras": {name: role.value for name, role in plan.roles.items()},
            "fps": options.fps, "width": options.width, "height": options.height, "threads": options.threads,
            "warm_up_s": plan.warm_up_s, "sample_s": plan.sample_s,
        },
        **record.to_dict(),
    }  # fmt: skip


def soak_page(record: Record, plan: Plan, options: SoakOptions, rules: Sequence[Rule]) -> str:
    """One HTML page. Raises MissingExtraError without matplotlib."""
    rows = tuple((rule.name, Rich(rule.outcome.value, tone=_TONES[rule.outcome]), rule.figure) for rule in rules)
    passed = all(rule.outcome is not Outcome.BROKEN for rule in rules)
    return html_page(
        "Soak",
        [
            Section("Verdict", (Text(headline(rules, plan), "good" if passed else "bad"), Table(("rule", "", "figure"), rows))),
            Section("Over time", tuple(_figures(record, plan, options))),
            Section("Cameras", (_cameras(record, plan),)),
        ],
        subtitle=f"{options.model.name}, {options.width}×{options.height} at {options.fps:g} fps; the grey time is not judged",
    )  # fmt: skip


def _figures(record: Record, plan: Plan, options: SoakOptions) -> list[Figure]:
    samples = record.samples[:: 1 + len(record.samples) // _MOST_POINTS]
    hours = [sample.at_s / 3600 for sample in samples]
    warm_up = plan.warm_up_s / 3600
    rates = [0.0]
    cpu = [0.0]
    for before, after in pairwise(samples):
        seconds = max(after.at_s - before.at_s, 1e-9)
        rates.append((sum(after.served.values()) - sum(before.served.values())) / seconds)
        cpu.append(100 * (after.usage.cpu_s - before.usage.cpu_s) / seconds)
    memory = {"memory": [sample.usage.memory_bytes / MB for sample in samples]}
    counts = {
        "threads": [sample.usage.threads for sample in samples],
        "descriptors": [sample.usage.descriptors for sample in samples],
    }
    ages = {
        "median": [_ms(sample.age_s, 0) for sample in samples],
        "p99": [_ms(sample.age_s, 1) for sample in samples],
        "p99 by the cameras' clocks": [_ms(sample.clock_age_s, 1) for sample in samples],
    }
    return [
        Figure(over_time(hours, memory, "MB", warm_up=warm_up), "Memory of the process that is judged, without pages of files"),
        Figure(over_time(hours, counts, "open", warm_up=warm_up), "Threads and file descriptors"),
        Figure(
            over_time(hours, ages, "ms", warm_up=warm_up, limit=options.most_age_s * 1000), "How old results were",
            "p50 and p99 since the look before; the dotted line is the bound",
        ),
        Figure(over_time(hours, {"results": rates}, "a second", warm_up=warm_up), "Results of all cameras"),
        Figure(over_time(hours, {"CPU": cpu}, "% of a core", warm_up=warm_up), "Processor time"),
        Figure(
            over_time(hours, {"results": [sample.waiting for sample in samples]}, "results", warm_up=warm_up),
            "Served, and not yet at the broker", "They wait on disk while it is away",
        ),
    ]  # fmt: skip


def _ms(spread: Spread | None, place: int) -> float:
    return float("nan") if spread is None else 1000 * spread[place]


def _cameras(record: Record, plan: Plan) -> Table:
    rows = []
    for name, role in plan.roles.items():
        account = record.accounts.get(name)
        fates = dict(account.fates) if account else {}
        served = fates.pop(Fate.SERVED, 0)
        drops = ", ".join(f"{count} {fate.value}" for fate, count in fates.items() if count)
        rows.append((name, role.value, account.captured if account else 0, served, drops or "none"))
    return Table(("camera", "which is", "captured", "served", "dropped"), tuple(rows))
