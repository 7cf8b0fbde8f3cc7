from collections import Counter
from itertools import combinations

import cv2
import numpy as np
import pytest

from edgevision.demo.labels import front
from edgevision.demo.lettering import text_width
from edgevision.demo.motifs import MOTIFS
from edgevision.demo.products import LISTED, Shape, Style, unlisted
from edgevision.demo.scene import UNLISTED_DESIGNS
from edgevision.demo.unseen import COUNT, ENROLLED, FIRST_ID, unseen_photo, unseen_photos, unseen_products
from edgevision.demo.unseen_ranges import COLORS, RANGES
from edgevision.errors import InputError

PRODUCTS = unseen_products()


def small_front(product):
    """As a camera far away sees it."""
    return cv2.resize(front(product, 120, 160), (30, 40), interpolation=cv2.INTER_AREA).astype(float)


def test_there_are_200_and_none_of_them_was_seen():
    assert len(PRODUCTS) == COUNT == 200
    designs = [one.design for one in PRODUCTS]
    others = [*LISTED, *map(unlisted, range(UNLISTED_DESIGNS))]
    for of in (lambda p: p.id, lambda p: p.name, lambda p: p.number):
        assert len({of(p) for p in designs}) == COUNT
        assert not {of(p) for p in designs} & {of(p) for p in others}
    assert not {p.brand for p in designs} & {p.brand for p in others}
    assert [one.id for one in PRODUCTS] == list(range(FIRST_ID, FIRST_ID + COUNT))


def test_they_look_different_from_what_was_seen_and_from_each_other():
    """Mean difference of the fronts, in grey levels of 255. Only siblings within a brand may be more alike than the two most alike
    products of the catalogue."""
    unseen = np.stack([small_front(one.design) for one in PRODUCTS]).reshape(COUNT, -1)
    known = np.stack([small_front(p) for p in LISTED]).reshape(len(LISTED), -1)
    least_of_listed = min(np.abs(known[i] - known[j]).mean() for i, j in combinations(range(len(LISTED)), 2))
    assert min(np.abs(known - row).mean(axis=1).min() for row in unseen) > least_of_listed
    distance = {(i, j): np.abs(unseen[i] - unseen[j]).mean() for i, j in combinations(range(COUNT), 2)}
    siblings = {pair for pair in distance if PRODUCTS[pair[0]].design.brand == PRODUCTS[pair[1]].design.brand}
    assert min(distance[pair] for pair in siblings) > 8
    assert min(value for pair, value in distance.items() if pair not in siblings) > least_of_listed


def test_a_brand_has_four_flavours_told_apart_by_accent_and_word():
    brands = {}
    for one in PRODUCTS:
        brands.setdefault(one.design.brand, []).append(one)
    assert len(brands) == 50
    for family in brands.values():
        assert len(family) == len({one.accent_color for one in family}) == 4
        shared = {(p.design.shape, p.design.style, p.base_color, p.design.net, p.kind) for p in family}
        assert len(shared) == 1
        assert all(one.base_color != one.accent_color for one in family)


def test_all_ways_to_draw_are_used():
    assert {one.design.shape for one in PRODUCTS} == set(Shape)
    assert {one.design.style for one in PRODUCTS} == set(Style)
    assert {one.design.motif for one in PRODUCTS} <= set(MOTIFS)
    assert all(text_width(one.name, 10) > 0 for one in PRODUCTS)  # every letter can be drawn
    assert Counter(one.kind for one in PRODUCTS) == {goods.kind: 8 for goods in RANGES}


def test_colors_are_what_their_names_say():
    for one in PRODUCTS:
        for name, ink in ((one.base_color, one.design.base), (one.accent_color, one.design.accent),
                          (one.motif_color, one.design.motif_color)):  # fmt: skip
            assert bytes(ink[::-1]).hex() == COLORS[name]
        panel = front(one.design, 60, 80).reshape(-1, 3)
        for ink in (one.design.base, one.design.accent):
            assert (panel == ink).all(axis=1).any() or np.abs(panel.astype(int) - ink).sum(axis=1).min() < 60


@pytest.mark.parametrize("one", PRODUCTS[::37], ids=lambda one: one.name)
def test_what_a_shop_knows_of_it(one):
    listed = one.to_gallery()
    assert (listed.id, listed.name) == (one.id, one.name)
    assert listed.fields["price"] == one.price
    assert 0.1 < one.price < 20
    assert round(100 * one.price) % 10 == 9
    for word in (one.design.flavour, one.base_color, one.accent_color, listed.fields["packaging"]):
        assert str(word).lower() in one.description.lower()


def test_photos_are_the_same_for_the_same_numbers_and_otherwise_not():
    one, other = PRODUCTS[3], PRODUCTS[4]
    first, second = unseen_photos(one, range(2), side_px=48)
    assert first.shape == (48, 48, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, unseen_photo(one, 0, side_px=48))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, unseen_photo(other, 0, side_px=48))
    assert ENROLLED == 5


def test_views_are_numbered_from_0():
    with pytest.raises(InputError, match="from 0, got -1"):
        unseen_photo(PRODUCTS[0], -1)


@pytest.mark.slow
@pytest.mark.parametrize("one", PRODUCTS, ids=lambda one: one.design.id)
def test_every_one_can_be_rendered(one):
    photo = unseen_photo(one, 0, side_px=160)
    assert photo.std() > 10
