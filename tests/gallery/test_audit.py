"""The audit on galleries with one thing wrong each, and on one with none; explanations."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
from galleries import BUNDLE, around, directions, held, source

from edgevision.cli.main import parser
from edgevision.gallery.audit import Kind, audit
from edgevision.gallery.examples import Example
from edgevision.gallery.explanation import Explanation, explain
from edgevision.gallery.gallery import open_gallery
from edgevision.gallery.matches import Match
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.writer import GalleryWriter

DIMENSION = 32
PRODUCTS, EACH = 12, 5


def nothing(vectors, of, names, sources):
    pass


def made(path, change=nothing):
    """A gallery of 12 products with 5 examples each, after ``change`` of its vectors, their products and the names."""
    centres = directions(PRODUCTS, DIMENSION)
    vectors, of = around(centres, EACH, 0.5)
    names = [f"product {number}" for number in range(PRODUCTS)]
    sources = [source(place) for place in range(len(vectors))]
    change(vectors, of, names, sources)
    with GalleryWriter(path, bundle_id=BUNDLE, dimension=DIMENSION) as writer:
        for number, name in enumerate(names):
            writer.add_product(GalleryProduct(number, name))
        for place, number in enumerate(of.tolist()):
            writer.add_examples(number, vectors[place], [sources[place]], [f"{place}.jpg"])
    return open_gallery(path)


def found(gallery):
    return {
        (one.kind, tuple(p.id for p in one.products), tuple(e.note for e in one.examples)) for one in audit(gallery)
    }


def under_the_wrong_product(vectors, of, names, sources):
    of[7] = 9  # an example of product 1


def looks_like_another(vectors, of, names, sources):
    random = np.random.default_rng(5)
    vectors[of == 4] = vectors[of == 2].mean(axis=0) + 0.06 * random.normal(size=(EACH, DIMENSION))
    vectors[of == 2] = vectors[of == 2].mean(axis=0) + 0.06 * random.normal(size=(EACH, DIMENSION))


def like_nothing(vectors, of, names, sources):
    vectors[13] = -vectors[of == 2].mean(axis=0) + 0.3 * vectors[13]


def nearly_the_same(vectors, of, names, sources):
    random = np.random.default_rng(6)
    for place in (16, 18):
        vectors[place] = vectors[15] + 0.005 * random.normal(size=DIMENSION)


def one_picture_twice(vectors, of, names, sources):
    sources[30] = sources[0]


def few(vectors, of, names, sources):
    of[of == 5] = 6
    of[of == 7] = 8
    of[np.flatnonzero(of == 8)[-1]] = 7


def same_name(vectors, of, names, sources):
    names[3] = names[8].upper()


WRONG = {
    "nothing": (nothing, set()),
    "wrong product": (under_the_wrong_product, {(Kind.WRONG_PRODUCT, (9, 1), ("7.jpg",))}),
    "alike": (looks_like_another, {(Kind.ALIKE, (2, 4), ())}),
    "outlier": (like_nothing, {(Kind.OUTLIER, (2,), ("13.jpg",))}),
    "near duplicates": (nearly_the_same, {(Kind.NEAR_DUPLICATE, (3,), ("16.jpg", "18.jpg"))}),
    "same picture": (one_picture_twice, {(Kind.SAME_PICTURE, (0, 6), ("0.jpg", "30.jpg"))}),
    "same name": (same_name, {(Kind.SAME_NAME, (3, 8), ())}),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found_and_nothing_else(tmp_path, name):
    change, expected = WRONG[name]
    assert found(made(tmp_path / "shop.evg", change)) == expected


def test_products_with_few_examples(tmp_path):
    kinds = found(made(tmp_path / "shop.evg", few))
    assert (Kind.NO_EXAMPLES, (5,), ()) in kinds
    assert (Kind.FEW_EXAMPLES, (7,), ()) in kinds


def test_an_empty_gallery(tmp_path):
    with GalleryWriter(tmp_path / "shop.evg", bundle_id=BUNDLE, dimension=DIMENSION) as writer:
        writer.add_product(GalleryProduct(1, "a"))
    assert found(open_gallery(tmp_path / "shop.evg")) == {(Kind.NO_EXAMPLES, (1,), ())}


@pytest.mark.parametrize("name", [name for name in WRONG if WRONG[name][1]])
def test_suggestions_are_commands_that_parse(tmp_path, name):
    path = tmp_path / "my shop.evg"
    for one in audit(made(path, WRONG[name][0]), str(path)):
        commands = [part for part in one.suggestion.split(": ") if part.startswith("edgevision ")]
        for command in commands:
            words = shlex.split(command.partition(";")[0])
            assert parser("gallery").parse_args(words[1:]).gallery == path
        assert commands or one.kind is Kind.FEW_EXAMPLES


def test_the_worst_comes_first(tmp_path):
    def all_of_it(*arguments):
        under_the_wrong_product(*arguments)
        nearly_the_same(*arguments)
        same_name(*arguments)

    kinds = [one.kind for one in audit(made(tmp_path / "shop.evg", all_of_it))]
    assert kinds == [Kind.WRONG_PRODUCT, Kind.NEAR_DUPLICATE, Kind.SAME_NAME]


# ---- explanations ----


def test_an_explanation_names_the_example_and_the_second_product(tmp_path):
    gallery = made(tmp_path / "shop.evg")
    (answer,) = gallery.match(gallery.vectors[23], top=5)
    one = explain(gallery, answer)
    similarity = held(gallery.vectors, gallery.product_of) @ gallery.vectors[23]
    second = similarity[gallery.product_of != 4].max()
    assert (one.known, one.best.product.id, one.best.example.note) == (True, 4, "23.jpg")
    assert one.gap == pytest.approx(similarity[23] - second, abs=1e-5)
    first, like, after = one.sentences
    assert first.startswith(("It is product 4: score", "Most likely it is product 4: score"))
    assert f"23.jpg (cosine {similarity[23]:.3f})" in like
    assert one.second.product.name in after
    assert f"{one.gap:.3f} further" in after


def test_an_explanation_of_what_is_unknown(tmp_path):
    gallery = made(tmp_path / "shop.evg")
    (answer,) = gallery.match(-gallery.vectors.mean(axis=0))
    one = explain(gallery, answer)
    assert not one.known
    assert one.sentences[0].startswith("We do not know this product; the nearest is product")
    assert one.best.score < one.threshold


@pytest.mark.parametrize(
    ("score", "known", "words"),
    [
        (0.97, True, "It is Gala: score 97%, from 30% it is known."),
        (0.90, True, "It is Gala: "),
        (0.89, True, "Most likely it is Gala: "),
        (0.50, True, "Most likely it is Gala: "),
        (0.49, True, "Perhaps it is Gala: score 49%, from 30% it is known."),
        (0.20, False, "We do not know this product; the nearest is Gala: score 20%, from 30% it is known."),
    ],
)
def test_the_words_are_no_surer_than_the_chance(score, known, words):
    best = Match(GalleryProduct(1, "Gala"), 0.8, score, Example(1, source(1), "2026-01-02T03:04:05Z", ""))
    assert Explanation(known, best, None, None, 0.3).sentences[0].startswith(words)


def test_explanations_of_little(tmp_path):
    path = tmp_path / "shop.evg"
    with GalleryWriter(path, bundle_id=BUNDLE, dimension=2) as writer:
        writer.add_product(GalleryProduct(1, "a"))
        writer.add_examples(1, [1, 0], [source(1)])
    gallery = open_gallery(path)
    one = explain(gallery, gallery.match([1, 0])[0])
    assert (one.second, one.gap) == (None, None)
    assert one.sentences[2] == "There is no other product to compare with."
    assert explain(gallery, gallery.match([1, 0], where=lambda product: False)[0]) is None
