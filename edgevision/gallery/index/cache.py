"""The file of a gallery's lists: which vector is in which list, so that they need not be found at every start.

Little-endian: ``_MAGIC``; int64 vectors, dimension, lists, probes; the SHA-256 of those vectors; float32 centres [lists, dimension];
int32 list of each vector; the SHA-256 of all before it. A file that is not all of this, or of other vectors, counts as not there.
"""

from __future__ import annotations

import hashlib
import struct
import warnings
from pathlib import Path

import numpy as np

from edgevision.errors import CacheWarning, EdgeVisionError
from edgevision.files import atomic_write
from edgevision.gallery.index.lists import Lists
from edgevision.gallery.vectors import Vectors

_MAGIC = b"EVLISTS1"
_HEAD = struct.Struct("<8s4q32s")
_DIGEST = 32


def write_lists(path: Path, vectors: Vectors, lists: Lists) -> None:
    """Keep ``lists`` of ``vectors``. Where that fails, warns CacheWarning: they are found again next time."""
    count, dimension = vectors.shape
    head = _HEAD.pack(_MAGIC, count, dimension, len(lists.centres), lists.probes, _digest(vectors))
    body = head + lists.centres.astype("<f4").tobytes() + lists.list_of.astype("<i4").tobytes()
    try:
        atomic_write(path, body + hashlib.sha256(body).digest())
    except EdgeVisionError as error:
        warnings.warn(
            f"the gallery's lists cannot be kept, and are made anew at the next start: {error}",
            CacheWarning,
            stacklevel=3,
        )


def read_lists(path: Path, vectors: Vectors) -> Lists | None:
    """What ``write_lists`` kept of the first of ``vectors``; None where there is nothing of use."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
            if len(head) != _HEAD.size:
                return None
            magic, count, dimension, lists, probes, digest = _HEAD.unpack(head)
            fits = magic == _MAGIC and 0 < count <= len(vectors) and dimension == vectors.shape[1]
            if not fits or not 0 < probes <= lists <= count:
                return None
            size = 4 * (lists * dimension + count)
            rest = file.read(size + _DIGEST + 1)
    except OSError:
        return None
    if len(rest) != size + _DIGEST or hashlib.sha256(head + rest[:size]).digest() != rest[size:]:
        return None
    if digest != _digest(vectors[:count]):
        return None
    centres = np.frombuffer(rest, "<f4", lists * dimension).reshape(lists, dimension).astype(np.float32)
    list_of = np.frombuffer(rest, "<i4", count, offset=4 * lists * dimension).astype(np.int32)
    fine = np.isfinite(centres).all() and list_of.min() >= 0 and list_of.max() < lists
    return Lists(centres, list_of, probes) if fine else None


def _digest(vectors: Vectors) -> bytes:
    return hashlib.sha256(vectors.astype("<f4", copy=False).data).digest()
