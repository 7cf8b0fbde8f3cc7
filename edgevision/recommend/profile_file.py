"""A profile as one small file on the device: read, written whole, and forgotten: overwritten, and removed.

Flash memory may keep what was overwritten until it needs the room.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from edgevision.errors import EdgeVisionError, InputError
from edgevision.files import atomic_write, is_temporary, read_regular
from edgevision.recommend.event_times import day_of, is_ahead
from edgevision.recommend.profile import HALF_LIFE_S, Profile

MAX_BYTES = 1 << 20
_START = b'{"format":"edgevisionprofile"'  # of every profile, white space aside


def save_profile(path: str | Path, profile: Profile) -> None:
    """Write it whole, readable by this user alone.

    Raises InputError, EdgeVisionError where that cannot be done; InputError also for a profile that ``check_time`` refuses.
    """
    check_time(path, profile)
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
    that is asked for, and for one that ``check_time`` refuses.
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
    check_time(path, profile)
    return profile


def check_time(path: str | Path, profile: Profile) -> None:
    """Raise InputError for a profile whose newest event is more than a day after this device's clock.

    It was written under a wrong clock, or the clock is wrong now. Beside such an event, what is bought today would count nothing.
    """
    if profile.last_s is not None and is_ahead(profile.last_s):
        raise InputError(
            f"the profile {path} ends on {day_of(profile.last_s)}, and this device's clock says {day_of(time.time())}: set the clock where it "
            "is wrong; else wait until then, or forget the profile (--forget) and begin a new one"
        )


def is_profile_file(path: str | Path) -> bool:
    """Whether a profile lies there. A damaged one is one too: its beginning tells."""
    return _starts_as_profile(Path(path)) or _reads_as_profile(Path(path))


def forget_profile(path: str | Path) -> bool:
    """Remove the profile, with what a killed process may have left of it beside it. Whether anything was there.

    The content is overwritten first. Flash memory may keep old blocks until it needs them: where that matters, encrypt the disk. Raises
    InputError where ``path`` is something else than a profile, which stays; EdgeVisionError where it cannot be removed.
    """
    target = Path(path)
    found = target.is_symlink() or target.exists()
    if found and not is_profile_file(target):
        raise InputError(f"{target} is no profile of edgevision; it was left alone")
    leftovers = [one for one in _files_beside(target) if is_temporary(one) and _starts_as_profile(one)]
    for one in [*leftovers, *([target] if found else [])]:
        _remove(one)
    return found or bool(leftovers)


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
