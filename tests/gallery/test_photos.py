"""Learning from photos: what is taken, what is left out; and a gallery made anew from its pictures."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from example_photos import DIMENSION, ColourEmbedder, photo, write_products

from edgevision.errors import GalleryError, ImageError
from edgevision.gallery.gallery import open_gallery
from edgevision.gallery.photos import check_embedder, choose_photos, embed_photos, vectors_of
from edgevision.gallery.pictures import find_pictures
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.reembed import reembed
from edgevision.gallery.view_choice import Verdict
from edgevision.gallery.writer import GalleryWriter


@pytest.fixture
def shop(tmp_path):
    """Ten products with three photos each: (gallery, its path, the photos' folder)."""
    folder = write_products(tmp_path / "photos", 10, 3)
    path = tmp_path / "shop.evg"
    embedder = ColourEmbedder()
    with GalleryWriter(path, bundle_id=embedder.id, dimension=DIMENSION) as writer:
        for number in range(10):
            photos = list(embed_photos(embedder, sorted((folder / f"product {number}").iterdir())))
            writer.add_product(GalleryProduct(number, f"product {number}", {"price": 1.5}))
            sources, notes = [one.source for one in photos], [one.path.name for one in photos]
            writer.add_examples(number, vectors_of(photos, DIMENSION), sources, notes)
    return open_gallery(path), path, folder


def chosen(paths, gallery=None, product_id=99, **options):
    return choose_photos(list(embed_photos(ColourEmbedder(), paths)), gallery, product_id, **options)


def test_a_photo_is_known_by_its_bytes(shop):
    gallery, _, folder = shop
    paths = sorted(folder.rglob("*.png"))
    assert len(gallery.examples) == len(paths) == 30
    expected = {hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    assert {example.source for example in gallery.examples} == expected


def test_many_batches_keep_their_order(tmp_path):
    folder = write_products(tmp_path, 1, 40)
    paths = sorted(folder.rglob("*.png"))
    told = []
    embedded = list(embed_photos(ColourEmbedder(), paths, told.append))
    assert [one.path for one in embedded] == paths
    assert told == [16, 32, 40]
    for one in embedded:
        (alone,) = embed_photos(ColourEmbedder(), [one.path])
        assert alone.vector.tolist() == one.vector.tolist()


def test_what_is_left_out(shop, tmp_path):
    gallery, _, folder = shop
    fresh = write_products(tmp_path / "new", 1, 2, first=50)
    first, second = sorted(fresh.rglob("*.png"))
    twice = tmp_path / "twice.png"
    twice.write_bytes(photo(50, 0, comment=b"saved again"))
    blurred = tmp_path / "blurred.png"
    blurred.write_bytes(photo(50, 7, blurred=True))
    same = folder / "product 3" / "0.png"
    other = tmp_path / "other.png"
    other.write_bytes(photo(3, 9))
    paths = [first, second, twice, blurred, same, other]
    verdicts = [Verdict.TAKEN, Verdict.TAKEN, Verdict.NOTHING_NEW, Verdict.BLURRED, Verdict.ANOTHERS_EXAMPLE, Verdict.ANOTHER_PRODUCT]  # fmt: skip
    told = chosen(paths, gallery)
    assert [one.verdict for one in told.outcomes] == verdicts
    assert [one.like for one in told.outcomes[4:]] == [gallery.find(3)] * 2
    assert [one.path for one in told.taken] == [first, second]
    anyway = chosen(paths, gallery, anyway=True)
    assert [one.path for one in anyway.taken] == [first, second, blurred, same, other]
    own = chosen([same], gallery, 3)
    assert [one.verdict for one in own.outcomes] == [Verdict.NOTHING_NEW]


def test_a_gallery_of_few_examples_refuses_no_look_alikes(tmp_path):
    folder = write_products(tmp_path / "photos", 1, 3)
    embedder, path = ColourEmbedder(), tmp_path / "young.evg"
    photos = list(embed_photos(embedder, sorted(folder.rglob("*.png"))))
    with GalleryWriter(path, bundle_id=embedder.id, dimension=DIMENSION) as writer:
        writer.add_product(GalleryProduct(1, "first"))
        writer.add_examples(1, vectors_of(photos, DIMENSION), [one.source for one in photos])
    gallery = open_gallery(path)
    near = tmp_path / "near.png"
    near.write_bytes(photo(0, 9))
    (answer,) = gallery.match(next(embed_photos(embedder, [near])).vector)
    assert (answer.known, gallery.rejection.basis) == (
        True,
        "nothing",
    )  # it would be refused, by a line that nothing was fitted on
    told = chosen([near, photos[0].path], gallery, 2)
    assert [one.verdict for one in told.outcomes] == [Verdict.TAKEN, Verdict.ANOTHERS_EXAMPLE]


def test_photos_that_cannot_be_read_are_told_and_left_out(tmp_path):
    good = tmp_path / "good.png"
    good.write_bytes(photo(1, 1))
    pipe, bad = tmp_path / "pipe.png", tmp_path / "bad.png"
    os.mkfifo(pipe)
    bad.write_bytes(b"no picture")
    told, done = [], []
    paths = [bad] * 16 + [pipe, good]  # a whole batch is bad
    embedded = embed_photos(ColourEmbedder(), paths, done.append, lambda path, error: told.append((path, str(error))))
    assert [one.path for one in embedded] == [good]
    assert [path for path, _ in told] == paths[:-1]
    assert "pipe.png: it is not a regular file" in told[-1][1]
    assert done == [16, 18]


def test_a_pipe_is_no_picture_of_a_gallery(shop, tmp_path):
    gallery, _, folder = shop
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    assert find_pictures(gallery.examples, [pipe, *folder.rglob("*.png")]).missing == ()


@pytest.mark.parametrize("content", [b"", b"no picture", photo(1, 1)[:200]])
def test_a_photo_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"bad\.png"):
        list(embed_photos(ColourEmbedder(), [path]))


def test_no_photo(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png"):
        list(embed_photos(ColourEmbedder(), [tmp_path / "gone.png"]))


def test_a_model_that_does_not_embed():
    embedder = ColourEmbedder()
    check_embedder(embedder)
    embedder.task.spec.kind = "classify"
    with pytest.raises(GalleryError, match="--task embed"):
        check_embedder(embedder)


def test_a_gallery_made_anew_has_the_other_bundles_vectors(shop, tmp_path):
    gallery, _, folder = shop
    other = ColourEmbedder(bundle_id="ee" * 32, bins=4)
    target = tmp_path / "new.evg"
    renamed = folder.rename(tmp_path / "moved")  # found by their hashes, wherever they are
    found = find_pictures(gallery.examples, renamed.rglob("*"))
    assert found.missing == ()
    assert reembed(gallery, found, other, target) == 30
    made = open_gallery(target, bundle_id=other.id)
    assert (made.products, made.examples) == (gallery.products, gallery.examples)
    for example, vector in zip(made.examples, made.vectors, strict=True):
        (expected,) = embed_photos(other, [found.paths[example.source]])
        assert vector == pytest.approx(expected.vector, abs=1e-6)
    with pytest.raises(GalleryError, match="is there already"):
        reembed(gallery, found, other, target)


def test_pictures_that_are_missing(shop, tmp_path):
    gallery, _, folder = shop
    gone = folder / "product 3" / "1.png"
    source = hashlib.sha256(gone.read_bytes()).hexdigest()
    gone.unlink()
    found = find_pictures(gallery.examples, [*folder.rglob("*.png"), Path("/nonexistent")])
    assert [(one.product, one.source, one.note) for one in found.missing] == [(3, source, "1.png")]
    gallery.last_id = 42  # of a product that was removed
    assert reembed(gallery, found, ColourEmbedder("ee" * 32), tmp_path / "new.evg") == 29
    assert open_gallery(tmp_path / "new.evg").last_id == 42
    assert len(open_gallery(tmp_path / "new.evg").examples_of(3)) == 2


def test_nothing_is_made_of_nothing(shop, tmp_path):
    gallery, *_ = shop
    with pytest.raises(GalleryError, match="none of the gallery's pictures"):
        reembed(gallery, find_pictures(gallery.examples, []), ColourEmbedder("ee" * 32), tmp_path / "new.evg")
    assert not (tmp_path / "new.evg").exists()
