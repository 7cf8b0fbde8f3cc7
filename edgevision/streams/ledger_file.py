"""The ledger as a file: one line of JSON for each camera, as of the moment it was written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from edgevision.errors import InputError
from edgevision.files import atomic_write, read_regular
from edgevision.streams.ledger import Account

_MAX_BYTES = 64 * 1024 * 1024


def write_accounts(path: str | Path, accounts: Iterable[Account]) -> None:
    """Replace the file by these accounts: at every moment it is the old one or the new one, whole. Raises InputError."""
    lines = [json.dumps(account.to_dict(), ensure_ascii=False) + "\n" for account in accounts]
    atomic_write(path, "".join(lines).encode())


def read_accounts(path: str | Path) -> dict[str, Account]:
    """The accounts in a file, by camera; of several of one camera, the last. Raises InputError that names file and line."""
    try:
        content = read_regular(path, _MAX_BYTES)
    except OSError as error:
        raise InputError(f"the ledger {path} cannot be read: {error.strerror}") from None
    found: dict[str, Account] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            account = Account.from_dict(json.loads(line))
        except (ValueError, RecursionError) as error:  # InputError is one, and so is JSON's
            raise InputError(f"{path}, line {number}: {error}") from None
        found[account.camera] = account
    return found
