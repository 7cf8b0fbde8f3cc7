"""Words of products and BM25, against formulas written out and SQLite's full-text index."""

from __future__ import annotations

import math
import random
import sqlite3

import numpy as np
import pytest

from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.text.bm25 import B, K1, NAME_WEIGHT, Bm25, WordMatch
from edgevision.gallery.text.fusion import K, fuse, ranks_of
from edgevision.gallery.text.wording import MAX_CHARACTERS, wording_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("Granny-Smith (Äpple)", ["granny", "smith", "apple"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("Cafe\u0301 café", ["cafe", "cafe"]),
        ("ｆｕｌｌ　ｗｉｄｔｈ", ["full", "width"]),
        ("苹果汁 500ml", ["苹果", "果汁", "500ml"]),
        ("がんばれ", ["がん", "んば", "ばれ"]),
        ("水", ["水"]),
        ("ชาดี", ["ชา", "าด", "ดี"]),
        ("मीठा सेब", ["मीठा", "सेब"]),  # vowels that are marks belong to their words
        ("Яблоко, ёлка", ["яблоко", "елка"]),
        ("사과 주스", ["사과", "주스"]),
        ("10% off_today!", ["10", "off", "today"]),
    ],
)
def test_words(text, words):
    assert words_of(text) == words


def test_wording_tells_names_and_texts_but_no_numbers():
    product = GalleryProduct(1, "Granny-Smith", {"price": 1.2, "kind": "apple", "organic": True, "about": "S" * 50, "empty": " "})
    assert wording_of(product) == "Granny Smith, apple. " + "S" * 50
    assert len(wording_of(GalleryProduct(1, "x", {"about": "long " * 1000}))) == MAX_CHARACTERS


SHOP = [
    GalleryProduct(1, "Green apple", {"about": "sour apple from Kent", "price": 1.0}),
    GalleryProduct(2, "Red apple", {"about": "sweet"}),
    GalleryProduct(3, "Pear", {"about": "sweet, not sour"}),
    GalleryProduct(4, "Äpplejuice", {}),
]


def formula(products: list[GalleryProduct], query: list[str]) -> list[float]:
    """BM25 as it is written, one product and one word after the other."""
    texts = [
        words_of(one.name) * NAME_WEIGHT + [word for value in one.fields.values() if isinstance(value, str) for word in words_of(value)]
        for one in products
    ]
    mean = sum(map(len, texts)) / len(texts)
    scores = []
    for text in texts:
        score = 0.0
        for word in query:
            having = sum(word in other for other in texts)
            idf = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
            count = text.count(word)
            score += idf * count * (K1 + 1) / (count + K1 * (1 - B + B * len(text) / mean))
        scores.append(score)
    return scores


@pytest.mark.parametrize("query", ["apple", "sour apple", "SOUR, sour; green", "kent pear", "nothing", ""])
def test_scores_are_the_formulas(query):
    expected = formula(SHOP, list(dict.fromkeys(words_of(query))))
    assert Bm25(SHOP).scores(query) == pytest.approx(expected, abs=1e-12)


def test_one_word_ranks_as_sqlites_full_text_index():
    """Its logarithm is another, and for one word the same factor for every product."""
    random_ = random.Random(3)
    vocabulary = [f"word{letter}" for letter in "abcdefghij"]
    names = [" ".join(random_.choices(vocabulary, k=random_.randint(1, 12))) for _ in range(40)]
    database = sqlite3.connect(":memory:")
    try:
        database.execute("create virtual table shop using fts5(name)")
    except sqlite3.OperationalError:
        pytest.skip("this SQLite has no fts5")
    database.executemany("insert into shop(rowid, name) values (?, ?)", enumerate(names, 1))
    index = Bm25([GalleryProduct(place, name) for place, name in enumerate(names, 1)])
    compared = 0
    for word in vocabulary:
        theirs = dict(database.execute("select rowid, -bm25(shop) from shop where shop match ?", (word,)))
        ours = {place: score for place, score in enumerate(index.scores(word), 1) if score > 0}
        assert ours.keys() == theirs.keys()
        # A name's word counts twice here: k1 of half the size in their formula.
        order = sorted(ours, key=lambda place: -ours[place])
        for better, worse in zip(order, order[1:], strict=False):
            count = [names[place - 1].split().count(word) for place in (better, worse)]
            length = [len(names[place - 1].split()) for place in (better, worse)]
            if count[0] == count[1] and length[0] != length[1]:
                assert theirs[better] > theirs[worse]
                compared += 1
    database.close()
    assert compared > 20


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("apples", {1, 2}),  # no product has it: those that begin alike
        ("äpplejuices", {4}),
        ("pearl", {3}),
        ("peer", set()),  # too little alike
        ("app", set()),  # too short to be alike
        ("applesauces", set()),  # too long
    ],
)
def test_words_that_begin_alike(query, best):
    scores = Bm25(SHOP).scores(query)
    assert {product.id for product, score in zip(SHOP, scores, strict=True) if score > 0} == best


def test_a_word_that_is_there_has_no_other_forms():
    shop = [GalleryProduct(1, "apple"), GalleryProduct(2, "apples")]
    assert (Bm25(shop).scores("apple") > 0).tolist() == [True, False]


def test_matches_say_where_words_stand():
    index = Bm25(SHOP)
    assert index.matches("sour apples", 0) == (
        WordMatch("apples", "apple", "name"),
        WordMatch("sour", "sour", "about"),
        WordMatch("apples", "apple", "about"),
    )
    assert index.matches("plum", 0) == ()


def test_nothing_to_search_in():
    assert Bm25([]).scores("apple").tolist() == []
    assert Bm25([GalleryProduct(1, "!!")]).scores("apple").tolist() == [0.0]


def test_ranks_and_fusion():
    assert ranks_of(np.array([0.5, 2.0, np.nan, 2.0, -1.0])).tolist() == [3, 1, np.inf, 1, 4]
    one, other = np.array([3.0, 2.0, 1.0]), np.array([np.nan, 5.0, 9.0])
    expected = [(K + 1) / (K + 1) * 0.75, ((K + 1) / (K + 2)), (K + 1) / (K + 3) * 0.75 + 0.25]
    expected[1] = 0.75 * (K + 1) / (K + 2) + 0.25 * (K + 1) / (K + 2)
    assert fuse([one, other], [3.0, 1.0]) == pytest.approx(expected)
    assert fuse([one, one]) == pytest.approx(fuse([one]))
    assert fuse([np.full(2, np.nan)]).tolist() == [0, 0]
