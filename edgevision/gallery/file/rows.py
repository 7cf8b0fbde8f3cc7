"""Rows of the database: their layout, and the digest of each, by which damage is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import NamedTuple

from edgevision.gallery.products import FieldValue

APPLICATION_ID = 0x45564731  # "EVG1", in the file's header
VERSION = 2  # of the layout, ``user_version`` of the header

# A file whose schema differs from this by one letter is refused: no views, triggers or indexes of others are ever run.
_HEAD = (
    "CREATE TABLE gallery (only_row INTEGER PRIMARY KEY, bundle_id TEXT NOT NULL, dimension INTEGER NOT NULL, "
    "products INTEGER NOT NULL, examples INTEGER NOT NULL, content BLOB NOT NULL, "
)
_ROWS = (
    "CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL, fields TEXT NOT NULL, digest BLOB NOT NULL)",
    "CREATE TABLE examples (number INTEGER PRIMARY KEY, product INTEGER NOT NULL, source TEXT NOT NULL, "
    "added TEXT NOT NULL, note TEXT NOT NULL, vector BLOB NOT NULL, digest BLOB NOT NULL)",
    "CREATE UNIQUE INDEX examples_of_a_product ON examples (product, source)",
)
SCHEMAS = {
    1: (f"{_HEAD}digest BLOB NOT NULL)", *_ROWS),  # did not keep which ids were given
    VERSION: (f"{_HEAD}last_id INTEGER NOT NULL, digest BLOB NOT NULL)", *_ROWS),
}

DIGEST_BYTES = 16
NO_CONTENT = bytes(DIGEST_BYTES)


class ProductRow(NamedTuple):
    """``fields``: JSON."""

    id: int
    name: str
    fields: str


class ExampleRow(NamedTuple):
    """``number``: its place in the order in which examples were added. ``vector``: float32, little-endian."""

    number: int
    product: int
    source: str
    added: str
    note: str
    vector: bytes


class Head(NamedTuple):
    """The one row that says what the gallery is. ``content``: the digests of all rows of products and examples, joined by XOR,
    so that a row which is lost or comes twice is found too. ``last_id``: the highest that a product ever had; 0 where there was none."""

    bundle_id: str
    dimension: int
    products: int
    examples: int
    content: bytes
    last_id: int


def digest_of_product(row: ProductRow) -> bytes:
    """16 bytes, BLAKE2b (RFC 7693)."""
    return _digest(b"product", f"{row.id}\n{row.name}\n{row.fields}".encode())


def digest_of_example(row: ExampleRow) -> bytes:
    """16 bytes, BLAKE2b; the vector is in it."""
    text = f"{row.number}\n{row.product}\n{row.source}\n{row.added}\n{row.note}\n"
    return _digest(b"example", text.encode() + row.vector)


def digest_of_head(head: Head, version: int = VERSION) -> bytes:
    """16 bytes, BLAKE2b. ``version``: of the file."""
    text = f"{head.bundle_id}\n{head.dimension}\n{head.products}\n{head.examples}\n"
    if version > 1:
        text += f"{head.last_id}\n"
    return _digest(b"head", text.encode() + head.content)


def joined(content: bytes, digest: bytes) -> bytes:
    """The content with a row more; or one less, where the row was in it."""
    whole = int.from_bytes(content, "big") ^ int.from_bytes(digest, "big")
    return whole.to_bytes(DIGEST_BYTES, "big")


def fields_text(fields: Mapping[str, FieldValue]) -> str:
    """Fields as the JSON that a row holds."""
    return json.dumps(dict(fields), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _digest(kind: bytes, content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES, person=kind).digest()
