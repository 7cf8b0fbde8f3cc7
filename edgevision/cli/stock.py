"""``edgevision stock``."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any

from edgevision.cli import output
from edgevision.errors import InputError


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "stock", help="what the inventory events of a stream add up to, now or at any time"
    )
    p.add_argument(
        "database", help="what stream --sink wrote: a SQLite file, or a URL such as postgresql://user@host/shop"
    )
    p.add_argument(
        "--at", metavar="TIME", help="as of then, such as 2026-11-27T18:30, in local time without a zone (default: now)"
    )
    p.add_argument("--camera", help="of one camera alone")
    p.add_argument("--place", help="of one line or zone alone")
    p.add_argument("--product", help="of one product alone")
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.streams.inventory.stock import Inventory

    at_s = None if arguments.at is None else _seconds(arguments.at)
    database = arguments.database.removeprefix("sqlite:")
    with Inventory(database, write=False) as inventory:
        rows = inventory.stock(at_s, camera=arguments.camera, place=arguments.place, product=arguments.product)
    if arguments.json:
        output.show_json([row.to_dict() for row in rows])
        return 0
    if not rows:
        output.say("no events")
        return 0
    lines = [
        (row.camera, row.place, row.product, str(row.net), str(row.plus), str(row.minus), _time_of(row.last_s))
        for row in rows
    ]
    output.table("", ("camera", "place", "product", "net", "in", "out", "last"), lines, left=3)
    return 0


def _seconds(text: str) -> float:
    """Seconds since 1970."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise InputError(f"--at is a time such as 2026-11-27T18:30 or 2026-11-27T17:30Z, got {text!r}") from None
    return moment.timestamp()


def _time_of(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")
    except (OverflowError, OSError, ValueError):
        return f"{seconds:g} s"
