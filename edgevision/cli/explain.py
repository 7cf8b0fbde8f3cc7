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
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.streams.explain import explain, explain_change, read_accounts, read_model_changes

    accounts = read_accounts(arguments.ledger)
    if arguments.camera is not None:
        if arguments.camera not in accounts:
            known = ", ".join(accounts) or "none"
            raise InputError(f"{arguments.ledger} has no camera {arguments.camera!r}; it has {known}")
        accounts = {arguments.camera: accounts[arguments.camera]}
    if arguments.json:
        output.show_json([account.to_dict() for account in accounts.values()])
        return 0
    if not accounts:
        output.say(f"{arguments.ledger} is empty: no camera has been served yet")
    for account in accounts.values():
        for line in explain(account):
            output.say(output.plain(line))
    if arguments.camera is None:
        for change in read_model_changes(arguments.ledger):
            output.say(output.plain(explain_change(change)))
    return 0
