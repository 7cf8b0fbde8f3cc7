"""Files that are damaged or made by an enemy: refused, or read rightly; never a crash, a hang or another vector."""

from __future__ import annotations

import os
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from galleries import BUNDLE, DIMENSION, directions, make_gallery, source

from edgevision.errors import EdgeVisionError, GalleryError
from edgevision.gallery.file.rows import (
    ExampleRow,
    Head,
    ProductRow,
    digest_of_example,
    digest_of_head,
    digest_of_product,
    joined,
)
from edgevision.gallery.gallery import open_gallery
from edgevision.gallery.writer import GalleryWriter


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shop.evg"


def contents(path):
    gallery = open_gallery(path)
    return gallery.products, gallery.examples, gallery.vectors.tobytes(), gallery.bundle_id


def flip(data, random):
    for place in random.integers(0, len(data), random.integers(1, 20)):
        data[place] ^= random.integers(1, 256)
    return data


def cut(data, random):
    return data[: random.integers(0, len(data))]


def zero_some(data, random):
    start, length = random.integers(0, len(data)), random.integers(1, 5000)
    data[start : start + length] = bytes(len(data[start : start + length]))
    return data


def swap_pages(data, random):
    first, second = (4096 * int(one) for one in random.integers(1, len(data) // 4096, 2))
    data[first : first + 4096], data[second : second + 4096] = data[second : second + 4096], data[first : first + 4096]
    return data


def copy_page(data, random):
    start, end = (4096 * int(one) for one in random.integers(1, len(data) // 4096, 2))
    data[end : end + 4096] = data[start : start + 4096]
    return data


def change_a_cell(data, random):
    """One byte in the part of a page where its tree is described: pointers, counts, sizes."""
    page = 4096 * int(random.integers(0, len(data) // 4096))
    data[page + int(random.integers(0, 120))] = int(random.integers(0, 256))
    return data


DAMAGES = [flip, cut, zero_some, swap_pages, copy_page, change_a_cell]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.__name__)
def test_damaged_files(path, damage):
    """1,000 in all. What is read all the same must be what was written."""
    make_gallery(path, 4, 12)
    sound, expected = path.read_bytes(), contents(path)
    random = np.random.default_rng(DAMAGES.index(damage))
    refused = 0
    for _ in range(167):
        path.write_bytes(damage(bytearray(sound), random))
        try:
            assert contents(path) == expected
        except GalleryError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("damage", [flip, change_a_cell], ids=lambda one: one.__name__)
def test_writing_to_damaged_files(path, damage):
    """Refused, or done; what can be read afterwards is right."""
    make_gallery(path, 4, 12)
    sound = path.read_bytes()
    with GalleryWriter(path, bundle_id=BUNDLE, dimension=DIMENSION) as writer:
        writer.merge(1, 2)
    expected = contents(path)
    random = np.random.default_rng(9)
    for _ in range(60):
        path.write_bytes(damage(bytearray(sound), random))
        try:
            with GalleryWriter(path, bundle_id=BUNDLE, dimension=DIMENSION) as writer:
                writer.merge(1, 2)
            assert contents(path) == expected
        except GalleryError:
            pass


# ---- databases that are sound, and no galleries ----


def changed(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA writable_schema = ON")
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


OTHER_SCHEMAS = {
    "a trigger": ["CREATE TRIGGER t AFTER UPDATE ON gallery BEGIN DELETE FROM products; END"],
    "a view more": ["CREATE VIEW v AS SELECT 1"],
    "a view in place of a table": [
        "ALTER TABLE examples RENAME TO kept",
        "CREATE VIEW examples AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, 1, '', '', '', x'', x'' FROM n",
    ],
    "an index more": ["CREATE INDEX i ON products (name)"],
    "an index by a function": ["CREATE INDEX i ON products (abs(id))"],
    "a table more": ["CREATE TABLE t (a)"],
    "a column more": ["ALTER TABLE products ADD COLUMN more TEXT"],
    "no index": ["DROP INDEX examples_of_a_product"],
    "no table": ["DROP TABLE products"],
    "a schema that is no SQL": ["UPDATE sqlite_master SET sql = 'CREATE TABLE products (' WHERE name = 'products'"],
    "a table at another's root": ["UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'examples') WHERE name = 'products'"],
    "a table at no page": ["UPDATE sqlite_master SET rootpage = 99999 WHERE name = 'products'"],
    "another program's": ["PRAGMA application_id = 252006674"],
    "a later version": ["PRAGMA user_version = 3"],
    "an earlier version": ["PRAGMA user_version = 1"],
    "no version": ["PRAGMA user_version = 0"],
    "written ahead": ["PRAGMA journal_mode = WAL", "PRAGMA wal_checkpoint"],
}  # fmt: skip

CHANGED_ROWS = {
    "no head": ["DELETE FROM gallery"],
    "two heads": ["UPDATE gallery SET only_row = 2"],
    "a head changed": ["UPDATE gallery SET dimension = 8"],
    "more examples said": ["UPDATE gallery SET examples = 1000000000"],
    "a product less": ["DELETE FROM products WHERE id = 1"],
    "an example less": ["DELETE FROM examples WHERE number = 1"],
    "an example twice": ["INSERT INTO examples SELECT 99, product, source || 'x', added, note, vector, digest FROM examples WHERE number = 1"],
    "a name changed": ["UPDATE products SET name = 'other' WHERE id = 1"],
    "fields changed": ["UPDATE products SET fields = '{\"price\":0}' WHERE id = 1"],
    "products exchanged": ["UPDATE examples SET product = 3 - product"],
    "vectors exchanged": ["UPDATE examples SET vector = (SELECT vector FROM examples WHERE number = 5) WHERE number = 1"],
    "a vector of no bytes": ["UPDATE examples SET vector = x'' WHERE number = 1"],
    "a huge vector": ["UPDATE examples SET vector = zeroblob(30000000) WHERE number = 1"],
    "a huge name": ["UPDATE products SET name = hex(zeroblob(10000000)) WHERE id = 1"],
    "a vector that is text": ["UPDATE examples SET vector = 'apple' WHERE number = 1"],
    "a name that is bytes": ["UPDATE products SET name = x'ff' WHERE id = 1"],
    "a name that is no UTF-8": ["UPDATE products SET name = CAST(x'ff61' AS TEXT) WHERE id = 1"],
    "a note with a NUL": ["UPDATE examples SET note = 'a' || char(0) || 'b' WHERE number = 1"],
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_SCHEMAS)
def test_databases_that_are_none_of_ours(path, name):
    make_gallery(path)
    changed(path, *OTHER_SCHEMAS[name])
    before = path.read_bytes()
    with pytest.raises(GalleryError):
        open_gallery(path)
    with pytest.raises(GalleryError), GalleryWriter(path, bundle_id=BUNDLE, dimension=DIMENSION) as writer:
        writer.remove(1)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", CHANGED_ROWS)
def test_rows_that_another_program_changed(path, name):
    make_gallery(path)
    changed(path, *CHANGED_ROWS[name])
    with pytest.raises(GalleryError, match="damaged"):
        open_gallery(path)


TOUCHED = {
    "move": lambda one: one.move_examples(0, [source(0)], 2),
    "merge": lambda one: one.merge(0, 2),
    "rename": lambda one: one.rename(0, "other"),
    "fields": lambda one: one.set_fields(0, {}),
}


@pytest.mark.parametrize("name", TOUCHED)
def test_a_change_does_not_make_damage_look_sound(path, name):
    """A row that is written anew gets a new digest: first its old one must fit."""
    make_gallery(path)
    changed(
        path,
        "UPDATE examples SET vector = (SELECT vector FROM examples WHERE number = 5) WHERE number = 1",
        "UPDATE products SET fields = '{\"price\":9}', name = 'x' WHERE id = 0",
    )
    with (
        pytest.raises(GalleryError, match=r"damaged.*has changed"),
        GalleryWriter(path, bundle_id=BUNDLE, dimension=DIMENSION) as writer,
    ):
        TOUCHED[name](writer)


def forged(path: Path, product: ProductRow, example: ExampleRow, dimension: int = 2, last_id: int = 1) -> None:
    """A gallery whose digests are right, whatever its rows are."""
    with GalleryWriter(path, bundle_id=BUNDLE, dimension=2):
        pass
    digests = digest_of_product(product), digest_of_example(example)
    head = Head(BUNDLE, dimension, 1, 1, joined(*digests), last_id)
    database = sqlite3.connect(path)
    database.execute("INSERT INTO products VALUES (?, ?, ?, ?)", (*product, digests[0]))
    database.execute("INSERT INTO examples VALUES (?, ?, ?, ?, ?, ?, ?)", (*example, digests[1]))
    database.execute("DELETE FROM gallery")
    database.execute("INSERT INTO gallery VALUES (1, ?, ?, ?, ?, ?, ?, ?)", (*head, digest_of_head(head)))
    database.commit()
    database.close()


PRODUCT = ProductRow(1, "apple", "{}")
EXAMPLE = ExampleRow(1, 1, source(1), "2026-01-31T12:00:00Z", "", struct.pack("<2f", 0.6, 0.8))
FORGED = {
    "NaN": (PRODUCT, EXAMPLE._replace(vector=struct.pack("<2f", float("nan"), 0.8)), "not of length 1"),
    "infinite": (PRODUCT, EXAMPLE._replace(vector=struct.pack("<2f", float("inf"), 0.8)), "not of length 1"),
    "zeros": (PRODUCT, EXAMPLE._replace(vector=bytes(8)), "not of length 1"),
    "too long": (PRODUCT, EXAMPLE._replace(vector=struct.pack("<2f", 3e38, 3e38)), "not of length 1"),
    "short": (PRODUCT, EXAMPLE._replace(vector=bytes(4)), "has changed"),
    "of no product": (PRODUCT, EXAMPLE._replace(product=2), "which is not there"),
    "no source": (PRODUCT, EXAMPLE._replace(source="../../etc/passwd"), "SHA-256"),
    "no time": (PRODUCT, EXAMPLE._replace(added="yesterday"), "is a time"),
    "control character": (PRODUCT._replace(name="a\x1b[2J"), EXAMPLE, "control character"),
    "long name": (PRODUCT._replace(name="x" * 501), EXAMPLE, "501"),
    "huge id": (PRODUCT._replace(id=2**60), EXAMPLE._replace(product=2**60), "53 bits"),
    "no JSON": (PRODUCT._replace(fields="{"), EXAMPLE, "cannot be read"),
    "a list": (PRODUCT._replace(fields="[]"), EXAMPLE, "mapping"),
    "NaN in JSON": (PRODUCT._replace(fields='{"a":NaN}'), EXAMPLE, "cannot be read"),
    "1e999 in JSON": (PRODUCT._replace(fields='{"a":1e999}'), EXAMPLE, "finite"),
    "deep JSON": (PRODUCT._replace(fields='{"a":' * 50_000), EXAMPLE, "cannot be read"),
    "half a character": (PRODUCT._replace(fields='{"a":"\\ud83d"}'), EXAMPLE, "half of a character"),
    "object in JSON": (PRODUCT._replace(fields='{"a":{}}'), EXAMPLE, "got dict"),
    "long number": (PRODUCT._replace(fields='{"a":' + "9" * 5000 + "}"), EXAMPLE, "cannot be read|53 bits"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_right_digests_make_nothing_true(path, name):
    product, example, message = FORGED[name]
    forged(path, product, example)
    with pytest.raises(GalleryError, match=message):
        open_gallery(path)


def test_forged_rows_that_are_right_are_read(path):
    forged(path, PRODUCT, EXAMPLE)
    assert open_gallery(path).vectors.tolist() == [[np.float32(0.6), np.float32(0.8)]]


@pytest.mark.parametrize("last_id", [0, -1])
def test_a_last_id_that_cannot_be(path, last_id):
    forged(path, PRODUCT, EXAMPLE, last_id=last_id)
    with pytest.raises(GalleryError, match="damaged"):
        open_gallery(path)


@pytest.mark.parametrize("dimension", [0, 1, -2, 5000, 2**40])
def test_dimensions_that_cannot_be(path, dimension):
    forged(path, PRODUCT, EXAMPLE, dimension)
    with pytest.raises(GalleryError, match="damaged"):
        open_gallery(path)


def test_a_tree_that_leads_to_itself_is_no_hang(path):
    """Interior pages whose children are all one page: without bounds, as many rows as 200 to the power of the depth."""
    make_gallery(path, 4, 60)
    data = bytearray(path.read_bytes())
    interior = [page for page in range(1, len(data) // 4096) if data[4096 * page] == 5]
    assert interior
    for page in interior:
        start = 4096 * page
        (cells,) = struct.unpack_from(">H", data, start + 3)
        (child,) = struct.unpack_from(">I", data, start + 8)
        for cell in range(cells):
            (place,) = struct.unpack_from(">H", data, start + 12 + 2 * cell)
            struct.pack_into(">I", data, start + place, child)
    path.write_bytes(data)
    with pytest.raises(GalleryError, match="damaged"):
        open_gallery(path)


# ---- what is no file, or no database ----


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not begin as one"),
        (b"SQLite format 3\0", "does not begin as one"),
        (b"SQLite format 3\0" + bytes(200), "does not begin as one"),
        (b"PK\x03\x04" + bytes(200), "does not begin as one"),
        (b"x" * 5000, "does not begin as one"),
    ],
)
def test_other_files(path, content, message):
    path.write_bytes(content)
    with pytest.raises(GalleryError, match=message):
        open_gallery(path)
    with pytest.raises(GalleryError, match=message), GalleryWriter(path, bundle_id=BUNDLE, dimension=DIMENSION):
        pass
    assert path.read_bytes() == content


def test_no_file(path):
    with pytest.raises(GalleryError, match="edgevision gallery new"):
        open_gallery(path)
    assert not path.exists()


def test_a_folder(tmp_path):
    with pytest.raises(GalleryError):
        open_gallery(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    with pytest.raises(GalleryError, match="which is none"):
        open_gallery(path)


def test_a_name_with_signs_of_addresses(tmp_path):
    path = tmp_path / "a?mode=memory#b%41 ü.evg"
    make_gallery(path)
    assert len(open_gallery(path)) == 4
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


# ---- journals ----

KILLED = """
import os, signal, sys
import numpy as np
from galleries import BUNDLE, DIMENSION, source
from edgevision.gallery.writer import GalleryWriter
with GalleryWriter(sys.argv[1], bundle_id=BUNDLE, dimension=DIMENSION) as writer:
    writer._database.execute("PRAGMA cache_size = 2")  # so that pages are written before the end
    writer.merge(1, 2)
    writer.add_examples(0, np.random.default_rng(0).normal(size=(400, DIMENSION)), [source("k", i) for i in range(400)])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_while_pages_are_written(path):
    """The file is half new, and its journal lies beside it."""
    make_gallery(path)
    before, expected = path.read_bytes(), contents(path)
    subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], check=False, env={**os.environ, "PYTHONPATH": ":".join(sys.path)}
    )
    journal = Path(f"{path}-journal")
    assert path.read_bytes() != before
    assert journal.exists()
    assert contents(path) == expected
    assert not journal.exists()


def test_a_journal_that_names_another_file(path, tmp_path):
    """SQLite would look into that file, and might delete it."""
    make_gallery(path)
    other = tmp_path / "precious.txt"
    other.write_text("precious")
    name = str(other).encode()
    end = struct.pack(">I", 1) + name + struct.pack(">II", len(name), sum(name)) + b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
    Path(f"{path}-journal").write_bytes(end)
    with pytest.raises(GalleryError, match="was not written by EdgeVision"):
        open_gallery(path)
    with pytest.raises(EdgeVisionError), GalleryWriter(path, bundle_id=BUNDLE, dimension=DIMENSION):
        pass
    assert other.read_text() == "precious"


def beside(path, suffix):
    return Path(f"{path}{suffix}")


BESIDE = {
    "a log of rubbish": lambda path: beside(path, "-wal").write_bytes(os.urandom(5000)),
    "an empty log": lambda path: beside(path, "-wal").write_bytes(b""),
    "a pipe for a log": lambda path: os.mkfifo(beside(path, "-wal")),
    "a pipe for a journal": lambda path: os.mkfifo(beside(path, "-journal")),
    "a folder for a journal": lambda path: beside(path, "-journal").mkdir(),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("name", BESIDE)
def test_what_lies_beside_is_not_taken_up(path, name):
    make_gallery(path)
    BESIDE[name](path)
    with pytest.raises(GalleryError, match="was not written by EdgeVision"):
        open_gallery(path)


def test_the_log_of_another_program_changes_nothing(path):
    """SQLite would read these pages in place of the file's own."""
    make_gallery(path)
    sound = path.read_bytes()
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("UPDATE gallery SET dimension = 8")
    database.commit()
    log = beside(path, "-wal").read_bytes()
    database.close()
    assert log
    path.write_bytes(sound)
    beside(path, "-wal").write_bytes(log)
    with pytest.raises(GalleryError, match="would change what is read"):
        open_gallery(path)
    beside(path, "-wal").unlink()
    assert len(open_gallery(path)) == 4


def test_a_journal_of_rubbish_is_passed_over(path):
    make_gallery(path)
    expected = contents(path)
    Path(f"{path}-journal").write_bytes(os.urandom(5000))
    assert contents(path) == expected


def test_vectors_survive_many_changes(path):
    """Each vector stands with its source through additions and removals in any order, against a dictionary."""
    random = np.random.default_rng(5)
    make_gallery(path, 3, 1)
    kept = {
        one.source: (one.product, v.tobytes())
        for one, v in zip(open_gallery(path).examples, open_gallery(path).vectors, strict=True)
    }
    vectors = directions(40, seed=4).astype(np.float32)
    for step in range(40):
        product = int(random.integers(0, 3))
        own = sorted(one for one, (of, _) in kept.items() if of == product)
        with GalleryWriter(path, bundle_id=BUNDLE, dimension=DIMENSION) as writer:
            if own and random.random() < 0.4:
                assert writer.remove_examples(product, own[:2]) == len(own[:2])
                for one in own[:2]:
                    del kept[one]
            else:
                writer.add_examples(product, vectors[step], [source("n", step)])
                unit = vectors[step].astype(np.float64)
                kept[source("n", step)] = (product, (unit / np.linalg.norm(unit)).astype(np.float32).tobytes())
    gallery = open_gallery(path)
    assert {
        one.source: (one.product, v.tobytes()) for one, v in zip(gallery.examples, gallery.vectors, strict=True)
    } == kept
