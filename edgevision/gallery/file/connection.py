"""Opening the database: only files that begin as ours do, and SQLite told to trust nothing in them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from edgevision.errors import EdgeVisionError, GalleryError
from edgevision.gallery.file.rows import APPLICATION_ID, SCHEMAS, VERSION

MAX_BYTES = 16 << 30  # of a file
STEPS = 20_000_000  # of SQLite's machine, and 4 for each byte; to read a row takes about 50 in all, and it has 100 bytes or more
WAIT_S = 30.0  # for another program: a large gallery takes seconds to read

# Opening a pipe must not wait for its other end.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_HEADER_BYTES = 100
# The end of a journal that names another file, which SQLite would read, and might delete (https://sqlite.org/fileformat.html,
# "The Rollback Journal"). Ours never do: they are of one database.
_JOURNAL_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_CURE = "restore it from a copy, or make it again from the photos"


def check_file(path: Path) -> int:
    """The size of the file in bytes. Raises GalleryError for what cannot be a gallery, before SQLite sees it.

    The file is not opened here: closing it would end all locks that this process has on it, those of another thread's
    transaction too (https://sqlite.org/howtocorrupt.html, 2.2).
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise GalleryError(f"there is no gallery {path}; make one with: edgevision gallery new") from None
    except (OSError, ValueError) as error:
        raise GalleryError(f"cannot read the gallery {path}: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(status.st_mode):
        raise GalleryError(f"expected a gallery, a file, got {path}, which is none; give the .evg file")
    if status.st_size < _HEADER_BYTES:
        raise _no_gallery(path)
    if status.st_size > MAX_BYTES:
        raise GalleryError(f"{path} has {status.st_size} bytes; a gallery has at most {MAX_BYTES}")
    _check_neighbours(path)
    return status.st_size


def check_header(database: sqlite3.Connection, path: Path) -> int:
    """The version of the file. Raises GalleryError unless it says that it is a gallery of a version that is read here."""
    if _pragma(database, "application_id") != APPLICATION_ID:
        raise GalleryError(f"{path} is a database of another program, not a gallery; give the .evg file")
    version = _pragma(database, "user_version")
    if isinstance(version, int) and version > VERSION:
        raise GalleryError(
            f"{path} is a gallery of version {version}, this EdgeVision reads those up to {VERSION}; install a newer EdgeVision"
        )
    written = (_pragma(database, "encoding"), _pragma(database, "journal_mode")) == ("UTF-8", "delete")
    if not written or not isinstance(version, int) or version not in SCHEMAS:
        raise damaged(path, "its header is not one that EdgeVision writes")
    return version


def _pragma(database: sqlite3.Connection, name: str) -> object:
    return database.execute(f"PRAGMA {name}").fetchone()[0]


def _no_gallery(path: Path) -> GalleryError:
    return GalleryError(f"{path} is no gallery: it does not begin as one; give the .evg file")


def _check_neighbours(path: Path) -> None:
    """SQLite takes up what lies beside a database under certain names: after a kill that is right, of a journal that we wrote."""
    log = Path(f"{path}-wal")
    if os.path.lexists(log):
        raise GalleryError(
            f"{log} was not written by EdgeVision, and would change what is read; look where it came from, and remove it"
        )
    journal = Path(f"{path}-journal")
    try:
        descriptor = os.open(journal, _READ)
    except OSError:  # none, as mostly
        return
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            os.lseek(descriptor, max(0, status.st_size - len(_JOURNAL_MAGIC)), os.SEEK_SET)
            if os.read(descriptor, len(_JOURNAL_MAGIC)) != _JOURNAL_MAGIC:
                return
    finally:
        os.close(descriptor)
    raise GalleryError(
        f"{journal} was not written by EdgeVision, and may name another file; look where it came from, and remove it"
    )


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
    steps = [STEPS + 4 * size]

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
    if sys.version_info >= (3, 11):
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1 << 24)
        database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)


def check_schema(database: sqlite3.Connection, path: Path, version: int) -> None:
    """Raise GalleryError unless the tables are ours, to the letter, and the pages of the file are sound. ``version``: of the file."""
    rows = database.execute("SELECT sql FROM sqlite_master LIMIT 100").fetchall()
    if sorted(str(sql) for (sql,) in rows) != sorted(SCHEMAS[version]):
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
        raise damaged(path, "it has text that cannot be read") from error
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
    if "not a database" in said:
        return _no_gallery(path)
    if "unable to open" in said and doing == "read":
        return GalleryError(
            f"cannot read {path}: it may not be read, or it is being made; check its permissions, and try again"
        )
    if "readonly" in said or "unable to open" in said:
        return GalleryError(f"cannot {doing} {path}: it, or its folder, may not be written; change that, or use a copy")
    return damaged(path, said)
