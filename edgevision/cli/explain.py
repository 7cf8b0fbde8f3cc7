"""``edgevision explain``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edgevision.cli import output
from edgevision.errors import InputError


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "explain", help="say in words what became of every frame of a stream"
    )
    p.add_argument("ledger", type=Path, help="the file that stream --ledger wrote")
    p.add_argument("camera", nargs="?", help="one camera (default: all)")
    p.add_argument("--hours", action="store_true", help="each hour of the last week, all runs of the program together")
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.streams.explain import explain, explain_hours
    from edgevision.streams.ledger_file import read_ledger
    from edgevision.streams.model_ledger import explain_change, model_changes

    found = read_ledger(arguments.ledger)
    accounts = found.accounts
    if arguments.camera is not None:
        if arguments.camera not in accounts:
            known = ", ".join(accounts) or "none"
            raise InputError(f"{arguments.ledger} has no camera {arguments.camera!r}; it has {known}")
        accounts = {arguments.camera: accounts[arguments.camera]}
    if arguments.hours:
        hours = [one for one in found.hours if one.camera in accounts]
        if arguments.json:
            output.show_json([one.to_dict() for one in hours])
            return 0
        for line in explain_hours(hours):
            output.say(output.plain(line))
        return 0
    if arguments.json:
        output.show_json([account.to_dict() for account in accounts.values()])
        return 0
    if not accounts:
        output.say(f"{arguments.ledger} is empty: no camera has been served yet")
    for account in accounts.values():
        for line in explain(account):
            output.say(output.plain(line))
    if arguments.camera is None:
        for change in model_changes(found):
            output.say(output.plain(explain_change(change)))
    return 0
