"""Reading a gallery: all of it in one transaction, each row checked, nothing believed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edgevision.errors import GalleryError
from edgevision.gallery.checks import checked_added, checked_bundle_id, checked_note, checked_product, checked_source
from edgevision.gallery.examples import Example
from edgevision.gallery.file.connection import check_file, check_header, check_schema, connect, damaged, speaking_of
from edgevision.gallery.file.rows import (
    NO_CONTENT,
    VERSION,
    ExampleRow,
    Head,
    ProductRow,
    digest_of_example,
    digest_of_head,
    digest_of_product,
    joined,
)
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.vectors import MAX_DIMENSION, MIN_DIMENSION, UNIT_TOLERANCE, Vectors

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Contents:
    """What a file holds. ``products``: by id. ``vectors``: [examples, dimension] float32 of length 1, in the order of ``examples``.
    ``last_id``: the highest that a product ever had; 0 where there was none."""

    bundle_id: str
    dimension: int
    products: tuple[GalleryProduct, ...]
    examples: tuple[Example, ...]
    vectors: Vectors
    last_id: int


def read_contents(path: Path) -> Contents:
    """All of a gallery, as it was after one of its transactions. Raises GalleryError for what is none, or is damaged.

    Where the program that wrote it was killed, its journal lies beside it, and SQLite takes back what was half written: for
    that the file must be writable.
    """
    size = check_file(path)
    with speaking_of(path, "read"):
        try:
            return _read(path, "ro", size)
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error) and "unable to open" not in str(error):
                raise
        return _read(path, "rw", size)


def _read(path: Path, mode: str, size: int) -> Contents:
    database = connect(path, mode, size)
    try:
        database.execute("BEGIN")
        version = check_header(database, path)
        check_schema(database, path, version)
        contents = _contents(database, path, size, version)
        database.execute("COMMIT")
        return contents
    finally:
        database.close()


def _contents(database: sqlite3.Connection, path: Path, size: int, version: int) -> Contents:
    head = read_head(database, path, version)
    if head.examples * head.dimension * 4 > size:
        raise damaged(path, f"{head.examples} examples do not fit into its {size} bytes")
    products, products_content = _products(database, path)
    known = {product.id for product in products}
    examples, vectors, content = _examples(database, path, head, known)
    if len(products) != head.products or joined(products_content, content) != head.content:
        raise damaged(path, "rows are missing or changed")
    if any(product.id > head.last_id for product in products):
        raise damaged(path, f"a product has a higher id than {head.last_id}, the last that was given")
    return Contents(head.bundle_id, head.dimension, products, examples, vectors, head.last_id)


def read_head(database: sqlite3.Connection, path: Path, version: int = VERSION) -> Head:
    """The row that says what the gallery is, checked. ``version``: of the file; the first did not keep the last id."""
    last_id = "last_id" if version > 1 else "(SELECT coalesce(max(id), 0) FROM products)"
    sql = f"SELECT bundle_id, dimension, products, examples, content, {last_id}, digest FROM gallery WHERE only_row = 1 LIMIT 1"
    row = database.execute(sql).fetchone()
    if row is None or [type(one) for one in row] != [str, int, int, int, bytes, int, bytes]:
        raise damaged(path, "it does not say what it is")
    head = Head(*row[:6])
    if digest_of_head(head, version) != row[6]:
        raise damaged(path, "what it says of itself has changed")
    _kept(path, lambda: checked_bundle_id(head.bundle_id))
    if not MIN_DIMENSION <= head.dimension <= MAX_DIMENSION or min(head.products, head.examples, head.last_id) < 0:
        raise damaged(path, "what it says of itself cannot be")
    return head


def _products(database: sqlite3.Connection, path: Path) -> tuple[tuple[GalleryProduct, ...], bytes]:
    products, content = [], NO_CONTENT
    for *columns, digest in database.execute("SELECT id, name, fields, digest FROM products ORDER BY id"):
        if [type(one) for one in columns] != [int, str, str]:
            raise damaged(path, "a product has columns of other types")
        row = ProductRow(*columns)
        if digest_of_product(row) != digest:
            raise damaged(path, f"the product {row.id} has changed")
        products.append(_product(path, row))
        content = joined(content, digest)
    return tuple(products), content


def _product(path: Path, row: ProductRow) -> GalleryProduct:
    try:
        fields: Any = json.loads(row.fields, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise damaged(path, f"the fields of the product {row.id} cannot be read") from None
    return _kept(path, lambda: checked_product(GalleryProduct(row.id, row.name, fields)))


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity, which are no JSON


def _examples(
    database: sqlite3.Connection, path: Path, head: Head, known: set[int]
) -> tuple[tuple[Example, ...], Vectors, bytes]:
    width = head.dimension * 4
    kept = bytearray(head.examples * width)
    examples: list[Example] = []
    content = NO_CONTENT
    sql = "SELECT number, product, source, added, note, vector, digest FROM examples ORDER BY number"
    for *columns, digest in database.execute(sql):
        if [type(one) for one in columns] != [int, int, str, str, str, bytes]:
            raise damaged(path, "an example has columns of other types")
        row = ExampleRow(*columns)
        place = len(examples)
        if place == head.examples:
            raise damaged(path, "it has more examples than it says")
        if len(row.vector) != width or digest_of_example(row) != digest:
            raise damaged(path, f"the example {row.number} of the product {row.product} has changed")
        if row.product not in known:
            raise damaged(path, f"an example belongs to the product {row.product}, which is not there")
        kept[place * width : (place + 1) * width] = row.vector
        examples.append(_example(path, row))
        content = joined(content, digest)
    if len(examples) != head.examples:
        raise damaged(path, f"it has {len(examples)} examples and says {head.examples}")
    vectors = np.frombuffer(bytes(kept), "<f4").reshape(-1, head.dimension).astype(np.float32, copy=False)
    _check_vectors(path, vectors)
    return tuple(examples), vectors, content


def _example(path: Path, row: ExampleRow) -> Example:
    _kept(path, lambda: checked_source(row.source))
    _kept(path, lambda: checked_added(row.added))
    return Example(row.product, row.source, row.added, checked_note(row.note))


def _check_vectors(path: Path, vectors: Vectors) -> None:
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    if not (np.abs(length - 1) <= UNIT_TOLERANCE).all():  # NaN is not within either
        raise damaged(path, "a vector is not of length 1")


def _kept(path: Path, check: Callable[[], _T]) -> _T:
    try:
        return check()
    except GalleryError as error:
        raise damaged(path, str(error)) from error
