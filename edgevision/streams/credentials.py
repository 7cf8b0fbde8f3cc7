"""Passwords and URLs that hold them: shown nowhere, known only to what opens the camera."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, unquote, urlsplit

from edgevision.errors import InputError

HIDDEN = "***"
_MOST_BYTES = 4096  # of a password's file

# Values that some cameras want in the path or the query: ``…/user=admin&password=123``, ``…?token=abc``.
_SECRET_VALUE = re.compile(r"(?i)((?:[a-z]*(?:pass|pwd|secret|token|key|auth|sig)[a-z]*|[a-z]*pas|pw)=)([^&/;?\s]+)")
_USER_INFO = re.compile(r"(?<=://)\S*@")  # to the last @ of the word: passwords may hold one
_TYPED_SCHEME = re.compile(r"(?i)[a-z][a-z0-9+.-]*:/{1,2}")


class Secret:
    """A text that ``str``, ``repr``, formatting and pickling never show. ``reveal`` does.

    >>> f"{Secret('1234')}"
    '***'
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __str__(self) -> str:
        return HIDDEN

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied: it would stand there in plain text")


@dataclass(frozen=True)
class CameraUrl:
    """A camera's URL, taken apart. ``str`` and ``repr`` show it without its secrets.

    ``scheme`` in small letters; ``rest``: from the path on, with the query, as it was written; ``user`` and ``password`` decoded.

    >>> url = CameraUrl.parse("rtsp://till:p%40ss@10.0.0.7:8554/cam?channel=1")
    >>> str(url)
    'rtsp://till:***@10.0.0.7:8554/cam?channel=1'
    >>> url.password.reveal()
    'p@ss'
    """

    scheme: str
    host: str
    port: int | None
    rest: Secret
    user: str | None = None
    password: Secret | None = None

    @classmethod
    def parse(cls, text: str) -> CameraUrl:
        """Raises InputError, which never shows the text."""
        _, _, behind = text.partition("://")
        authority = re.split("[/?#]", behind, maxsplit=1)[0]
        if "@" in behind and "@" not in authority:
            raise InputError(
                f"the URL of a camera at {re.split('[/?#]', behind.rpartition('@')[2])[0]!r} has an @ where its path is; write / ? # and @ "
                "of a password or path as %2F %3F %23 and %40, or give the password by password_env or password_file"
            )
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if not parts.scheme or not host:
            raise InputError(
                f"expected a URL such as rtsp://host:554/path, got {hide_login(text)!r}; see the camera's manual"
            )
        rest = behind[len(authority) :]
        return cls(
            scheme=parts.scheme.lower(),
            host=host,
            port=port,
            rest=Secret(rest),
            user=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else Secret(unquote(parts.password)),
        )

    @property
    def place(self) -> str:
        """Host and port, as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def with_login(self, user: str | None, password: Secret | None) -> CameraUrl:
        """The same with this user and password where they are given. Raises InputError for a password without a user."""
        login = CameraUrl(
            self.scheme,
            self.host,
            self.port,
            self.rest,
            self.user if user is None else user,
            self.password if password is None else password,
        )
        if login.password is not None and login.user is None:
            raise InputError(f"the camera at {self.place} has a password and no user; give its user too")
        return login

    def reveal(self) -> str:
        """The whole URL, percent-encoded: for the library that opens it, and for nothing else."""
        login = ""
        if self.user is not None:
            login = quote(self.user, safe="")
            if self.password is not None:
                login += ":" + quote(self.password.reveal(), safe="")
            login += "@"
        return f"{self.scheme}://{login}{self.place}{self.rest.reveal()}"

    def __str__(self) -> str:
        login = ""
        if self.user is not None:
            login = quote(self.user, safe="") + (f":{HIDDEN}" if self.password is not None else "") + "@"
        return f"{self.scheme}://{login}{self.place}{_hide_values(self.rest.reveal())}"

    def __repr__(self) -> str:
        return f"CameraUrl({str(self)!r})"


def hide_secrets(text: str) -> str:
    """``text``, such as a message of a library, without user names and passwords of URLs in it.

    >>> hide_secrets("cannot open rtsp://admin:1234@cam/live?token=abc")
    'cannot open rtsp://***@cam/live?token=***'
    """
    return _hide_values(_USER_INFO.sub(f"{HIDDEN}@", text))


def hide_login(address: str) -> str:
    """One address as somebody typed it, perhaps wrongly: nothing up to its last @ is shown, but for its scheme.

    >>> hide_login("admin:1234@10.0.0.7/live"), hide_login("rtsp:/admin:my pass@cam")
    ('***@10.0.0.7/live', 'rtsp:/***@cam')
    """
    before, at, behind = address.rpartition("@")
    scheme = _TYPED_SCHEME.match(before)
    return hide_secrets(behind) if not at else f"{scheme[0] if scheme else ''}{HIDDEN}@{_hide_values(behind)}"


def read_password(*, env: str | None, file: str | None) -> Secret | None:
    """The password in the environment variable ``env`` or the file ``file``, whichever is given; None for neither.

    The file holds the password and at most one line end. Raises InputError, which names the variable or file.
    """
    if env is not None:
        value = os.environ.get(env)
        if not value:
            raise InputError(f"the environment variable {env}, which holds a camera's password, is not set or empty")
        return Secret(value)
    if file is None:
        return None
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read the password file {file}: {error.strerror or error}") from None
    lines = list(_lines(content))
    if len(content) > _MOST_BYTES or len(lines) != 1 or not lines[0]:
        raise InputError(f"the password file {file} holds one line with the password and nothing else")
    return Secret(lines[0])


def _lines(content: bytes) -> Iterator[str]:
    text = content.decode("utf-8", errors="surrogateescape")
    yield from text.removesuffix("\n").removesuffix("\r").split("\n")


def _hide_values(text: str) -> str:
    return _SECRET_VALUE.sub(rf"\1{HIDDEN}", text)
