"""A profile as one small file on the device: read, written whole, and forgotten without a trace."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from edgevision.errors import EdgeVisionError, InputError
from edgevision.files import atomic_write, is_temporary, read_regular
from edgevision.recommend.profile import HALF_LIFE_S, Profile

MAX_BYTES = 1 << 20
_START = b'{"format":"edgevisionprofile"'  # of every profile, white space aside


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


def open_profile(path: str | Path, *, bundle_id: str, dimension: int, half_life_s: float | None = None) -> Profile:
    """The profile at ``path``, or a new one where nothing is there; for the vectors of one bundle.

    ``half_life_s``: of a new one (default: 120 days). Raises InputError for a profile of another bundle, or of another half-life than the one
    that is asked for.
    """
    try:
        profile = read_profile(path)
    except FileNotFoundError:
        return Profile(bundle_id, dimension, half_life_s=HALF_LIFE_S if half_life_s is None else half_life_s)
    if profile.bundle_id != bundle_id or profile.dimension != dimension:
        raise InputError(
            f"the profile {path} belongs to another bundle ({profile.bundle_id[:12]}, this is {bundle_id[:12]}): its taste is in other vectors; "
            "forget it, and begin a new one"
        )
    if half_life_s is not None and half_life_s != profile.half_life_s:
        raise InputError(
            f"the profile {path} has a half-life of {profile.half_life_s:g} s; leave --half-life out, or begin a new profile"
        )
    return profile


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
    """A damaged profile is one too: its beginning tells."""
    if not _starts_as_profile(path) and not _reads_as_profile(path):
        raise InputError(f"{path} is no profile of edgevision; it was left alone")


def _starts_as_profile(path: Path) -> bool:
    try:
        return b"".join(read_regular(path, MAX_BYTES).split()).startswith(_START)
    except OSError:
        return False


def _reads_as_profile(path: Path) -> bool:
    """One that was written by another program, its keys in another order."""
    try:
        read_profile(path)
    except (InputError, FileNotFoundError):
        return False
    return True


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
