"""``edgevision tune``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edgevision.cli import output
from edgevision.cli.extras import check_threads


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "tune", help="measure the variants on this machine and remember the quickest"
    )
    p.add_argument("bundle", type=Path)
    p.add_argument("--threads", type=int, help="default: the cores of this machine")
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.runtime.tuning import tune

    check_threads(arguments.threads)
    err = output.console(error=True)
    result = tune(arguments.bundle, threads=arguments.threads, say=err.print)
    if arguments.json:
        output.show_json(result.to_dict())
        return 0
    lines = [[r.variant, "–" if r.p50_ms is None else f"{r.p50_ms:.2f}", r.message] for r in result.rows]
    chosen = next(place for place, r in enumerate(result.rows) if r.variant == result.variant)
    output.table(f"Measured here, {result.threads} threads", ["variant", "p50 ms", "note"], lines, bold=chosen)
    if result.cache:
        output.say(f"edgevision.load will use {result.variant} on this machine (kept in {result.cache})")
    else:
        output.say(f"{result.variant} is the quickest here; nothing was kept, and edgevision.load will not know")
    return 0
