"""What an opened gallery says of vectors, against a plain search in float64."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from galleries import BUNDLE, DIMENSION, OTHER_BUNDLE, around, directions, held, make_gallery, source

from edgevision.errors import GalleryError, InputError
from edgevision.gallery.gallery import open_gallery
from edgevision.gallery.index import making
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.writer import GalleryWriter


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shop.evg"


def plain_search(gallery, query, top, where=lambda product: True):
    """[(product's id, similarity, source of the example)], best first."""
    unit = query / np.linalg.norm(query)
    best = {}
    vectors = held(gallery.vectors, [example.product for example in gallery.examples])
    for example, vector in zip(gallery.examples, vectors, strict=True):
        similarity = float(vector @ unit)
        if where(gallery.find(example.product)) and similarity > best.get(example.product, (-2.0, ""))[0]:
            best[example.product] = (similarity, example.source)
    ranked = sorted(best.items(), key=lambda one: -one[1][0])[:top]
    return [(product, *one) for product, one in ranked]


@pytest.mark.parametrize("top", [1, 3, 50])
@pytest.mark.parametrize("cheap", [False, True])
@pytest.mark.parametrize("each", [1, 40])  # 40: one product alone has more examples than are looked at first
def test_matches_are_those_of_a_plain_search(path, top, cheap, each):
    make_gallery(path, 12, each, spread=0.2)
    gallery = open_gallery(path)
    where = (lambda product: product.fields["price"] < 6) if cheap else None
    queries = np.random.default_rng(3).normal(size=(20, DIMENSION))
    answers = gallery.match(queries, top=top, where=where)
    assert len(answers) == 20
    for query, answer in zip(queries, answers, strict=True):
        expected = plain_search(gallery, query, top, where or (lambda product: True))
        assert [(one.product.id, one.example.source) for one in answer.top] == [(one[0], one[2]) for one in expected]
        np.testing.assert_allclose([one.similarity for one in answer.top], [one[1] for one in expected], atol=1e-6)
        assert all(0 <= one.score <= 1 for one in answer.top)


def test_known_and_unknown(path):
    centres = make_gallery(path, 40, 5, dimension=64, spread=0.6)
    gallery = open_gallery(path)
    known, of = around(centres, 10, 0.6, seed=9)
    answers = gallery.match(known)
    assert np.mean([one.best.product.id == truth for one, truth in zip(answers, of, strict=True)]) > 0.99
    assert np.mean([one.known for one in answers]) > 0.9
    unknown, _ = around(directions(40, 64, seed=77), 10, 0.6, seed=10)
    assert np.mean([one.known for one in gallery.match(unknown)]) < 0.02


def test_an_empty_gallery_knows_nothing(path):
    with GalleryWriter(path, bundle_id=BUNDLE, dimension=DIMENSION) as writer:
        writer.add_product(GalleryProduct(1, "without examples"))
    (answer,) = open_gallery(path).match(np.ones(DIMENSION))
    assert (answer.top, answer.known, answer.best) == ((), False, None)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("each", [1, 3])
def test_the_smallest_galleries(path, count, each):
    centres = make_gallery(path, count, each, spread=0.3)
    gallery = open_gallery(path)
    assert [one.known for one in gallery.match(centres)] == [True] * count
    assert [one.known for one in gallery.match(-centres)] == [False] * count


def test_nothing_is_allowed(path):
    make_gallery(path)
    (answer,) = open_gallery(path).match(np.ones(DIMENSION), where=lambda product: False)
    assert (answer.top, answer.known) == ((), False)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.full(DIMENSION, np.nan), "not finite"),
        (np.zeros((2, DIMENSION)), "all zeros"),
        (np.ones(DIMENSION + 1), "come of one bundle"),
        (np.ones((1, 1, DIMENSION)), "expected vectors"),
        ("apple", "expected vectors"),
    ],
)
def test_queries_that_are_none(path, vectors, message):
    make_gallery(path)
    with pytest.raises(InputError, match=message):
        open_gallery(path).match(vectors)


def test_no_queries(path):
    make_gallery(path)
    assert open_gallery(path).match(np.empty((0, DIMENSION))) == []


def test_another_bundle_is_refused_with_the_cure(path):
    make_gallery(path)
    with pytest.raises(GalleryError, match=r"made for the bundle abab.*reembed"):
        open_gallery(path, bundle_id=OTHER_BUNDLE)


def test_find(path):
    make_gallery(path)
    gallery = open_gallery(path)
    assert gallery.find(2).name == "product 2"
    assert [one.source for one in gallery.examples_of(2)] == [source(place) for place in (6, 7, 8)]
    with pytest.raises(GalleryError, match="no product 9"):
        gallery.find(9)


def test_a_large_gallery_keeps_its_index_beside_it(path, monkeypatch):
    """Large: over 300 here. The second one that is opened finds the lists, and no clusters are looked for."""
    monkeypatch.setattr("edgevision.gallery.gallery.make_index", partial(making.make_index, exact_up_to=300))
    make_gallery(path, 60, 10, spread=0.2)
    queries = directions(20, seed=5)
    first = open_gallery(path).match(queries)
    assert Path(f"{path}.lists").is_file()
    monkeypatch.setattr(making, "find_clusters", None)
    assert open_gallery(path).match(queries) == first


def test_what_is_less_alike_is_no_likelier(path):
    """Products whose examples are alike in unlike degrees: the chances fall with the rank all the same."""
    random = np.random.default_rng(4)
    centres = directions(30, seed=2)
    with GalleryWriter(path, bundle_id=BUNDLE, dimension=DIMENSION) as writer:
        for number, centre in enumerate(centres):
            writer.add_product(GalleryProduct(number, f"product {number}"))
            views = centre + (0.05 if number % 2 else 0.3) * random.normal(size=(5, DIMENSION))
            writer.add_examples(number, views, [source(number, view) for view in range(5)])
    for answer in open_gallery(path).match(random.normal(size=(50, DIMENSION)), top=8):
        chances = [one.score for one in answer.top]
        assert chances == sorted(chances, reverse=True)
        assert [one.similarity for one in answer.top] == sorted((one.similarity for one in answer.top), reverse=True)
