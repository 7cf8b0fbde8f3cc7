"""Opening the database: only files that begin as ours do, and SQLite told to trust nothing in them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from edgevision.errors import EdgeVisionError, GalleryError
from edgevision.gallery.file.rows import APPLICATION_ID, SCHEMA, VERSION

MAX_BYTES = 16 << 30  # of a file
WAIT_S = 30.0  # for another program: a large gallery takes seconds to read

_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100
# The end of a journal that names another file, which SQLite would read, and might delete (https://sqlite.org/fileformat.html,
# "The Rollback Journal"). Ours never do: they are of one database.
_JOURNAL_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_CURE = "restore it from a copy, or make it again from the photos"


def check_file(path: Path) -> int:
    """The size of the file in bytes. Raises GalleryError for what cannot be a gallery, before SQLite sees it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise GalleryError(f"there is no gallery {path}; make one with: edgevision gallery new") from None
    except (OSError, ValueError) as error:
        raise GalleryError(f"cannot read the gallery {path}: {getattr(error, 'strerror', None) or error}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise GalleryError(f"expected a gallery, a file, got {path}, which is none; give the .evg file")
        header = os.read(descriptor, _HEADER_BYTES)
    except OSError as error:
        raise GalleryError(f"cannot read the gallery {path}: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if status.st_size > MAX_BYTES:
        raise GalleryError(f"{path} has {status.st_size} bytes; a gallery has at most {MAX_BYTES}")
    _check_header(path, header)
    _check_journal(Path(f"{path}-journal"))
    return status.st_size


def _check_header(path: Path, header: bytes) -> None:
    """See https://sqlite.org/fileformat.html, "The Database Header"."""
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise GalleryError(f"{path} is no gallery: it does not begin as one; give the .evg file")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise GalleryError(f"{path} is a database of another program, not a gallery; give the .evg file")
    version = int.from_bytes(header[60:64], "big")
    if version > VERSION:
        raise GalleryError(
            f"{path} is a gallery of version {version}, this EdgeVision reads version {VERSION}; install a newer EdgeVision"
        )
    if version != VERSION or header[18:20] != b"\x01\x01" or header[56:60] != b"\x00\x00\x00\x01":
        raise GalleryError(f"the gallery {path} is damaged: its header is not one that EdgeVision writes; {_CURE}")


def _check_journal(journal: Path) -> None:
    try:
        with journal.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - len(_JOURNAL_MAGIC)))
            end = file.read()
    except OSError:  # none, as mostly
        return
    if end == _JOURNAL_MAGIC:
        raise GalleryError(f"{journal} was not written by EdgeVision: it names another file; look where it came from")


def connect(path: Path, mode: str, size: int) -> sqlite3.Connection:
    """A connection in SQLite's ``mode`` (``ro``, ``rw``), hardened (https://sqlite.org/security.html). ``size``: of the file in
    bytes; reading may take as much work as that allows, and no more."""
    database = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        timeout=WAIT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        harden(database, size)
    except BaseException:
        database.close()
        raise
    return database


def harden(database: sqlite3.Connection, size: int) -> None:
    """Trust nothing in the file, and end what does not end. A damaged tree may lead to the same rows again and again."""
    steps = [20_000_000 + 4 * size]  # of SQLite's machine; a row of 100 bytes and more takes about 50 in all

    def give_up() -> bool:
        steps[0] -= 100_000
        return steps[0] < 0

    database.set_progress_handler(give_up, 100_000)
    for name, value in (
        ("trusted_schema", "OFF"),
        ("cell_size_check", "ON"),
        ("mmap_size", "0"),
        ("temp_store", "MEMORY"),
    ):
        database.execute(f"PRAGMA {name} = {value}").fetchall()
    if hasattr(database, "setlimit"):  # Python 3.11
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1 << 24)
        database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)


def check_schema(database: sqlite3.Connection, path: Path) -> None:
    """Raise GalleryError unless the tables are ours, to the letter, and the pages of the file are sound."""
    rows = database.execute("SELECT sql FROM sqlite_master LIMIT 100").fetchall()
    if sorted(str(sql) for (sql,) in rows) != sorted(SCHEMA):
        raise GalleryError(
            f"{path} has other tables than a gallery has; EdgeVision did not write it, and reads nothing of it"
        )
    if (found := database.execute("PRAGMA quick_check(1)").fetchall()) != [("ok",)]:
        raise damaged(path, str(found[0][0])[:100] if found else "the check gives no answer")


def damaged(path: Path, what: str) -> GalleryError:
    """The error for a gallery that cannot be read."""
    return GalleryError(f"the gallery {path} is damaged: {' '.join(what.split())}; {_CURE}")


@contextlib.contextmanager
def speaking_of(path: Path, doing: str) -> Iterator[None]:
    """Turn SQLite's errors into those that say what to do. ``doing``: "read" or "write"."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explained(path, doing, str(error)) from error
    except UnicodeError as error:  # text that is not UTF-8
        raise damaged(path, f"text that cannot be read ({error.reason})") from error
    except OverflowError as error:
        raise damaged(path, str(error)) from error


def _explained(path: Path, doing: str, said: str) -> EdgeVisionError:
    if "locked" in said or "busy" in said:
        return GalleryError(f"cannot {doing} {path}: another program has been using it for {WAIT_S:g} s; try again")
    if "disk is full" in said:
        return EdgeVisionError(
            f"cannot {doing} {path}: the disk is full; the gallery is as it was. Free some space, and try again"
        )
    if "disk I/O error" in said:
        return EdgeVisionError(
            f"cannot {doing} {path}: the disk fails ({said}); the gallery is as it was. Check the disk"
        )
    if "readonly" in said or "unable to open" in said:
        return GalleryError(f"cannot {doing} {path}: it, or its folder, may not be written; change that, or use a copy")
    return damaged(path, said)
