"""Files that are whole or not there: written to a temporary name, synced, then renamed.

A process that is killed while it writes leaves the old target as it was, and at most one temporary file
(``is_temporary`` knows it by its name), which nothing reads and which is safe to delete.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from edgevision.errors import EdgeVisionError, InputError

# Short and independent of the target's name, so that a name of the longest length allowed still works.
_TEMPORARY = re.compile(r"\.edgevision-[0-9a-f]{16}\.tmp")

# What the user can change about the path (exit status 2), and what to do about it.
_BAD_TARGET: dict[int, str] = {
    errno.ENOENT: "the folder does not exist; create it, or choose another place",
    errno.ENOTDIR: "its parent is a file, not a folder; choose another place",
    errno.EISDIR: "it is a folder; give the name of a file",
    errno.EACCES: "permission denied; choose a folder you may write to",
    errno.EPERM: "permission denied; choose a folder you may write to",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ELOOP: "its symbolic links go round in a circle; give the file itself",
}
# What went wrong on the way (exit status 1).
_FAILED: dict[int, str] = {
    errno.ENOSPC: "the disk is full; free some space, or choose another place",
    errno.EDQUOT: "the disk quota is used up; free some space, or choose another place",
    errno.EFBIG: "the file is larger than the limit here (ulimit -f, or the file system's); raise it, or choose another place",
}
# Some file systems (and folders that may be written but not listed) cannot sync a folder. The file itself is synced.
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM}


def is_temporary(path: str | Path) -> bool:
    """Whether the name is one that ``atomic_write`` gives to files it has not finished."""
    return _TEMPORARY.fullmatch(Path(path).name) is not None


def atomic_write(
    path: str | Path,
    data: bytes | Callable[[BinaryIO], object],
    *,
    check: Callable[[Path], object] | None = None,
) -> None:
    """Write a file so that at every instant ``path`` is the old file or the whole new one, through a power cut too.

    ``data`` is the content, or a function that writes it to the open (seekable) file it is given. ``check``, where
    given, is called with the temporary file after it was synced; if it raises, nothing is replaced. A symbolic link is
    followed, and a replaced file's permissions are kept.

    Raises InputError when ``path`` cannot be a file here (no such folder, read-only, a folder), EdgeVisionError when
    writing fails (disk full). On these and on every exception of ``data`` or ``check`` the temporary file is removed
    and the target is untouched.

    >>> atomic_write("results.json", b"{}")
    """
    with _speaking_of(path):
        target, mode = _target(path)
        temporary, descriptor = _create_temporary(target.parent)
        raw = _RawFile(descriptor, "wb")
        try:
            with io.BufferedWriter(raw) as file:
                if mode is not None:
                    temporary.chmod(mode)
                if callable(data):
                    data(file)
                else:
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if check is not None:
                check(temporary)
            temporary.replace(target)
        except BaseException as error:  # KeyboardInterrupt too
            with contextlib.suppress(OSError):
                temporary.unlink()
            if raw.failure is not None and isinstance(error, Exception):
                raise raw.failure from error
            raise
        _sync_folder(target.parent)


def ensure_writable(path: str | Path) -> None:
    """Raise what ``atomic_write`` would raise for a target that cannot be written, before long work is begun.

    Leaves nothing behind, and does not touch what is there.
    """
    with _speaking_of(path):
        target, _ = _target(path)
        temporary, descriptor = _create_temporary(target.parent)
        os.close(descriptor)
        temporary.unlink()


def file_state(path: str | Path) -> object:
    """What changes when the file does: which file it is, its length and time of change. None where it is not there.

    The file is not opened: closing an SQLite file that this process has open elsewhere would drop the locks on it (POSIX).

    >>> file_state("no such file") is None
    True
    """
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def is_lfs_pointer(start: bytes) -> bool:
    """Whether a file that starts so is what Git LFS leaves where a large file belongs, until ``git lfs pull`` fetches it.

    See https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md.
    """
    return start.startswith(b"version https://git-lfs.github.com/spec/v1")


def cache_folder() -> Path:
    """``$EDGEVISION_CACHE``, else ``$XDG_CACHE_HOME/edgevision``, else ``~/.cache/edgevision``."""
    if given := os.environ.get("EDGEVISION_CACHE"):
        return Path(given)
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "edgevision"
    try:
        return Path.home() / ".cache" / "edgevision"
    except RuntimeError:  # no home directory: nowhere to keep anything, and a place that cannot be written says so
        return Path("/nonexistent/edgevision")


def read_regular(path: str | Path, limit: int, *, own: bool = False) -> bytes:
    """The content of a file in a cache: at most ``limit`` bytes of a regular file.

    Never waits and never reads without end: a pipe, a device or a folder in its place, or a larger file, is an OSError.
    ``own``: for what is run as a program; refuses links, and files that another user owns or may write.

    Raises OSError, FileNotFoundError where nothing is there.
    """
    # O_NONBLOCK: opening a pipe would wait for its other end.
    flags = _flags("O_RDONLY", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY") | (_flags("O_NOFOLLOW") if own else 0)
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        if own:
            _check_own(path, status)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(min(status.st_size, limit) + 1)  # what is asked for is allocated first
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it has more than the {limit} bytes allowed", str(path))
    return content


def make_private(folder: Path) -> None:
    """Make a folder that only this user may write, for what is run as a program, or see that it is one.

    Raises OSError where it cannot be made, is a link, belongs to another user, or others may write to it; also where
    everybody may rename what lies in a folder above it (on systems that know owners).
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise OSError(errno.ENOTDIR, "it is not a folder, or a link to one", str(folder))
    _check_own(folder, status)
    if not hasattr(os, "geteuid"):
        return
    for above in Path(os.path.realpath(folder)).parents:
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise PermissionError(errno.EACCES, f"everybody may write to {above}", str(folder))


def is_same_file(a: str | Path, b: str | Path) -> bool:
    """Whether both are there and are one file, links followed."""
    try:
        return Path(a).samefile(b)
    except (OSError, ValueError):
        return False


def _check_own(path: str | Path, status: os.stat_result) -> None:
    """Raise PermissionError unless the file or folder is this user's, and nobody else's to write."""
    if not hasattr(os, "geteuid"):
        return
    if status.st_uid != os.geteuid():
        raise PermissionError(errno.EACCES, "it belongs to another user", str(path))
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(errno.EACCES, "other users may write to it", str(path))


def _flags(*names: str) -> int:
    """Flags for ``os.open``, those that this system knows."""
    flags = 0
    for name in names:
        flags |= getattr(os, name, 0)
    return flags


class _RawFile(io.FileIO):
    """Remembers why a write failed: ``torch.save`` says "unexpected pos" where the system said "disk full"."""

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failure = error
            raise


def _target(path: str | Path) -> tuple[Path, int | None]:
    """The file that a write to ``path`` replaces, links followed, and its permissions where it exists."""
    try:
        target = Path(os.path.realpath(path))
        status = target.stat()
    except FileNotFoundError:
        return target, None
    except ValueError:  # a NUL in the name
        raise InputError(f"cannot write {str(path)!r}: it is not a file name; give another") from None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not stat.S_ISREG(status.st_mode):  # renaming over /dev/null would destroy it
        raise InputError(f"cannot write {path}: it is a device or a pipe; give the name of a file")
    return target, stat.S_IMODE(status.st_mode) & 0o777


def _create_temporary(folder: Path) -> tuple[Path, int]:
    temporary = folder / f".edgevision-{secrets.token_hex(8)}.tmp"
    flags = _flags("O_WRONLY", "O_CREAT", "O_EXCL", "O_CLOEXEC", "O_BINARY")
    return temporary, os.open(temporary, flags, 0o666)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


@contextlib.contextmanager
def _speaking_of(path: str | Path) -> Iterator[None]:
    """Turn an OSError about writing ``path`` into an error that says why and what to do."""
    try:
        yield
    except OSError as error:
        raise _explained(path, error) from error


def _explained(path: str | Path, error: OSError) -> EdgeVisionError:
    code = error.errno or 0
    if code in _BAD_TARGET:
        return InputError(f"cannot write {path}: {_BAD_TARGET[code]}")
    why = _FAILED.get(code) or f"{error.strerror or error}; check the disk, or choose another place"
    return EdgeVisionError(f"cannot write {path}: {why}")
