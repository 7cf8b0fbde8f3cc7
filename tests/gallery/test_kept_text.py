"""What is kept of a gallery's words: what it saves, when it counts, and what a damaged file costs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from texts import WordEncoder, coloured_things, gallery_of

from edgevision.errors import CacheWarning
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.text import kept as kept_module
from edgevision.gallery.text.kept import Kept, from_bytes, open_meanings, to_bytes


@pytest.fixture
def beside(tmp_path):
    """Where a gallery would lie."""
    return tmp_path / "shop.evg"


@pytest.fixture
def fits(monkeypatch):
    """How often a projection was learnt."""
    made = []
    learn = kept_module.learn_projection
    monkeypatch.setattr(kept_module, "learn_projection", lambda *given: made.append(1) or learn(*given))
    return made


def test_the_second_time_nothing_is_encoded_or_learnt(beside, fits):
    gallery, _, new = coloured_things()
    first = open_meanings(gallery, WordEncoder(), beside)
    encoder = WordEncoder()
    second = open_meanings(gallery, encoder, beside)
    assert (encoder.encoded, len(fits)) == ([], 1)
    assert np.array_equal(first.texts, second.texts)
    vector = new[3:4].astype(np.float32)
    assert np.array_equal(first.projection.to_text(vector), second.projection.to_text(vector))
    assert np.array_equal(first.projection.to_picture(first.texts), second.projection.to_picture(first.texts))
    assert (first.projection.ridge, first.projection.left_out) == (second.projection.ridge, second.projection.left_out)


def test_a_new_product_costs_one_text_and_a_fit(beside, fits):
    gallery, _, _ = coloured_things()
    open_meanings(gallery, WordEncoder(), beside)
    more = gallery_of(
        [*gallery.products, GalleryProduct(99, "gold ring")], gallery.vectors, gallery.product_of.tolist()
    )
    encoder = WordEncoder()
    open_meanings(more, encoder, beside)
    assert (encoder.encoded, len(fits)) == (["gold ring"], 2)


@pytest.mark.parametrize("change", ["vector", "name", "bundle", "owner"])
def test_what_it_was_learnt_from_decides(beside, fits, change):
    gallery, _, _ = coloured_things()
    open_meanings(gallery, WordEncoder(), beside)
    products, vectors, owners = list(gallery.products), gallery.vectors.copy(), gallery.product_of.tolist()
    if change == "vector":
        vectors[0, 0] += 0.01
    if change == "name":
        products[0] = GalleryProduct(0, "green apple")  # as another product: no text is new
    if change == "owner":
        owners[0] = 1
    other = gallery_of(products, vectors, owners)
    if change == "bundle":
        other.bundle_id = "cd" * 32
    encoder = WordEncoder()
    open_meanings(other, encoder, beside)
    assert (encoder.encoded, len(fits)) == ([], 2)


def test_another_encoders_vectors_are_not_taken(beside):
    gallery, _, _ = coloured_things()
    open_meanings(gallery, WordEncoder(), beside)
    other = WordEncoder()
    other.id = "words-2"
    open_meanings(gallery, other, beside)
    assert len(other.encoded) == 20


def test_too_few_products_are_kept_without_a_projection(beside, fits):
    gallery = gallery_of([GalleryProduct(1, "apple")], [[1.0, 0.0]], [1])
    for expected in (["apple"], []):
        encoder = WordEncoder()
        assert open_meanings(gallery, encoder, beside).projection is None
        assert encoder.encoded == expected


def damaged(data: bytes) -> list[bytes]:
    """Bytes flipped in every part, cut short, and longer."""
    random = np.random.default_rng(0)
    made = [b"", b"{}", data[:-1], data + b"x", data[: len(data) // 2], data[:40]]
    for place in [0, 20, 30, *random.integers(0, len(data), 60).tolist()]:
        broken = bytearray(data)
        broken[place] ^= 1 << int(random.integers(8))
        made.append(bytes(broken))
    return made


def test_a_damaged_file_is_told_and_made_again(beside):
    gallery, _, _ = coloured_things()
    open_meanings(gallery, WordEncoder(), beside)
    path = beside.with_name("shop.evg.text")
    good = path.read_bytes()
    for data in damaged(good):
        with pytest.raises(ValueError):  # noqa: PT011  which one does not matter
            from_bytes(data)
    path.write_bytes(good[:-5])
    encoder = WordEncoder()
    with pytest.warns(CacheWarning, match=r"shop.evg.text is not used: it is damaged"):
        open_meanings(gallery, encoder, beside)
    assert len(encoder.encoded) == 20
    assert path.read_bytes() == good


def forged(header: bytes, numbers: bytes = b"") -> bytes:
    """A file with a good hash and a bad header."""
    import hashlib
    import struct

    data = b"EdgeVision text 1\n" + struct.pack("<I", len(header)) + header + numbers
    return data + hashlib.sha256(data).digest()


@pytest.mark.parametrize(
    "data",
    [
        forged(b"not json"),
        forged(b"[]"),
        forged(b'{"encoder": "e"}'),
        forged(b'{"encoder": "e", "dimension": -4, "texts": ["a"], "fitted_with": ""}'),
        forged(b'{"encoder": "e", "dimension": 4, "texts": ["a"], "fitted_with": ""}', bytes(12)),
        forged(b'{"encoder": "e", "dimension": 4, "texts": 5, "fitted_with": ""}'),
        forged(b'{"encoder": "e", "dimension": 1e99, "texts": ["a"], "fitted_with": ""}'),
        forged(b'{"encoder": "e", "dimension": 1e999, "texts": ["a"], "fitted_with": ""}'),
        forged(b"[" * 100_000),
        forged(b'{"encoder": "e", "dimension": 1, "texts": ["a"], "fitted_with": ""}', b"\xff\xff\xff\x7f"),
        forged(b'{"encoder": "e", "dimension": 1, "texts": [], "fitted_with": "", "projection": {"pictures": 9}}'),
        forged(b'{"encoder": "e", "dimension": 1, "texts": [], "fitted_with": "", "projection": 3}'),
    ],
    ids=range(12),
)
def test_a_forged_file_is_refused(data):
    with pytest.raises(ValueError):  # noqa: PT011
        from_bytes(data)


def test_a_forged_projection_of_other_vectors_is_not_used(beside, fits):
    gallery, _, _ = coloured_things()
    made = open_meanings(gallery, WordEncoder(), beside)
    path = beside.with_name("shop.evg.text")
    honest = from_bytes(path.read_bytes())
    narrow = coloured_things()[0]
    small = gallery_of(narrow.products, narrow.vectors[:, :7], narrow.product_of.tolist())
    other = open_meanings(small, WordEncoder()).projection
    path.write_bytes(to_bytes(Kept(honest.encoder, honest.dimension, honest.texts, honest.fitted_with, other)))
    again = open_meanings(gallery, WordEncoder(), beside)
    assert again.projection.ridge == made.projection.ridge
    assert len(again.projection.to_text.centre) == 32


def test_where_nothing_can_be_written_the_answer_is_the_same(tmp_path):
    gallery, _, _ = coloured_things()
    with pytest.warns(CacheWarning, match="is not kept"):
        made = open_meanings(gallery, WordEncoder(), tmp_path / "gone" / "shop.evg")
    assert made.projection is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_meanings(gallery, WordEncoder())  # nothing is to be kept
