"""``edgevision token``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.errors import InputError

if TYPE_CHECKING:
    from edgevision.kiosk.service.access.tokens import Token

SCOPES = ("infer", "read", "admin")  # of route.Scope, but for the one that needs no token
DEFAULT_SCOPES = ("infer", "read")  # what the page needs


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "token",
        help="who may use edgevision serve: make, list and revoke the tokens of devices",
        description="Each device has a token of its own. It is shown once, when it is made; kept is its SHA-256. A running service takes up "
        "changes at once.",
        epilog="Example: edgevision token add till-3",
    )
    p.add_argument("action", choices=("add", "list", "revoke"))
    p.add_argument("name", nargs="?", metavar="NAME", help="of the device, with add and revoke")
    p.add_argument(
        "--scope", action="append", choices=SCOPES,
        help=f"what the device may do; repeat for more (default: {' and '.join(DEFAULT_SCOPES)}; admin includes both)",
    )  # fmt: skip
    p.add_argument(
        "--tokens", type=Path, metavar="FILE", help="where tokens are kept (default: this user's configuration)"
    )
    p.add_argument(
        "--page", metavar="URL", help="with add: also print the address that opens the page at URL with this token"
    )
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.kiosk.service.access.places import default_tokens

    path = arguments.tokens or default_tokens()
    if arguments.action == "list":
        return _list(path, json=arguments.json)
    if arguments.name is None:
        raise InputError(f"edgevision token {arguments.action} needs the NAME of a device")
    if arguments.action == "add":
        return _add(path, arguments)
    return _revoke(path, arguments.name, json=arguments.json)


def _add(path: Path, arguments: argparse.Namespace) -> int:
    from edgevision.kiosk.service.access.tokens import add_token
    from edgevision.kiosk.service.route import Scope

    scopes = [Scope(one) for one in arguments.scope or DEFAULT_SCOPES]
    token = add_token(path, arguments.name, scopes)
    address = None if arguments.page is None else f"{arguments.page.partition('#')[0].rstrip('/')}/#token={token}"
    if arguments.json:
        told = {
            "name": arguments.name,
            "token": token,
            "scopes": sorted(one.value for one in scopes),
            "file": str(path),
        }
        output.show_json(told if address is None else {**told, "page": address})
        return 0
    print(token)
    output.say(f"This is shown once. {path} keeps its SHA-256.", style="dim")
    if address is not None:
        output.say(address)
    return 0


def _list(path: Path, *, json: bool) -> int:
    from edgevision.kiosk.service.access.tokens import read_tokens

    tokens = read_tokens(path)
    if json:
        output.show_json([{"name": one.name, "scopes": _scopes(one), "made": one.made} for one in tokens])
    elif not tokens:
        output.say("no tokens: nobody is let in")
    else:
        lines = [(one.name, ", ".join(_scopes(one)), one.made) for one in tokens]
        output.table("", ("device", "scopes", "made"), lines, left=3)
    return 0


def _revoke(path: Path, name: str, *, json: bool) -> int:
    from edgevision.kiosk.service.access.tokens import revoke_token

    revoke_token(path, name)
    if json:
        output.show_json({"revoked": name, "file": str(path)})
    else:
        output.say(f"revoked: {name}. A running service refuses it from now on.")
    return 0


def _scopes(token: Token) -> list[str]:
    return sorted(one.value for one in token.scopes)
