"""Tokens: one for each device, random, shown once, kept as their SHA-256.

A token has 256 random bits. Nobody can try them all, so its plain SHA-256 gives it away as little as a slow password hash would; and it
is quick, so that checking it is no way to keep the service busy. Who reads the file cannot use what stands there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgevision.errors import InputError
from edgevision.files import read_regular
from edgevision.kiosk.service.access.places import make_private_folder, write_private
from edgevision.kiosk.service.route import Scope

PREFIX = "evk_"  # so that programs that look for secrets in texts find it
MAX_TOKEN_CHARACTERS = 256
_VERSION = 1
_MOST_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_log = logging.getLogger("edgevision.kiosk.access")


@dataclass(frozen=True)
class Token:
    """What is kept of one. ``name``: of its device. ``digest``: the SHA-256 of the token in hex. ``made``: when, ISO 8601 in UTC."""

    name: str
    digest: str
    scopes: frozenset[Scope]
    made: str

    def allows(self, scope: Scope) -> bool:
        """Whether a route of this scope may be called with it."""
        return scope is Scope.OPEN or scope in self.scopes or Scope.ADMIN in self.scopes

    def to_dict(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "name": self.name,
            "sha256": self.digest,
            "scopes": sorted(one.value for one in self.scopes),
            "made": self.made,
        }


def digest_of(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", errors="replace")).hexdigest()


def find(digest: str, tokens: Sequence[Token]) -> Token | None:
    """The token with this digest. How long it takes does not tell how much of the digest was right, nor which token it is."""
    found = None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found


# ---- the file ----


def add_token(path: Path, name: str, scopes: Sequence[Scope]) -> str:
    """Make a token for the device ``name`` and keep its digest in ``path``. Returns the token, which is kept nowhere.

    Raises InputError for a name that is none or taken, for no scope, and where the file cannot be read or written.
    """
    if _NAME.fullmatch(name) is None:
        raise InputError(f"a token's name is 1…64 letters, digits, dots, dashes and underscores, got {name!r}")
    wanted = frozenset(scopes) - {Scope.OPEN}
    if not wanted:
        raise InputError("a token needs a scope: infer, read or admin")
    token = PREFIX + secrets.token_urlsafe(32)
    with _locked(path):
        tokens = read_tokens(path) if path.exists() else []
        if any(one.name == name for one in tokens):
            raise InputError(f"{path} has a token named {name!r} already; revoke that first, or choose another name")
        made = datetime.now(timezone.utc).isoformat(timespec="seconds")
        _write(path, [*tokens, Token(name, digest_of(token), wanted, made)])
    return token


def revoke_token(path: Path, name: str) -> None:
    """Take the token of the device ``name`` out of the file. Raises InputError where there is none."""
    read_tokens(path)  # before a folder is made for the lock
    with _locked(path):
        tokens = read_tokens(path)
        left = [one for one in tokens if one.name != name]
        if len(left) == len(tokens):
            known = ", ".join(one.name for one in tokens) or "none"
            raise InputError(f"{path} has no token named {name!r}; it has {known}")
        _write(path, left)


def read_tokens(path: Path) -> list[Token]:
    """All tokens of the file. Raises InputError where it is none, or other users may read or change it."""
    try:
        _check_private(path)
        content = read_regular(path, _MOST_BYTES)
    except FileNotFoundError:
        raise InputError(
            f"the file of tokens {path} is not there; make it with: edgevision token add NAME --tokens {path}"
        ) from None
    except OSError as error:
        raise InputError(f"cannot read the tokens in {path}: {error.strerror or error}") from error
    try:
        data = json.loads(content)
        version, entries = data["version"], data["tokens"]
        if version == _VERSION:
            return [_token_of(entry) for entry in entries]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path} is no file of tokens: {error}; restore it, or delete it and make the tokens again"
        ) from error
    raise InputError(f"{path} is of version {version!r}, expected {_VERSION}; upgrade edgevision")


def _token_of(entry: dict[str, Any]) -> Token:
    name, digest, made = entry["name"], entry["sha256"], entry["made"]
    if _NAME.fullmatch(name) is None or _DIGEST.fullmatch(digest) is None or not isinstance(made, str):
        raise ValueError("an entry has no proper name, sha256 or made")
    return Token(name, digest, frozenset(Scope(one) for one in entry["scopes"]), made)


def _write(path: Path, tokens: Sequence[Token]) -> None:
    content = json.dumps({"version": _VERSION, "tokens": [one.to_dict() for one in tokens]}, indent=1).encode()
    write_private(path, content)


def _check_private(path: Path) -> None:
    """Raise InputError where other users may read or change the file. A group may read it: services are given files so."""
    status = path.stat()
    if not hasattr(os, "geteuid"):
        return
    if status.st_uid not in {os.geteuid(), 0}:
        raise InputError(f"the tokens in {path} belong to another user; give them to this one with chown")
    if status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise InputError(f"other users may read or change the tokens in {path}; close it with: chmod 600 {path}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process changes the file at a time."""
    if not path.parent.exists():
        make_private_folder(path.parent)
    try:
        descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InputError(
            f"cannot write in {path.parent}: {error.strerror or error}; choose another folder with --tokens"
        ) from error
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:  # a file system without locks
        if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.EINVAL}:
            raise


# ---- in the service ----


class TokenBook:
    """The tokens of a file, as it is now: a change holds from the next request on.

    A file that is gone, damaged or open to other users holds no tokens: nobody comes in until it is mended, and the log says why once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._tokens: list[Token] = read_tokens(path)
        self._seen = self._state()

    def find(self, digest: str) -> Token | None:
        """The token with this digest, if it holds now."""
        state = self._state()
        if state != self._seen:
            self._seen = state
            self._tokens = self._read()
        return find(digest, self._tokens)

    def _state(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_mode ^ status.st_size << 16

    def _read(self) -> list[Token]:
        try:
            tokens = read_tokens(self._path)
        except InputError as error:
            _log.error("nobody is let in: %s", error)
            return []
        _log.info("%d tokens taken up from %s", len(tokens), self._path)
        return tokens
