"""Searching a gallery by pictures, words and filters, where what is right follows from how the gallery was made."""

from __future__ import annotations

import numpy as np
import pytest
from texts import WordEncoder, coloured_things, gallery_of

from edgevision.errors import GalleryError, InputError
from edgevision.gallery.filters import read_filter
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.search import Searcher, best_of_each, search
from edgevision.gallery.text.kept import open_meanings

FRUIT = gallery_of(
    [
        GalleryProduct(10, "Granny Smith", {"kind": "apple", "price": 2.0}),
        GalleryProduct(11, "Royal Gala", {"kind": "apple", "price": 4.0}),
        GalleryProduct(12, "Conference", {"kind": "pear", "price": 1.0}),
        GalleryProduct(13, "Green apple soap", {"kind": "household", "price": 3.0}),  # no picture of it yet
    ],
    [[1, 0, 0], [0.8, 0.6, 0], [0, 1, 0], [0, 0, 1]],
    [10, 10, 11, 12],
    ["front.jpg", "back.jpg", "gala.jpg", ""],
)


def ids(result):
    return [one.product.id for one in result.top]


def whys(result, place=0):
    return {reason.by: reason.text for reason in result.top[place].why}


def test_a_picture_alone_is_answered_as_the_gallery_matches_it():
    vector = np.array([0.6, 0.8, 0], np.float32)
    found = search(FRUIT, picture=vector, top=3)
    (matches,) = FRUIT.match(vector, top=3)
    assert ids(found) == [one.product.id for one in matches.top]
    assert [one.match for one in found.top] == list(matches.top)
    assert found.known == matches.known
    assert whys(found) == {"picture": "like back.jpg: 0.90"}


def test_words_alone_need_no_encoder():
    found = search(FRUIT, text="apples")
    assert set(ids(found)) == {10, 11, 13}
    assert found.known is None
    assert all(one.match is None for one in found.top)
    assert [reason.by for reason in found.top[0].why] == ["words"]
    assert search(FRUIT, text="ananas").top == ()


def test_why_says_which_words_stand_where():
    assert whys(search(FRUIT, text="green apples"))["words"] == "green in name; apples (as apple) in name"


@pytest.mark.parametrize(
    ("where", "expected"),
    [("price < 3", [10, 12]), ("kind = apple", [10, 11]), ("not kind = apple", [12, 13]), ("price > 9", [])],
)
def test_a_filter_alone_lists_what_it_allows(where, expected):
    assert ids(search(FRUIT, where=read_filter(where))) == expected


def test_a_filter_holds_back_the_best():
    found = search(FRUIT, picture=np.array([0, 1, 0], np.float32), where=read_filter("price < 3"))
    assert ids(found) == [10, 12]
    assert whys(found)["filter"] == "price < 3 (it is 2.0)"
    words = search(FRUIT, text="apple", where=read_filter("price < 3 and kind = apple or price = 9"))
    assert ids(words) == [10]
    assert [reason.text for reason in words.top[0].why if reason.by == "filter"] == [
        "price < 3 (it is 2.0)",
        "kind = apple (it is apple)",
    ]


def test_a_product_without_pictures_is_found_by_words():
    (first, *_) = search(FRUIT, text="soap").top
    assert (first.product.id, first.example) == (13, None)
    assert first.to_dict()["example"] is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "nothing to search for"),
        ({"text": "  "}, "is empty"),
        ({"text": "a" * 2001}, "2001 characters long"),
        ({"text": "a", "top": 0}, "expected 1…1000 products"),
        ({"where": read_filter("prise < 3")}, "no product has the field 'prise'"),
        ({"picture": np.zeros(3, np.float32)}, "all zeros"),
        ({"picture": np.ones(4, np.float32)}, "expected vectors"),
    ],
)
def test_what_cannot_be_searched(given, words):
    with pytest.raises(InputError, match=words):
        search(FRUIT, **given)


def test_an_empty_gallery_finds_nothing():
    empty = gallery_of([], np.zeros((0, 3)), [])
    assert search(empty, text="apple", picture=np.ones(3, np.float32), where=read_filter("price < 3")).top == ()
    assert open_meanings(empty, WordEncoder()).projection is None


def test_words_that_no_product_has_are_understood():
    gallery, _, _ = coloured_things()
    meanings = open_meanings(gallery, WordEncoder())
    found = search(gallery, text="crimson fruit", meanings=meanings)
    assert found.top[0].product.name == "red apple"
    assert set(whys(found)) == {"meaning", "looks"}
    assert search(gallery, text="crimson fruit").top == ()


def test_words_find_pictures_of_products_whose_names_say_nothing():
    """The maps are learnt from a gallery with names; the same products without are found by how they look."""
    named, _, _ = coloured_things()
    meanings = open_meanings(named, WordEncoder())
    query = meanings.encoder.encode(["lime bottle"])[0]
    looks = best_of_each(meanings.of_pictures(query), named.product_of, 20)
    assert named.products[int(looks.argmax())].name == "green can"
    # Against the map applied to every picture, in full.
    projected = meanings.projection.to_text(named.vectors)
    assert meanings.of_pictures(query) == pytest.approx(projected @ query, abs=1e-4)


def test_a_picture_and_words_together():
    """Like this red apple, but a jar."""
    gallery, _, new = coloured_things()
    meanings = open_meanings(gallery, WordEncoder())
    picture = new[0].astype(np.float32)
    assert gallery.products[0].name == "red apple"
    found = search(gallery, picture=picture, text="red jar", meanings=meanings, top=3)
    assert "red jar" in [one.product.name for one in found.top[:2]]
    assert set(whys(found)) == {"picture", "words", "meaning", "looks"}


def test_describe_names_classes_that_were_never_shown():
    gallery, _, new = coloured_things()
    meanings = open_meanings(gallery, WordEncoder())
    texts = [one.name for one in gallery.products] + ["crimson bottle", "yellow sofa"]
    for place in (1, 7, 18):
        told = meanings.describe(new[place].astype(np.float32), texts, top=3)
        assert len(told) == 3
        assert gallery.products[place].name in [one.text for one in told[:2]]
        assert told[0].similarity >= told[1].similarity


def test_describe_needs_products_to_learn_from():
    with pytest.raises(GalleryError, match="needs 8 products with pictures"):
        open_meanings(FRUIT, WordEncoder()).describe(np.ones(3, np.float32), ["apple"])


def test_few_products_have_no_looks_and_are_found_all_the_same():
    found = Searcher(FRUIT, open_meanings(FRUIT, WordEncoder())).search(text="scarlet pear")
    assert found.top[0].product.id == 12
    assert set(whys(found)) == {"words", "meaning"}


def test_best_of_each():
    best = best_of_each(np.array([0.1, 0.5, -0.2]), np.array([0, 0, 2]), 3)
    assert best[[0, 2]].tolist() == [0.5, -0.2]
    assert np.isnan(best[1])


def test_the_answer_is_plain_json():
    import json

    gallery, _, new = coloured_things()
    found = search(
        gallery, picture=new[0].astype(np.float32), text="red", where=read_filter("price < 9"), meanings=None
    )
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["known"] in (True, False)
    assert {"product", "score", "example", "why", "similarity"} == set(told["top"][0])
