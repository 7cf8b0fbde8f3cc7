"""The filter language: what it means, and what it refuses, naming the place."""

from __future__ import annotations

import contextlib
import random

import pytest

from edgevision.errors import InputError
from edgevision.gallery.filters import MAX_DEPTH, MAX_LENGTH, read_filter
from edgevision.gallery.products import GalleryProduct

APPLE = GalleryProduct(1, "Royal Gala", {"price": 2.5, "kind": "Apple", "organic": True, "code": "0711", "from where": "Kent"})
MILK = GalleryProduct(2, "Milk 1,5 l", {"price": 1.0, "kind": "dairy", "organic": False, "note": "it's \"fresh\""})
SAKE = GalleryProduct(3, "日本酒", {"kind": "Café", "price": None})
SHOP = (APPLE, MILK, SAKE)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("price < 3", {1, 2}),
        ("price<=1", {2}),
        ("price > 1", {1}),
        ("price >= 1", {1, 2}),
        ("price = 2.5", {1}),
        ("price == 2.50", {1}),
        ("price != 1", {1, 3}),
        ("price = none", {3}),
        ("price != NONE", {1, 2}),
        ("price > -1e2", {1, 2}),
        ("kind = apple", {1}),
        ("kind = 'APPLE'", {1}),
        ("kind = Cafe\u0301", {3}),  # two code points for é
        ("name = 日本酒", {3}),
        ("name ~ 本", {3}),
        ('name ~ "gala"', {1}),
        ("price ~ 2", set()),
        ("code = 0711", {1}),  # a text, though it looks like a number
        ("code = 711", set()),
        ("id = 2", {2}),
        ("id in (1, 3)", {1, 3}),
        ("id not in (1, 3)", {2}),
        ("kind in (apple, 'dairy')", {1, 2}),
        ("organic = true", {1}),
        ("organic = FALSE", {2}),
        ("organic = none", {3}),
        ("organic = 1", set()),  # true is no number
        ("price = true", set()),
        ('"from where" = kent', {1}),
        (r'note ~ "\"fresh\""', {2}),
        (r"note ~ 'it\'s'", {2}),
        ("not price < 3", {3}),
        ("not (price < 2 or kind = apple)", {3}),
        ("not not id = 1", {1}),
        ("id = 1 or id = 2 and price > 5", {1}),  # 'and' binds closer
        ("(id = 1 or id = 2) and price > 5", set()),
        ("NOT id = 1 AND price < 3", {2}),
        ("kind='apple'and(price<3)", {1}),
        ("'and' = none", {1, 2, 3}),  # in quotes it is a field
        ("kind = 'or'", set()),
    ],
)
def test_meaning(text, ids):
    assert {product.id for product in SHOP if read_filter(text)(product)} == ids


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", 1, "expected the name of a field, got the end"),
        ("price <", 8, "expected a value"),
        ("price < cheap", 9, "< compares numbers, got 'cheap'"),
        ("price < '3'", 9, "< compares numbers"),
        ("price 3", 7, "expected one of = != < <= > >= ~ in after 'price', got '3'"),
        ("price < 3 kind = a", 11, "'kind' follows a value; quote"),
        ("kind = red apple", 12, "'red …'"),
        ("price < 3 and", 14, "the name of a field, got the end"),
        ("and price < 3", 1, "got 'and'"),
        ("(price < 3", 11, "expected ')', got the end"),
        ("price < 3)", 10, "expected 'and', 'or' or the end, got ')'"),
        ("kind in apple", 9, "expected '('"),
        ("kind in ()", 10, "expected a value"),
        ("kind in (a b)", 12, "follows a value"),
        ("kind not = a", 10, "expected 'in' after 'not'"),
        ("kind = 'apple", 8, "a quote that does not end"),
        ("kind ! apple", 6, "cannot be read: '!'"),
        ("price < 3 & kind = a", 11, "follows a value"),
        ("kind = and", 8, "expected a value"),
        ("__import__('os')", 11, "expected one of"),
        ("not " * (MAX_DEPTH + 1) + "id = 1", 4 * MAX_DEPTH + 1, "more than 50"),
        ("(" * 3000, MAX_DEPTH + 1, "more than 50"),
    ],
)
def test_refused_with_the_place(text, place, words):
    with pytest.raises(InputError) as caught:
        read_filter(text)
    assert f"character {place}:" in str(caught.value)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_filter_that_is_too_long_is_refused():
    with pytest.raises(InputError, match="10016 characters long, expected at most 10000"):
        read_filter("id = 1 or id = 2" + " " * MAX_LENGTH)


@pytest.mark.parametrize(
    ("text", "words"),
    [("prise < 3", "no product has the field 'prise'; there are: code, from where, id, kind, name, note"),
     ("id = 1 and kind < 3", "at character 12: 'kind' is a number of no product")],
)  # fmt: skip
def test_a_filter_is_checked_against_the_products(text, words):
    with pytest.raises(InputError, match=words):
        read_filter(text).check(SHOP)
    read_filter(text).check(())  # an empty gallery has no fields to miss


def test_random_filters_mean_what_python_makes_of_them():
    """Expressions made at random, with the same one in Python as the truth; and no text does more than InputError."""
    random_ = random.Random(5)

    def make(depth: int) -> tuple[str, str]:
        kind = random_.choice(["<", "=", "in"] if depth == 0 else ["not", "and", "or", "<", "("])
        if kind == "<":
            limit = random_.randint(0, 4)
            return f"price < {limit}", f"(p is not None and p < {limit})"
        if kind == "=":
            return "kind = apple", "(k == 'Apple')"
        if kind == "in":
            return "id in (1, 2)", "(i in (1, 2))"
        one, truth = make(depth - 1)
        if kind in ("not", "("):
            return (f"not ({one})", f"(not {truth})") if kind == "not" else (f"({one})", truth)
        other, other_truth = make(depth - 1)
        return f"({one}) {kind} ({other})", f"({truth} {kind} {other_truth})"

    for _ in range(300):
        text, truth = make(random_.randint(0, 4))
        for product in SHOP:
            names = {"p": product.fields["price"], "k": product.fields["kind"], "i": product.id}
            assert read_filter(text)(product) == eval(truth, {}, names), text
    pieces = ["(", ")", "not", "and", "or", "in", "=", "<", "'", '"', "\\", "price", "3", ",", "~", "!", "\0", "é", " "]
    for _ in range(2000):
        text = "".join(random_.choices(pieces, k=random_.randint(1, 12)))
        with contextlib.suppress(InputError):
            read_filter(text)(APPLE)
