"""What OpenVINO compiled, kept in our cache, so that the next process need not compile it again.

A blob is what ``CompiledModel.export_model`` gives: the optimised graph with its weights. OpenVINO checks neither that it
is whole nor that it means well, so we do before OpenVINO sees it: every file carries the SHA-256 of its key and content,
and the folder and its files are this user's own, with nobody else's right to write. (OpenVINO's own ``CACHE_DIR`` checks
neither.)

The folder is ``openvino`` in ``files.cache_folder()``. It holds at most ``$EDGEVISION_BLOB_CACHE_MB`` megabytes, 512
unless that is set; what was used longest ago goes first. 0 switches the cache off. A cache that does not work is a
CacheWarning, never an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgevision.engines.guard import raised_by_handler
from edgevision.errors import CacheWarning, EdgeVisionError
from edgevision.files import atomic_write, cache_folder, is_temporary, make_private, read_regular

SIZE_VARIABLE = "EDGEVISION_BLOB_CACHE_MB"
DEFAULT_LIMIT_MB = 512

_MAGIC = b"edgevision blob 1\n"
_REMEDY = f"set EDGEVISION_CACHE to a folder that only you can write, or {SIZE_VARIABLE}=0 to do without"


class BlobCache:
    """Blobs of one graph in one configuration. ``key``: everything that decides what the engine compiles, as JSON values.

    >>> cache = BlobCache({"graph": "9f86…", "threads": 2})  # doctest: +SKIP
    >>> cache.keep(1, blob)  # doctest: +SKIP
    >>> cache.read(1) == blob  # doctest: +SKIP
    True
    """

    def __init__(self, key: Mapping[str, Any]) -> None:
        self._key = dict(key)
        self._limit = _limit_bytes()
        self._folder = cache_folder() / "openvino"

    def read(self, batch: int) -> bytes | None:
        """The blob for that batch size, if it is there, whole, and nobody else's."""
        if not self._limit:
            return None
        path, key = self._place(batch)
        try:
            if not path.parent.exists():
                return None
            make_private(self._folder)
            content = read_regular(path, self._limit, own=True)
        except FileNotFoundError:
            return None
        except OSError as error:
            if raised_by_handler(error):
                raise
            _warn(f"{path} is not used ({error.strerror or error})")
            return None
        start = len(_MAGIC) + hashlib.sha256().digest_size
        if content[:start] != _MAGIC + _digest(key, content[start:]):
            _warn(f"{path} was altered, and is compiled again", remedy="")
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used now: others go first
        return content[start:]

    def keep(self, batch: int, blob: bytes) -> None:
        """Keep the blob, and let go of those used longest ago where the folder holds too much."""
        size = len(_MAGIC) + hashlib.sha256().digest_size + len(blob)
        if size > self._limit:
            return
        path, key = self._place(batch)
        try:
            make_private(self._folder)
            if path.is_symlink():
                path.unlink()  # atomic_write would follow it
            _make_room(self._folder, self._limit - size)
            atomic_write(path, _MAGIC + _digest(key, blob) + blob)
            path.chmod(0o600)
        except (OSError, EdgeVisionError) as error:
            if raised_by_handler(error):
                raise
            _warn(f"what OpenVINO compiled cannot be kept ({error}), and is compiled at each start")

    def warn_refused(self, batch: int, why: object) -> None:
        """Warn that the engine did not take the blob, whole though it is."""
        _warn(f"{self._place(batch)[0]} is passed over, and compiled again: {why}", remedy="")

    def _place(self, batch: int) -> tuple[Path, bytes]:
        key = json.dumps({**self._key, "batch": batch}, sort_keys=True).encode()
        return self._folder / f"{hashlib.sha256(key).hexdigest()[:32]}.blob", key


def _digest(key: bytes, blob: bytes) -> bytes:
    """Covers the key too, so that a blob renamed to another's file is refused."""
    whole = hashlib.sha256(hashlib.sha256(key).digest())
    whole.update(blob)
    return whole.digest()


def _limit_bytes() -> int:
    given = os.environ.get(SIZE_VARIABLE, "")
    if not given:
        return DEFAULT_LIMIT_MB * 1_000_000
    if given.isascii() and given.isdigit():
        return int(given) * 1_000_000
    _warn(f"{SIZE_VARIABLE} is a whole number of megabytes, got {given[:40]!r}; {DEFAULT_LIMIT_MB} are used", remedy="")
    return DEFAULT_LIMIT_MB * 1_000_000


def _make_room(folder: Path, limit: int) -> None:
    """Delete blobs, and what killed writers left, longest unused first, until at most ``limit`` bytes are there."""
    found = []
    for path in folder.iterdir():
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and (path.suffix == ".blob" or is_temporary(path)):
            found.append((status.st_mtime_ns, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= limit:
            return
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            path.unlink()
        total -= size


def _warn(message: str, remedy: str = f"; {_REMEDY}") -> None:
    warnings.warn(f"{message}{remedy}", CacheWarning, stacklevel=2)
