"""Files that a command writes must not replace what it reads, or what people would miss."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edgevision.errors import InputError

# How files begin that no report or table replaces.
_PRECIOUS: tuple[tuple[bytes, str], ...] = (
    (b"SQLite format 3\0", "a gallery"),
    (b"PK\x03\x04", "a bundle"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x89PNG\r\n\x1a\n", "a picture"),
    (b"GIF8", "a picture"),
    (b"II*\0", "a picture"),
    (b"MM\0*", "a picture"),
)
_START = 16  # bytes that tell


def check_target(target: str | Path, inputs: Iterable[str | Path | None] = ()) -> None:
    """Raise InputError where writing ``target`` would replace one of the ``inputs`` (None is passed over), or a gallery, a bundle or a
    picture. Call it before anything is opened.

    >>> check_target("found.html", ["shop.evg", None])
    """
    from edgevision.files import is_same_file

    for one in inputs:
        if one is not None and is_same_file(target, one):
            raise InputError(f"cannot write {target}: it is what is read; give another file")
    kind = _kind_of(Path(target))
    if kind is not None:
        raise InputError(f"cannot write {target}: {kind} is there, and would be lost; give another file, or remove it")


def _kind_of(path: Path) -> str | None:
    """What of value lies there, as its first bytes tell."""
    try:
        if not path.is_file():  # opening a pipe would wait
            return None
        with path.open("rb") as file:
            start = file.read(_START)
    except (OSError, ValueError):  # whoever writes says why it cannot be
        return None
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "a picture"
    return next((kind for beginning, kind in _PRECIOUS if start.startswith(beginning)), None)
