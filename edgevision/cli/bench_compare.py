"""``edgevision bench compare OLD NEW``: did something become slower? For a user's CI."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgevision.cli import output
from edgevision.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from edgevision.bench.report.compare import TOLERANCE

    parser.add_argument("old", type=Path, metavar="OLD", help="the record to compare with")
    parser.add_argument("new", type=Path, metavar="NEW", help="the record that is judged")
    parser.add_argument(
        "--tolerance", type=float, default=100 * TOLERANCE, metavar="PERCENT",
        help=f"differences up to so much are the same (default {100 * TOLERANCE:g})",
    )  # fmt: skip
    parser.add_argument("--across-machines", action="store_true", help="compare records of different machines")


def run(arguments: argparse.Namespace) -> int:
    """Exit status 0: nothing became slower; 1: something did, or does not run any more."""
    from edgevision.bench.record_file import read_record
    from edgevision.bench.report.compare import REFUSED, compare_records, comparison_tables, headline
    from edgevision.cli.bench_show import show_tables

    if not 0 < arguments.tolerance < 100:
        raise InputError(f"--tolerance is between 0 and 100 percent, got {arguments.tolerance:g}")
    old, new = read_record(arguments.old), read_record(arguments.new)
    found = compare_records(old, new, tolerance=arguments.tolerance / 100, across_machines=arguments.across_machines)
    if all(one.verdict == REFUSED for one in found):
        reasons = "; ".join(dict.fromkeys(f"{one.target} in {one.scenario}: {one.reason}" for one in found))
        raise InputError(f"no figure of the two records may be compared: {reasons or 'they have none'}")
    bad = any(one.is_bad for one in found)
    if arguments.json:
        output.show_json({
            "passed": not bad, "old": old.id, "new": new.id, "tolerance": arguments.tolerance / 100,
            "figures": [one.to_dict() for one in found],
        })  # fmt: skip
        return 1 if bad else 0
    show_tables(comparison_tables(old, new, found))
    output.say(headline(found), "bold red" if bad else "bold green")
    return 1 if bad else 0
