"""Writing a gallery: each change, what is refused, and that a transaction is whole or nothing."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import unicodedata

import numpy as np
import pytest
from galleries import BUNDLE, DIMENSION, OTHER_BUNDLE, directions, make_gallery, source

from edgevision.errors import EdgeVisionError, GalleryError
from edgevision.files import is_temporary
from edgevision.gallery.file import connection
from edgevision.gallery.gallery import open_gallery
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.vectors import unit_rows
from edgevision.gallery.writer import GalleryWriter


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shop.evg"


def writer(path, bundle_id=BUNDLE, dimension=DIMENSION):
    return GalleryWriter(path, bundle_id=bundle_id, dimension=dimension)


def run(path, *changes):
    with writer(path) as one:
        for change in changes:
            change(one)


def contents(path):
    """Everything that a gallery holds, as plain values."""
    gallery = open_gallery(path)
    assert len(gallery.vectors) == len(gallery.examples)
    return (
        [(one.id, one.name, dict(one.fields)) for one in gallery.products],
        [(one.product, one.source, one.note) for one in gallery.examples],
        gallery.vectors.tobytes(),
    )


def test_what_was_added_is_there(path):
    given = 3.0 * directions(5)
    fields = {"price": 1.29, "count": 3, "organic": True, "kind": "äpple\nnew line", "nothing": None}
    with writer(path) as one:
        one.add_product(GalleryProduct(7, "Royal Gala", fields))
        one.add_product(GalleryProduct(3, "Pear"))
        assert one.add_examples(7, given[:3], [source(i) for i in range(3)], ["a.jpg", "b.jpg", "c.jpg"]) == 3
        assert one.add_examples(3, given[3], [source(3)], added=["2026-01-31T12:00:00Z"]) == 1
    gallery = open_gallery(path, bundle_id=BUNDLE)
    assert (gallery.bundle_id, gallery.dimension, len(gallery)) == (BUNDLE, DIMENSION, 2)
    assert gallery.products == (GalleryProduct(3, "Pear"), GalleryProduct(7, "Royal Gala", fields))
    assert {name: type(value) for name, value in gallery.find(7).fields.items()} == {
        name: type(value) for name, value in fields.items()
    }
    assert [(one.product, one.source, one.note) for one in gallery.examples] == [
        (7, source(0), "a.jpg"), (7, source(1), "b.jpg"), (7, source(2), "c.jpg"), (3, source(3), ""),
    ]  # fmt: skip
    assert gallery.examples[3].added == "2026-01-31T12:00:00Z"
    assert gallery.vectors.dtype == np.float32
    assert not gallery.vectors.flags.writeable
    np.testing.assert_allclose(gallery.vectors, given[:4] / 3.0, atol=1e-7)


CHANGES = {
    "remove": (lambda w: w.remove(1), {0: 3, 2: 3, 3: 3}),
    "merge": (lambda w: w.merge(1, 2), {0: 3, 2: 6, 3: 3}),
    "remove examples": (lambda w: w.remove_examples(1, [source(3), source(4), source(99)]), {0: 3, 1: 1, 2: 3, 3: 3}),
    "move examples": (lambda w: w.move_examples(1, [source(3)], 0), {0: 4, 1: 2, 2: 3, 3: 3}),
    "add one more": (lambda w: w.add_examples(1, directions(1, seed=9), [source("new")]), {0: 3, 1: 4, 2: 3, 3: 3}),
    "all at once": (lambda w: (w.remove(0), w.merge(1, 2), w.remove(3)), {2: 6}),
    "remove all": (lambda w: [w.remove(number) for number in range(4)], {}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes(path, name):
    change, expected = CHANGES[name]
    make_gallery(path)
    before = {
        one.source: vector.tolist()
        for one, vector in zip(open_gallery(path).examples, open_gallery(path).vectors, strict=True)
    }
    with writer(path) as one:
        change(one)
    gallery = open_gallery(path)
    counted = {one.id: len(gallery.examples_of(one.id)) for one in gallery.products}
    assert counted == expected
    for example, vector in zip(gallery.examples, gallery.vectors, strict=True):
        if example.source != source("new"):
            assert vector.tolist() == before[example.source]


@pytest.mark.parametrize("name", CHANGES)
def test_an_id_that_was_given_once_stays_given(path, name):
    make_gallery(path)
    run(path, CHANGES[name][0])
    assert open_gallery(path).last_id == 3
    run(path, lambda one: one.add_product(GalleryProduct(40, "pear")), lambda one: one.remove(40))
    assert open_gallery(path).last_id == 40
    with pytest.raises(ZeroDivisionError):
        run(path, lambda one: one.add_product(GalleryProduct(50, "fig")), lambda one: 1 / 0)
    assert open_gallery(path).last_id == 40  # nobody saw the fig


def as_the_first_version(path):
    """Make the file what EdgeVision wrote before it kept the last id."""
    database = sqlite3.connect(path)
    values = database.execute("SELECT bundle_id, dimension, products, examples, content FROM gallery").fetchone()
    database.execute("DROP TABLE gallery")
    database.execute(
        "CREATE TABLE gallery (only_row INTEGER PRIMARY KEY, bundle_id TEXT NOT NULL, dimension INTEGER NOT NULL, "
        "products INTEGER NOT NULL, examples INTEGER NOT NULL, content BLOB NOT NULL, digest BLOB NOT NULL)"
    )
    said = "".join(f"{one}\n" for one in values[:4]).encode() + values[4]
    digest = hashlib.blake2b(said, digest_size=16, person=b"head").digest()
    database.execute("INSERT INTO gallery VALUES (1, ?, ?, ?, ?, ?, ?)", (*values, digest))
    database.execute("PRAGMA user_version = 1")
    database.commit()
    database.close()


def test_a_gallery_of_the_first_version_is_read_and_then_written_as_one_of_this(path):
    make_gallery(path)
    expected = contents(path)
    as_the_first_version(path)
    before = path.read_bytes()
    assert contents(path) == expected
    assert open_gallery(path).last_id == 3
    with pytest.raises(ZeroDivisionError):
        run(path, lambda one: one.remove(3), lambda one: 1 / 0)
    assert path.read_bytes() == before
    with writer(path):
        pass
    assert contents(path) == expected
    run(path, lambda one: one.remove(3))
    assert [one.id for one in open_gallery(path).products] == [0, 1, 2]
    assert open_gallery(path).last_id == 3


def test_vectors_of_length_1_stay_as_they_are():
    """To the last bit, also after they were read from one gallery and written to another. Of these, another division by the length
    would change six numbers."""
    random = np.random.default_rng(2442)
    random.integers(1, 41)
    once = unit_rows(random.normal(size=(16, 32)), 32)
    length = np.linalg.norm(once.astype(np.float64), axis=1, keepdims=True)
    assert ((once / length).astype(np.float32) != once).sum() == 6
    np.testing.assert_array_equal(unit_rows(once, 32), once)
    np.testing.assert_allclose(np.linalg.norm(once.astype(np.float64), axis=1), 1, atol=2e-7)


def test_rename_and_fields(path):
    make_gallery(path)
    with writer(path) as one:
        one.rename(2, "other")
        one.set_fields(2, {"kind": "x"})
    assert open_gallery(path).find(2) == GalleryProduct(2, "other", {"kind": "x"})


def test_the_same_picture_is_added_once(path):
    vectors = directions(3)
    with writer(path) as one:
        one.add_product(GalleryProduct(1, "a"))
        one.add_product(GalleryProduct(2, "b"))
        assert one.add_examples(1, vectors, [source(0), source(1), source(0)]) == 2
        assert one.add_examples(1, vectors[2], [source(1)]) == 0
        assert one.add_examples(2, vectors[0], [source(0)]) == 1
        one.merge(2, 1)  # of the picture that both have, the first's vector stays
    assert [example.source for example in open_gallery(path).examples] == [source(0), source(1)]
    np.testing.assert_allclose(open_gallery(path).vectors, vectors[:2], atol=1e-7)


# ---- what is refused ----

UNIT = directions(1)[0]
REFUSED = {
    "id twice": (lambda w: w.add_product(GalleryProduct(1, "again")), "has a product 1 already, 'product 1'"),
    "no such product": (lambda w: w.add_examples(9, UNIT, [source("x")]), "no product 9"),
    "remove none": (lambda w: w.remove(9), "no product 9"),
    "merge into none": (lambda w: w.merge(1, 9), "no product 9"),
    "merge into itself": (lambda w: w.merge(1, 1), "into itself"),
    "move none": (lambda w: w.move_examples(1, [source(99)], 2), "no example of the picture"),
    "NaN": (lambda w: w.add_examples(1, UNIT * np.nan, [source("x")]), "not finite"),
    "infinite": (lambda w: w.add_examples(1, np.where(UNIT > 0, np.inf, 1.0), [source("x")]), "not finite"),
    "zeros": (lambda w: w.add_examples(1, UNIT * 0, [source("x")]), "vector 0 is all zeros"),
    "second of zeros": (lambda w: w.add_examples(1, [UNIT, UNIT * 0], [source("x"), source("y")]), "vector 1 is all"),
    "too long": (lambda w: w.add_examples(1, UNIT * 1e200, [source("x")]), "too long"),
    "dimension": (lambda w: w.add_examples(1, UNIT[:8], [source("x")]), r"expected vectors \[n, 16\], got \[8\]"),
    "no numbers": (lambda w: w.add_examples(1, ["a"] * 16, [source("x")]), "of numbers"),
    "too few sources": (lambda w: w.add_examples(1, [UNIT, UNIT], [source("x")]), "a source for each of 2"),
    "too few notes": (lambda w: w.add_examples(1, [UNIT] * 2, [source("x"), source("y")], ["a"]), "and a note"),
    "no hash": (lambda w: w.add_examples(1, UNIT, ["a.jpg"]), "SHA-256"),
    "no time": (lambda w: w.add_examples(1, UNIT, [source("x")], added=["today"]), "is a time like"),
    "id is no number": (lambda w: w.add_product(GalleryProduct("7", "a")), "whole number"),  # type: ignore[arg-type]
    "id is a bool": (lambda w: w.add_product(GalleryProduct(True, "a")), "whole number"),
    "id too large": (lambda w: w.add_product(GalleryProduct(2**53, "a")), "53 bits"),
    "id below 0": (lambda w: w.add_product(GalleryProduct(-1, "a")), "0 or more"),
    "no name": (lambda w: w.add_product(GalleryProduct(9, "  ")), "1 … 500 characters, got 0"),
    "long name": (lambda w: w.rename(1, "x" * 501), "1 … 500 characters, got 501"),
    "control character": (lambda w: w.rename(1, "a\x1b[2J"), r"control character U\+001B"),
    "NUL": (lambda w: w.rename(1, "a\0b"), r"control character U\+0000"),
    "new line": (lambda w: w.rename(1, "a\nb"), r"control character U\+000A"),
    "half a character": (lambda w: w.rename(1, "a\ud83d"), r"half of a character \(U\+D83D\)"),
    "fields are NaN": (lambda w: w.set_fields(1, {"price": float("nan")}), "finite number"),
    "fields are a list": (lambda w: w.set_fields(1, {"price": [1]}), "got list"),  # type: ignore[dict-item]
    "a field's name": (lambda w: w.set_fields(1, {"pr\x07ice": 1}), "control character"),
    "one field twice": (lambda w: w.set_fields(1, {"caf\u00e9": 1, "cafe\u0301": 2}), "two fields have the name"),
    "many fields": (lambda w: w.set_fields(1, {str(i): i for i in range(101)}), "at most 100"),
    "large number": (lambda w: w.set_fields(1, {"gtin": 2**60}), "give it as text"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_changes_nothing(path, name):
    """Neither where the error leaves the with statement, nor where the caller goes on."""
    change, message = REFUSED[name]
    make_gallery(path)
    before = contents(path)
    with pytest.raises(GalleryError, match=message):
        run(path, lambda one: one.remove(0), change)
    assert contents(path) == before
    with writer(path) as one, pytest.raises(GalleryError, match=message):
        change(one)
    assert contents(path) == before


NAMES = {
    "composed": ("Cafe\u0301", "Café"),
    "right to left": ("תפוח גאלה", "תפוח גאלה"),
    "Arabic with a mark": ("تفاح \u200fA", "تفاح \u200fA"),
    "emoji of several": ("👩🏽‍🌾 apple", "👩🏽‍🌾 apple"),
    "flag": ("🇸🇪", "🇸🇪"),
    "outside the BMP": ("𠮷野家", "𠮷野家"),
    "SQL": ("'); DROP TABLE products; --", "'); DROP TABLE products; --"),
    "not a character": ("a\uffff", "a\uffff"),
    "Hangul parts": (unicodedata.normalize("NFD", "사과"), "사과"),
    "longest": ("é" * 500, "é" * 500),
    "space around": ("\u3000pear ", "pear"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_unicode(path, name):
    given, kept = NAMES[name]
    with writer(path) as one:
        one.add_product(GalleryProduct(1, given, {given: given}))
    assert open_gallery(path).products == (GalleryProduct(1, kept, {kept: kept}),)


def test_a_note_holds_what_a_file_name_holds(path):
    with writer(path) as one:
        one.add_product(GalleryProduct(1, "a"))
        one.add_examples(1, directions(3), [source(i) for i in range(3)], ["b\udcff.jpg", "c\n\x1b.jpg", "x" * 2000])
    notes = [example.note for example in open_gallery(path).examples]
    assert notes[:2] == ["b?.jpg", "c\ufffd\ufffd.jpg"]
    assert (len(notes[2]), notes[2][-1]) == (1000, "…")


# ---- transactions ----


def test_an_exception_leaves_the_old_content(path):
    make_gallery(path)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        run(path, lambda one: one.remove(1), lambda one: signal.raise_signal(signal.SIGINT))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_an_exception_leaves_no_new_gallery(path):
    with pytest.raises(ZeroDivisionError):
        run(path, lambda one: one.add_product(GalleryProduct(1, "a")), lambda one: 1 / 0)
    assert list(path.parent.iterdir()) == []


def test_a_new_gallery_appears_whole(path):
    with writer(path) as one:
        one.add_product(GalleryProduct(1, "a"))
        assert not path.exists()
        assert all(is_temporary(left) for left in path.parent.iterdir())
    assert list(path.parent.iterdir()) == [path]
    assert len(open_gallery(path)) == 1


def test_two_that_make_the_same_gallery(path):
    """The second is told, and replaces nothing."""
    with pytest.raises(GalleryError, match="made by another program meanwhile"):
        run(path, lambda second: second.add_product(GalleryProduct(2, "second")), lambda second: make_gallery(path))
    assert len(open_gallery(path)) == 4
    assert list(path.parent.iterdir()) == [path]


def test_readers_see_the_old_content_while_one_writes(path):
    make_gallery(path)
    before = contents(path)
    with writer(path) as one:
        one.remove(1)
        assert contents(path) == before
    assert [product[0] for product in contents(path)[0]] == [0, 2, 3]


def test_a_second_writer_waits_for_the_first(path):
    make_gallery(path)
    entered = threading.Event()

    def second():
        entered.set()
        with writer(path) as one:
            one.rename(1, "second")

    with writer(path) as one:
        other = threading.Thread(target=second)
        other.start()
        entered.wait(10)
        one.rename(1, "first")
        one.rename(2, "first")
    other.join(20)
    assert [product.name for product in open_gallery(path).products] == ["product 0", "second", "first", "product 3"]


def test_reading_does_not_end_the_locks_of_a_writer_in_the_same_process(path):
    """POSIX ends all locks of a process on a file when it closes any descriptor of that file; SQLite knows of its own alone."""
    make_gallery(path)
    with writer(path) as one:
        one.rename(1, "first")
        open_gallery(path)
        done = subprocess.run(
            [sys.executable, "-c", SECOND, str(path)], check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    assert "another program has been using it" in done.stdout
    assert open_gallery(path).find(1).name == "first"


SECOND = """
import sys
from galleries import BUNDLE, DIMENSION
from edgevision.errors import GalleryError
from edgevision.gallery.file import connection
from edgevision.gallery.writer import GalleryWriter
connection.WAIT_S = 0.05
try:
    with GalleryWriter(sys.argv[1], bundle_id=BUNDLE, dimension=DIMENSION) as one:
        one.rename(1, "second")
except GalleryError as error:
    print(error)
"""


def test_a_second_writer_does_not_wait_for_ever(path, monkeypatch):
    make_gallery(path)
    monkeypatch.setattr(connection, "WAIT_S", 0.05)
    with writer(path), pytest.raises(GalleryError, match="another program has been using it"), writer(path):
        pass


@pytest.mark.parametrize("given", [{"bundle_id": OTHER_BUNDLE}, {"dimension": 8}])
def test_the_gallery_of_another_bundle_is_refused(path, given):
    make_gallery(path)
    with pytest.raises(GalleryError, match=r"reembed|numbers, and these have"), writer(path, **given):
        pass
    assert len(open_gallery(path)) == 4


@pytest.mark.parametrize("given", [{"bundle_id": ""}, {"bundle_id": "a\nb"}, {"dimension": 1}, {"dimension": 10**6}])
def test_no_gallery_of_such(path, given):
    with pytest.raises(GalleryError):
        writer(path, **given)


def test_a_writer_works_in_its_with_statement_alone(path):
    one = writer(path)
    with pytest.raises(GalleryError, match="inside its with statement"):
        one.add_product(GalleryProduct(1, "a"))
    with one:
        one.add_product(GalleryProduct(1, "a"))
        with pytest.raises(GalleryError, match="in use"), one:
            pass
    with pytest.raises(GalleryError, match="inside its with statement"):
        one.remove(1)


def test_no_folder(tmp_path):
    with pytest.raises(GalleryError, match="choose a folder"), writer(tmp_path / "gone" / "a.evg"):
        pass


@pytest.mark.parametrize("suffix", ["-journal", "-wal"])
def test_what_a_deleted_gallery_left_is_not_taken_up(path, suffix):
    left = path.with_name(path.name + suffix)
    left.write_bytes(b"left")
    with pytest.raises(GalleryError, match="a gallery that is gone"):
        make_gallery(path)
    left.unlink()
    make_gallery(path)


def test_a_link_is_followed(path, tmp_path):
    make_gallery(path)
    link = tmp_path / "link.evg"
    link.symlink_to(path)
    with writer(link) as one:
        one.remove(1)
    assert link.is_symlink()
    assert len(open_gallery(path)) == 3


def test_what_is_written_may_take_longer_than_to_read_what_was_there(path, monkeypatch):
    make_gallery(path)
    monkeypatch.setattr(connection, "STEPS", 100_000)
    run(path, lambda one: one.add_examples(1, *many(10_000)))
    monkeypatch.undo()
    assert len(open_gallery(path).examples) == 10_012


def many(count=300):
    return np.random.default_rng(1).normal(size=(count, DIMENSION)), [source("many", i) for i in range(count)]


def test_a_full_disk(path):
    """It ends the transaction at once: a caller that goes on must not write half of it."""
    make_gallery(path)
    before = contents(path)

    def fill(one):
        one._database.execute("PRAGMA max_page_count = 10")
        with pytest.raises(EdgeVisionError, match="disk is full; the gallery is as it was"):
            one.add_examples(1, *many())

    with pytest.raises(GalleryError, match="do all of it again"):
        run(path, lambda one: one.remove(0), fill, lambda one: one.remove(2))
    with pytest.raises(GalleryError, match="do all of it again"):
        run(path, lambda one: one.remove(0), fill)
    assert contents(path) == before


LIMITED = """
import resource, sys
from galleries import BUNDLE, DIMENSION, source
import numpy as np
from edgevision.errors import EdgeVisionError
from edgevision.gallery.writer import GalleryWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    with GalleryWriter(sys.argv[1], bundle_id=BUNDLE, dimension=DIMENSION) as writer:
        writer.remove(0)
        writer.add_examples(1, np.ones((300, DIMENSION)), [source(i) for i in range(300)])
except EdgeVisionError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs limits of file sizes")
def test_a_disk_that_takes_no_more(path):
    make_gallery(path)
    before = contents(path)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert "the gallery is as it was" in done.stdout
    assert contents(path) == before


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everything")
def test_a_folder_that_may_not_be_written(path):
    make_gallery(path)
    path.parent.chmod(0o500)
    try:
        with pytest.raises(EdgeVisionError, match="may not be written"):
            run(path, lambda one: one.remove(1))
    finally:
        path.parent.chmod(0o700)
    assert len(open_gallery(path)) == 4
