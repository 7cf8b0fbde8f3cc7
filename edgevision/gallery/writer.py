"""Changing a gallery: one transaction, all of it or nothing."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy.typing as npt

from edgevision.errors import GalleryError, InputError
from edgevision.gallery.checks import (
    checked_added,
    checked_bundle_id,
    checked_fields,
    checked_id,
    checked_name,
    checked_note,
    checked_product,
    checked_source,
)
from edgevision.gallery.file.connection import check_file, check_header, check_schema, connect, damaged, speaking_of
from edgevision.gallery.file.creation import begin_new, drop, finish_new, upgrade
from edgevision.gallery.file.reading import read_head
from edgevision.gallery.file.rows import (
    VERSION,
    ExampleRow,
    ProductRow,
    digest_of_example,
    digest_of_head,
    digest_of_product,
    fields_text,
    joined,
)
from edgevision.gallery.owner import check_owner
from edgevision.gallery.products import FieldValue, GalleryProduct
from edgevision.gallery.vectors import MAX_DIMENSION, MIN_DIMENSION, unit_rows

_T = TypeVar("_T")

_EXAMPLE = "number, product, source, added, note, vector"


class GalleryWriter:
    """Writes a gallery, or makes one where there is none. A context manager: what is done in it is kept when it ends well, and
    undone by an exception, a kill or a power cut. Others read the old content meanwhile; one program writes at a time, another
    waits for it. One thread at a time uses it.

    ``bundle_id``: the embedder's (``Model.id``); ``dimension``: of its vectors. Raises GalleryError for a gallery of another
    bundle, and for what a method is given that breaks a rule; after that nothing is written, unless the caller catches it.

    >>> with GalleryWriter("shop.evg", bundle_id=model.id, dimension=256) as gallery:  # doctest: +SKIP
    ...     gallery.add_product(GalleryProduct(7, "Royal Gala apple", {"price": 1.29}))
    ...     gallery.add_examples(7, vectors, sources)
    """

    def __init__(self, path: str | os.PathLike[str], *, bundle_id: str, dimension: int) -> None:
        self.path = Path(path)
        self.bundle_id = checked_bundle_id(bundle_id)
        if isinstance(dimension, bool) or not MIN_DIMENSION <= int(dimension) <= MAX_DIMENSION:
            raise GalleryError(f"the dimension of a gallery is {MIN_DIMENSION} … {MAX_DIMENSION}, got {dimension}")
        self.dimension = int(dimension)
        self._database: sqlite3.Connection | None = None
        self._temporary: Path | None = None  # of a gallery that is not there yet
        self._undone = False  # a failure ended the transaction before its time

    def __enter__(self) -> GalleryWriter:
        if self._database is not None:
            raise GalleryError("this GalleryWriter is in use; make one of its own for each transaction")
        target = Path(os.path.realpath(self.path))
        with speaking_of(self.path, "write"), ExitStack() as undone:
            if not os.path.lexists(target):
                self._database, self._temporary = begin_new(target, self.bundle_id, self.dimension)
                return self
            database = connect(target, "rw", check_file(target))
            undone.callback(database.close)
            check_header(database, self.path)
            # EXTRA syncs the folder too, once the journal is gone: a power cut then cannot bring the journal back.
            for name, value in (("journal_mode", "DELETE"), ("synchronous", "EXTRA")):
                database.execute(f"PRAGMA {name} = {value}").fetchall()
            database.execute("BEGIN IMMEDIATE")
            version = check_header(database, self.path)  # again: another program may have brought it to this version
            check_schema(database, self.path, version)
            head = read_head(database, self.path, version)
            check_owner(self.path, head.bundle_id, head.dimension, self.bundle_id, self.dimension)
            database.set_progress_handler(None, 0)  # the file is sound: what is done now takes as long as it takes
            if version != VERSION:
                upgrade(database, head)
            undone.pop_all()
        self._database = database
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        database, temporary = self._database, self._temporary
        assert database is not None
        undone, self._undone = self._undone, False
        self._database = self._temporary = None
        target = Path(os.path.realpath(self.path))
        try:
            with speaking_of(self.path, "write"), closing(database):
                if database.in_transaction:
                    database.execute("ROLLBACK" if undone or kind is not None else "COMMIT")
            if undone and kind is None:
                raise GalleryError(
                    f"{self.path} is as it was: a change failed and ended the transaction; do all of it again"
                )
            if temporary is not None and kind is None:
                finish_new(temporary, target)
        finally:
            if temporary is not None:
                drop(temporary)

    def add_product(self, product: GalleryProduct) -> None:
        """Add a product without examples. Raises GalleryError where one has its id."""
        new = checked_product(product)
        self._change(lambda: self._add_product(new))

    def keep_last_id(self, last_id: int) -> None:
        """Count all ids up to this one as given, such as those of another gallery that this one takes the place of."""
        given = checked_id(last_id)
        self._change(lambda: self._account(last_id=given))

    def has_product(self, product_id: int) -> bool:
        """Whether there is a product of this id."""
        sql = "SELECT 1 FROM products WHERE id = ?"
        with speaking_of(self.path, "read"):
            return self._open().execute(sql, (checked_id(product_id),)).fetchone() is not None

    def add_examples(
        self,
        product_id: int,
        vectors: npt.ArrayLike,
        sources: Sequence[str],
        notes: Sequence[str] = (),
        *,
        added: Sequence[str] = (),
    ) -> int:
        """Add examples of a product; how many were new. Those whose source the product has already are left out.

        ``vectors``: [n, dimension], of any length but 0; kept are those of length 1. ``sources``: n SHA-256 of the pictures.
        ``notes``: n or none. ``added``: when, n times of ISO 8601 in UTC; none: now.
        """
        number = checked_id(product_id)
        try:
            rows = unit_rows(vectors, self.dimension)
        except InputError as error:
            raise GalleryError(f"{self.path}: {error}") from None
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        kept_notes, times = list(notes) or [""] * len(rows), list(added) or [now] * len(rows)
        if not len(rows) == len(sources) == len(kept_notes) == len(times):
            raise GalleryError(
                f"expected a source for each of {len(rows)} vectors, and a note and a time for each or none; "
                f"got {len(sources)}, {len(notes)} and {len(added)}"
            )
        texts = [
            (checked_source(source), checked_added(time), checked_note(note))
            for source, time, note in zip(sources, times, kept_notes, strict=True)
        ]
        contents = [row.astype("<f4").tobytes() for row in rows]
        return self._change(lambda: self._add_examples(number, texts, contents))

    def remove(self, product_id: int) -> None:
        """Remove a product and its examples."""
        self._change(lambda: self._remove(self._product(product_id)))

    def rename(self, product_id: int, name: str) -> None:
        """Give a product another name."""
        new = checked_name(name)
        self._change(lambda: self._replace(self._product(product_id), lambda row: row._replace(name=new)))

    def set_fields(self, product_id: int, fields: Mapping[str, FieldValue]) -> None:
        """Give a product these fields in place of all that it had."""
        text = fields_text(checked_fields(fields))
        self._change(lambda: self._replace(self._product(product_id), lambda row: row._replace(fields=text)))

    def merge(self, product_id: int, into: int) -> None:
        """Give all examples of a product to another one, and remove the first. Of a picture that both have, the other's stays."""
        self._change(lambda: self._merge(self._product(product_id), self._product(into)))

    def remove_examples(self, product_id: int, sources: Iterable[str]) -> int:
        """Remove the examples of a product that came of these pictures; how many there were."""
        wanted = sorted({checked_source(source) for source in sources})
        return self._change(lambda: self._remove_examples(self._product(product_id), wanted))

    def move_examples(self, product_id: int, sources: Iterable[str], into: int) -> int:
        """Give examples of a product to another one, such as those that were added under the wrong name; how many there were.
        Of a picture that the other has already, its own stays."""
        wanted = sorted({checked_source(source) for source in sources})
        return self._change(lambda: self._move(self._product(product_id), self._product(into), wanted))

    # ---- one change: all of it, or nothing where it fails ----

    def _change(self, change: Callable[[], _T]) -> _T:
        database = self._open()
        with speaking_of(self.path, "write"):
            database.execute("SAVEPOINT change")
            try:
                done = change()
            except BaseException:
                if not database.in_transaction:  # a full disk ends it, and all of it is undone
                    self._undone = True
                    raise
                database.execute("ROLLBACK TO change")
                database.execute("RELEASE change")
                raise
            database.execute("RELEASE change")
            return done

    def _add_product(self, product: GalleryProduct) -> None:
        row = ProductRow(product.id, product.name, fields_text(product.fields))
        found = self._open().execute("SELECT name FROM products WHERE id = ?", (row.id,)).fetchone()
        if found is not None:
            raise GalleryError(
                f"{self.path} has a product {row.id} already, {found[0]!r}; give another id, or add examples to that one"
            )
        digest = digest_of_product(row)
        self._open().execute("INSERT INTO products VALUES (?, ?, ?, ?)", (*row, digest))
        self._account(products=1, digests=[digest], last_id=row.id)

    def _add_examples(self, product_id: int, texts: Sequence[tuple[str, str, str]], vectors: Sequence[bytes]) -> int:
        product = self._product(product_id).id
        database = self._open()
        known = {source for (source,) in database.execute("SELECT source FROM examples WHERE product = ?", (product,))}
        (last,) = database.execute("SELECT max(number) FROM examples").fetchone()
        number = 0 if last is None else int(last)
        digests = []
        for (source, time, note), vector in zip(texts, vectors, strict=True):
            if source in known:
                continue
            known.add(source)
            number += 1
            row = ExampleRow(number, product, source, time, note, vector)
            digests.append(digest_of_example(row))
            database.execute("INSERT INTO examples VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, digests[-1]))
        self._account(examples=len(digests), digests=digests)
        return len(digests)

    def _remove(self, product: ProductRow) -> None:
        database = self._open()
        digests = self._digests("SELECT digest FROM examples WHERE product = ?", product.id)
        database.execute("DELETE FROM examples WHERE product = ?", (product.id,))
        database.execute("DELETE FROM products WHERE id = ?", (product.id,))
        self._account(products=-1, examples=-len(digests), digests=[*digests, digest_of_product(product)])

    def _replace(self, product: ProductRow, changed: Callable[[ProductRow], ProductRow]) -> None:
        row = changed(product)
        after = digest_of_product(row)
        self._open().execute(
            "UPDATE products SET name = ?, fields = ?, digest = ? WHERE id = ?", (row.name, row.fields, after, row.id)
        )
        self._account(digests=[digest_of_product(product), after])

    def _merge(self, product: ProductRow, into: ProductRow) -> None:
        if product.id == into.id:
            raise GalleryError(f"the product {product.id} cannot be merged into itself; give two products")
        rows = self._open().execute("SELECT source FROM examples WHERE product = ?", (product.id,)).fetchall()
        self._move(product, into, [source for (source,) in rows])
        self._remove(product)

    def _move(self, product: ProductRow, into: ProductRow, sources: Sequence[str]) -> int:
        database = self._open()
        digests: list[bytes] = []
        gone = 0
        for source in sources:
            where = (product.id, source)
            before = self._example(product.id, source)
            digests.append(digest_of_example(before))
            if self._has(into.id, source):
                database.execute("DELETE FROM examples WHERE product = ? AND source = ?", where)
                gone += 1
                continue
            row = before._replace(product=into.id)
            digests.append(digest_of_example(row))
            database.execute(
                "UPDATE examples SET product = ?, digest = ? WHERE number = ?", (into.id, digests[-1], row.number)
            )
        self._account(examples=-gone, digests=digests)
        return len(sources)

    def _remove_examples(self, product: ProductRow, sources: Sequence[str]) -> int:
        digests: list[bytes] = []
        for source in sources:
            where = (product.id, source)
            digests += self._digests("SELECT digest FROM examples WHERE product = ? AND source = ?", *where)
            self._open().execute("DELETE FROM examples WHERE product = ? AND source = ?", where)
        self._account(examples=-len(digests), digests=digests)
        return len(digests)

    # ---- what is there ----

    def _product(self, product_id: int) -> ProductRow:
        sql = "SELECT id, name, fields, digest FROM products WHERE id = ?"
        found = self._open().execute(sql, (checked_id(product_id),)).fetchone()
        if found is None:
            raise GalleryError(f"{self.path} has no product {product_id}; see: edgevision gallery list {self.path}")
        row = ProductRow(*found[:-1])
        # Before it is written anew, with a new digest: damage must not come to look sound.
        if digest_of_product(row) != found[-1]:
            raise damaged(self.path, f"the product {row.id} has changed")
        return row

    def _example(self, product_id: int, source: str) -> ExampleRow:
        sql = f"SELECT {_EXAMPLE}, digest FROM examples WHERE product = ? AND source = ?"
        found = self._open().execute(sql, (product_id, source)).fetchone()
        if found is None:
            raise GalleryError(f"the product {product_id} has no example of the picture {source}")
        row = ExampleRow(*found[:-1])
        if not isinstance(row.vector, bytes) or digest_of_example(row) != found[-1]:
            raise damaged(self.path, f"the example {row.number} of the product {product_id} has changed")
        return row

    def _has(self, product_id: int, source: str) -> bool:
        sql = "SELECT 1 FROM examples WHERE product = ? AND source = ?"
        return self._open().execute(sql, (product_id, source)).fetchone() is not None

    def _digests(self, sql: str, *values: object) -> list[bytes]:
        return [digest for (digest,) in self._open().execute(sql, values)]

    def _account(
        self, *, products: int = 0, examples: int = 0, digests: Iterable[bytes] = (), last_id: int = 0
    ) -> None:
        """Change the row that says what the gallery is. ``digests``: of all rows that came or went. ``last_id``: that was given now."""
        database = self._open()
        head = read_head(database, self.path)
        content = head.content
        for digest in digests:
            content = joined(content, digest)
        new = head._replace(
            products=head.products + products, examples=head.examples + examples, content=content,
            last_id=max(head.last_id, last_id),
        )  # fmt: skip
        database.execute(
            "UPDATE gallery SET products = ?, examples = ?, content = ?, last_id = ?, digest = ? WHERE only_row = 1",
            (new.products, new.examples, new.content, new.last_id, digest_of_head(new)),
        )

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            raise GalleryError("a GalleryWriter works inside its with statement alone; open it anew")
        if self._undone:
            raise GalleryError(
                f"{self.path} is as it was: a change failed and ended the transaction; do all of it again"
            )
        return self._database
