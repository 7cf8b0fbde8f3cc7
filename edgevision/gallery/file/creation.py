"""A new gallery: written aside, and given its name once it is whole. And one of an earlier version, brought to this one."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sqlite3
from pathlib import Path

from edgevision.errors import EdgeVisionError, GalleryError
from edgevision.gallery.file.rows import APPLICATION_ID, NO_CONTENT, SCHEMAS, VERSION, Head, digest_of_head

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def begin_new(path: Path, bundle_id: str, dimension: int) -> tuple[sqlite3.Connection, Path]:
    """An empty gallery under a temporary name in the folder of ``path``, in a transaction, and that name."""
    for suffix in ("-journal", "-wal"):
        if os.path.lexists(
            f"{path}{suffix}"
        ):  # SQLite would take it for the new one's, and write what it holds into it
            raise GalleryError(
                f"{path}{suffix} belongs to a gallery that is gone; bring that back, or remove this file too, and try again"
            )
    temporary = path.parent / f".edgevision-{secrets.token_hex(8)}.tmp"  # files.is_temporary knows such names
    try:
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise GalleryError(
            f"cannot write {path}: {error.strerror}; choose a folder that exists and may be written"
        ) from None
    database = sqlite3.connect(
        f"{temporary.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        # Nobody reads it yet, and what is left after a kill is thrown away: no journal on disk, one sync at the end.
        for name, value in (("journal_mode", "MEMORY"), ("synchronous", "OFF"), ("application_id", APPLICATION_ID),
                            ("user_version", VERSION)):  # fmt: skip
            database.execute(f"PRAGMA {name} = {value}").fetchall()
        database.execute("BEGIN IMMEDIATE")
        for statement in SCHEMAS[VERSION]:
            database.execute(statement)
        _insert(database, Head(bundle_id, dimension, 0, 0, NO_CONTENT, 0))
    except BaseException:
        database.close()
        drop(temporary)
        raise
    return database, temporary


def upgrade(database: sqlite3.Connection, head: Head) -> None:
    """Make a gallery of an earlier version one of this version, in the transaction that is open. ``head``: as it was read."""
    database.execute("DROP TABLE gallery")
    database.execute(SCHEMAS[VERSION][0])
    _insert(database, head)
    database.execute(f"PRAGMA user_version = {VERSION}").fetchall()


def _insert(database: sqlite3.Connection, head: Head) -> None:
    database.execute("INSERT INTO gallery VALUES (1, ?, ?, ?, ?, ?, ?, ?)", (*head, digest_of_head(head)))


def finish_new(temporary: Path, path: Path) -> None:
    """Sync what is whole and closed, and give it its name. Raises GalleryError where that was taken meanwhile: nothing is replaced."""
    try:
        _sync(temporary)
        try:
            os.link(temporary, path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))  # a file system without links
            temporary.replace(path)
        _sync(path.parent)
    except FileExistsError:
        raise GalleryError(f"{path} was made by another program meanwhile; nothing was written. Do it again") from None
    except OSError as error:
        raise EdgeVisionError(
            f"cannot write {path}: {error.strerror}; check the disk, or choose another place"
        ) from error
    finally:
        drop(temporary)


def drop(temporary: Path) -> None:
    """Remove what was not finished."""
    with contextlib.suppress(OSError):
        temporary.unlink()


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some cannot sync folders
            raise
    finally:
        os.close(descriptor)
