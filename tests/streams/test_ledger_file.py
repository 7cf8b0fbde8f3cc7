"""The ledger's file: whole, or named by line."""

from __future__ import annotations

import pytest

from edgevision.errors import InputError
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account
from edgevision.streams.ledger_file import read_accounts, write_accounts

ACCOUNTS = (
    Account("Kasse 3 – ü", 10, 1, {Fate.SERVED: 9}, at_ns=1_800_000_000_000_000_000),
    Account("shelf", 0, 0, {}),
)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "ledger.jsonl"
    write_accounts(path, [Account("gone", 1, 1, {})])
    write_accounts(path, ACCOUNTS)
    assert read_accounts(path) == {one.camera: one for one in ACCOUNTS}
    assert [one.name for one in tmp_path.iterdir()] == ["ledger.jsonl"]


def test_of_several_lines_of_a_camera_the_last_counts(tmp_path):
    path = tmp_path / "ledger.jsonl"
    write_accounts(path, [Account("a", 1, 1, {}), Account("a", 2, 0, {Fate.SERVED: 2})])
    assert read_accounts(path)["a"].captured == 2


@pytest.mark.parametrize(("line", "says"), [
    (b"{", "line 2: Expecting property name"), (b"[]", "line 2: .* is an object, got list"),
    (b'{"camera": 3}', "line 2: .* the camera's name"), (b"\xff", "line 2: .*utf-8"), (b"[" * 100_000, "line 2"),
])  # fmt: skip
def test_a_damaged_line_is_named(tmp_path, line, says):
    path = tmp_path / "ledger.jsonl"
    write_accounts(path, ACCOUNTS[:1])
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(InputError, match=rf"ledger\.jsonl, {says}"):
        read_accounts(path)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"ledger\.jsonl"):
        read_accounts(tmp_path / "ledger.jsonl")
