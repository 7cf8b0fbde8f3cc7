"""A profile as one small file on the device: read, written whole, and forgotten without a trace."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from edgevision.errors import EdgeVisionError, InputError
from edgevision.files import atomic_write, is_temporary, read_regular
from edgevision.recommend.profile import Profile

MAX_BYTES = 1 << 20
_START = b'{\n "format": "edgevision profile"'  # of every file that is written here


def save_profile(path: str | Path, profile: Profile) -> None:
    """Write it whole, readable by this user alone. Raises InputError, EdgeVisionError where that cannot be done."""
    text = json.dumps(profile.to_dict(), indent=1, ensure_ascii=True)
    atomic_write(path, text.encode() + b"\n", check=lambda temporary: temporary.chmod(0o600))


def read_profile(path: str | Path) -> Profile:
    """Read what ``save_profile`` wrote. Raises InputError for anything else, FileNotFoundError where nothing is there."""
    try:
        content = read_regular(path, MAX_BYTES)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"cannot read the profile {path}: {error.strerror or error}") from error
    try:
        given = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError(f"{path} is no profile: expected the JSON that edgevision recommend writes") from None
    try:
        return Profile.from_dict(given)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def forget_profile(path: str | Path) -> bool:
    """Remove the profile, with what a killed process may have left of it beside it. Whether anything was there.

    The content is overwritten first. Flash memory may keep old blocks until it needs them: where that matters, encrypt the disk. Raises
    InputError where ``path`` is something else than a profile, which stays; EdgeVisionError where it cannot be removed.
    """
    target = Path(path)
    found = target.is_symlink() or target.exists()
    if found:
        _check_is_profile(target)
    leftovers = [one for one in _files_beside(target) if is_temporary(one) and _starts_as_profile(one)]
    for one in [*leftovers, *([target] if found else [])]:
        _remove(one)
    return found or bool(leftovers)


def _check_is_profile(path: Path) -> None:
    """A damaged profile is one too: its first line tells."""
    if not _starts_as_profile(path):
        raise InputError(f"{path} is no profile of edgevision; it was left as it is")


def _starts_as_profile(path: Path) -> bool:
    try:
        return read_regular(path, MAX_BYTES).startswith(_START)
    except OSError:
        return False


def _files_beside(path: Path) -> list[Path]:
    try:
        return list(path.parent.iterdir())
    except OSError:
        return []


def _remove(path: Path) -> None:
    try:
        real = Path(os.path.realpath(path))
        with real.open("r+b") as file:
            file.write(b"\0" * real.stat().st_size)
            file.flush()
            os.fsync(file.fileno())
            file.truncate(0)
        real.unlink()
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    except OSError as error:
        raise EdgeVisionError(
            f"cannot remove the profile {path}: {error.strerror or error}; remove it by hand"
        ) from error
