"""What was learnt of a gallery's words, kept beside it: ``shop.evg.text``. Losing it costs time and nothing else.

A line of magic, the length of a JSON header, the header, float32 arrays, and the SHA-256 of all before it. It holds the vectors of
texts by the texts' hashes, so that a new product costs one text, and the projection, which counts only for the bundle, the encoder,
the texts and the vectors that it was fitted with.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.errors import CacheWarning, EdgeVisionError
from edgevision.files import atomic_write, read_regular
from edgevision.gallery.gallery import Gallery
from edgevision.gallery.text.encoder import TextEncoder
from edgevision.gallery.text.meanings import Meanings, learn_projection
from edgevision.gallery.text.projection import LinearMap, Projection
from edgevision.gallery.text.wording import wording_of
from edgevision.gallery.vectors import Vectors

SUFFIX = ".text"
_MAGIC = b"EdgeVision text 1\n"
_LIMIT = 2 << 30  # bytes of the file
_DIGEST = 32


@dataclass(frozen=True, eq=False)
class Kept:
    """The file's content. ``texts``: hash of a wording → its vector. ``fitted_with``: see ``fingerprint``; "" without a projection."""

    encoder: str
    dimension: int
    texts: Mapping[str, Vectors] = field(default_factory=dict)
    fitted_with: str = ""
    projection: Projection | None = None


def open_meanings(gallery: Gallery, encoder: TextEncoder, beside: Path | None = None) -> Meanings:
    """What the gallery's products mean. ``beside``: the gallery's file, next to which what takes long is kept for the next time;
    None keeps nothing. A file that is damaged or cannot be written is a CacheWarning."""
    path = None if beside is None else beside.with_name(beside.name + SUFFIX)
    kept = _read(path, encoder) if path is not None else Kept(encoder.id, encoder.dimension)
    wordings = [wording_of(product) for product in gallery.products]
    keys = [hashlib.sha256(one.encode()).hexdigest() for one in wordings]
    new = {key: text for key, text in zip(keys, wordings, strict=True) if key not in kept.texts}
    encoded = dict(zip(new, encoder.encode(list(new.values())), strict=True)) if new else {}
    texts = _stacked([encoded[key] if key in encoded else kept.texts[key] for key in keys], encoder.dimension)
    known_by = fingerprint(gallery, encoder.id, keys)
    fits = kept.fitted_with == known_by and _is_for(kept.projection, gallery.dimension)
    projection = kept.projection if fits else learn_projection(gallery, texts)
    if path is not None and (new or not fits):
        _write(path, Kept(encoder.id, encoder.dimension, dict(zip(keys, texts, strict=True)), known_by, projection))
    return Meanings(gallery, encoder, texts, projection)


def fingerprint(gallery: Gallery, encoder: str, wordings: Sequence[str]) -> str:
    """Names everything that a projection is learnt from: a change of any of it changes this."""
    told = hashlib.sha256(json.dumps([gallery.bundle_id, encoder, list(wordings)]).encode())
    told.update(np.ascontiguousarray(gallery.product_of, "<i8").tobytes())
    told.update(np.ascontiguousarray(gallery.vectors, "<f4").tobytes())
    return told.hexdigest()


def to_bytes(kept: Kept) -> bytes:
    """The file's bytes."""
    header: dict[str, Any] = {
        "encoder": kept.encoder, "dimension": kept.dimension, "texts": list(kept.texts), "fitted_with": kept.fitted_with,
    }  # fmt: skip
    arrays = list(kept.texts.values())
    if kept.projection is not None:
        made = kept.projection
        header["projection"] = {
            "pictures": len(made.to_text.centre), "ridge": made.ridge, "left_out": made.left_out,
        }  # fmt: skip
        for one in (made.to_text, made.to_picture):
            arrays += [one.centre, one.weights, one.offset]
    told = json.dumps(header).encode()
    payload = b"".join(np.ascontiguousarray(one, "<f4").tobytes() for one in arrays)
    data = _MAGIC + struct.pack("<I", len(told)) + told + payload
    return data + hashlib.sha256(data).digest()


def from_bytes(data: bytes) -> Kept:
    """What ``to_bytes`` wrote. Raises ValueError for anything else."""
    start = len(_MAGIC) + 4
    if not data.startswith(_MAGIC) or len(data) < start + _DIGEST:
        raise ValueError("it is not such a file")
    if hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
        raise ValueError("it is damaged")
    (length,) = struct.unpack_from("<I", data, len(_MAGIC))
    header = json.loads(data[start : start + length])
    numbers = np.frombuffer(data[start + length : -_DIGEST], "<f4")
    if not np.isfinite(numbers).all():
        raise ValueError("it has numbers that are not finite")
    return _from_parts(header, _Arrays(numbers))


class _Arrays:
    """Cuts arrays off a row of numbers."""

    def __init__(self, numbers: Vectors) -> None:
        self._numbers = numbers
        self._at = 0

    def take(self, *shape: int) -> Vectors:
        size = math.prod(shape)
        if min(shape) < 0 or self._at + size > len(self._numbers):
            raise ValueError("it is shorter than it says")
        self._at += size
        return self._numbers[self._at - size : self._at].reshape(shape)


def _from_parts(header: Any, arrays: _Arrays) -> Kept:
    try:
        width = int(header["dimension"])
        texts = {str(key): arrays.take(width) for key in header["texts"]}
        projection = None
        if told := header.get("projection"):
            deep = int(told["pictures"])
            maps = [
                LinearMap(arrays.take(a), arrays.take(a, b), arrays.take(b)) for a, b in ((deep, width), (width, deep))
            ]
            projection = Projection(maps[0], maps[1], float(told["ridge"]), float(told["left_out"]))
        return Kept(str(header["encoder"]), width, texts, str(header["fitted_with"]), projection)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its header lacks something: {error}") from error


def _is_for(projection: Projection | None, dimension: int) -> bool:
    return projection is None or len(projection.to_text.centre) == dimension


def _read(path: Path, encoder: TextEncoder) -> Kept:
    """What is there of this encoder; nothing where the file is missing or cannot be used."""
    nothing = Kept(encoder.id, encoder.dimension)
    try:
        kept = from_bytes(read_regular(path, _LIMIT))
    except FileNotFoundError:
        return nothing
    except (OSError, ValueError) as error:
        warnings.warn(CacheWarning(f"{path} is not used: {error}; its texts are encoded again"), stacklevel=3)
        return nothing
    return kept if (kept.encoder, kept.dimension) == (encoder.id, encoder.dimension) else nothing


def _write(path: Path, kept: Kept) -> None:
    try:
        atomic_write(path, to_bytes(kept))
    except EdgeVisionError as error:
        warnings.warn(CacheWarning(f"what was learnt of words is not kept: {error}"), stacklevel=3)


def _stacked(rows: list[Vectors], dimension: int) -> Vectors:
    return np.stack(rows) if rows else np.zeros((0, dimension), np.float32)
