"""Tokens: made, kept as digests, found, revoked, and taken up from the file as it is now."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import multiprocessing
import os
import stat
from collections import Counter
from pathlib import Path

import pytest

from edgevision.errors import InputError
from edgevision.kiosk.service.access.tokens import (
    Token,
    TokenBook,
    add_token,
    digest_of,
    find,
    read_tokens,
    revoke_token,
)
from edgevision.kiosk.service.route import Scope


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "tokens.json"


def test_what_is_kept_is_the_sha256_alone(path):
    token = add_token(path, "till-3", [Scope.INFER, Scope.READ])
    assert token not in path.read_text()
    assert token.removeprefix("evk_") not in path.read_text()
    (entry,) = json.loads(path.read_text())["tokens"]
    assert entry["sha256"] == hashlib.sha256(token.encode()).hexdigest()
    assert entry["name"] == "till-3"
    assert entry["scopes"] == ["infer", "read"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_file_is_closed_to_others_from_its_first_byte_on(path, monkeypatch):
    """Also where it stood open before, and whatever the umask is."""
    add_token(path, "a", [Scope.READ])
    modes = []
    replace = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda self, target: (modes.append(stat.S_IMODE(self.stat().st_mode)), replace(self, target))
    )
    old = os.umask(0)
    try:
        add_token(path, "b", [Scope.READ])
    finally:
        os.umask(old)
    assert modes == [0o600]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_tokens_are_random(path):
    tokens = [add_token(path, f"till-{number}", [Scope.INFER]) for number in range(40)]
    assert len(set(tokens)) == 40
    text = "".join(token.removeprefix("evk_") for token in tokens)
    assert len(text) == 40 * 43  # 256 bits in base64
    counts = Counter(text)
    entropy = -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())
    assert entropy > 5.8  # of 6


@pytest.mark.parametrize(
    "scopes",
    list(
        itertools.chain.from_iterable(
            itertools.combinations([Scope.INFER, Scope.READ, Scope.ADMIN], n) for n in (1, 2, 3)
        )
    ),
)
def test_scopes(path, scopes):
    token = add_token(path, "one", scopes)
    kept = TokenBook(path).find(digest_of(token))
    assert kept is not None
    for wanted in Scope:
        assert kept.allows(wanted) == (wanted is Scope.OPEN or wanted in scopes or Scope.ADMIN in scopes)


def test_changes_hold_from_the_next_request_on(path):
    first = add_token(path, "first", [Scope.READ])
    book = TokenBook(path)
    assert book.find(digest_of(first)) is not None
    second = add_token(path, "second", [Scope.READ])
    assert book.find(digest_of(second)) is not None
    revoke_token(path, "first")
    assert book.find(digest_of(first)) is None
    assert book.find(digest_of(second)) is not None
    assert [one.name for one in read_tokens(path)] == ["second"]


def delete(path: Path) -> None:
    path.unlink()


def damage(path: Path) -> None:
    path.write_text(path.read_text()[:-5])


def open_up(path: Path) -> None:
    path.chmod(0o604)


@pytest.mark.parametrize("spoil", [delete, damage, open_up])
def test_a_file_that_went_bad_lets_nobody_in(path, spoil, caplog):
    token = add_token(path, "till-3", [Scope.READ])
    content = path.read_text()
    book = TokenBook(path)
    spoil(path)
    assert book.find(digest_of(token)) is None
    assert book.find(digest_of(token)) is None
    assert sum("nobody is let in" in record.message for record in caplog.records) == 1
    path.write_text(content)
    path.chmod(0o600)
    assert book.find(digest_of(token)) is not None


def test_a_book_needs_its_file(path):
    with pytest.raises(InputError, match="edgevision token add"):
        TokenBook(path)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o620, 0o666])
def test_a_file_that_others_may_use_is_refused(path, mode):
    add_token(path, "till-3", [Scope.READ])
    path.chmod(mode)
    with pytest.raises(InputError, match="chmod 600"):
        read_tokens(path)


def test_a_group_may_read(path):
    add_token(path, "till-3", [Scope.READ])
    path.chmod(0o440)
    assert len(read_tokens(path)) == 1


ENTRY = {"name": "a", "sha256": "0" * 64, "scopes": ["read"], "made": "2026-11-28T15:00:00+00:00"}


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "null", '{"version": 1}', '{"version": 2, "tokens": []}', '{"version": 1, "tokens": {"a": 1}}', '{"version": 1, "tokens": [null]}',
     *(json.dumps({"version": 1, "tokens": [{**ENTRY, key: value}]})
       for key, value in [("name", ""), ("name", "a\nb"), ("name", 7), ("sha256", "0" * 63), ("sha256", "G" * 64), ("sha256", None), ("scopes", ["all"]),
                          ("scopes", 7), ("made", None)]),
     "[" * 100_000, "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")],
)  # fmt: skip
def test_a_file_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "tokens.json"
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(InputError, match=r"tokens\.json"):
        read_tokens(path)


@pytest.mark.parametrize("name", ["", " ", "-a", "a b", "a\nb", "a/b", "ä", "a" * 65, "a\x1b[2J"])
def test_a_name_that_is_none_is_refused(path, name):
    with pytest.raises(InputError, match="a token's name"):
        add_token(path, name, [Scope.READ])
    assert not path.exists()


def test_a_name_is_taken_once(path):
    add_token(path, "till-3", [Scope.READ])
    with pytest.raises(InputError, match="already"):
        add_token(path, "till-3", [Scope.READ])
    with pytest.raises(InputError, match="no token named 'till-4'; it has till-3"):
        revoke_token(path, "till-4")
    for scopes in ([], [Scope.OPEN]):
        with pytest.raises(InputError, match="scope"):
            add_token(path, "till-5", scopes)


def test_every_entry_is_compared_whole(monkeypatch):
    """So that the time tells neither which token it is nor how much of it was right."""
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: (compared.append((a, b)), a == b)[1])
    tokens = [Token(str(number), digest_of(str(number)), frozenset({Scope.READ}), "") for number in range(5)]
    for text in ("0", "4", "none"):
        compared.clear()
        found = find(digest_of(text), tokens)
        assert (found.name if found else "none") == text
        assert len(compared) == 5


def _add(path: Path, name: str) -> None:
    add_token(path, name, [Scope.READ])


def test_two_processes_at_once_lose_nothing(path):
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_add, args=(path, f"till-{number}")) for number in range(8)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert sorted(one.name for one in read_tokens(path)) == [f"till-{number}" for number in range(8)]
