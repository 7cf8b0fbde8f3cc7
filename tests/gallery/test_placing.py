"""Which product a list means: no photo and no field goes to a product of another name."""

from __future__ import annotations

import pytest

from edgevision.errors import InputError
from edgevision.gallery.listing import ListedProduct
from edgevision.gallery.placing import place_products
from edgevision.gallery.products import GalleryProduct

PEAR = GalleryProduct(5, "Pear", {"price": 1, "kind": "fruit", "organic": True, "note": None})
KNOWN = (PEAR, GalleryProduct(8, "Red_onion"), GalleryProduct(9, "Milk"), GalleryProduct(10, "Milk"))


@pytest.mark.parametrize(
    ("number", "name", "expected"),
    [(5, None, (5, "Pear", False)), (5, "Pear", (5, "Pear", False)), (None, "Pear", (5, "Pear", False)),
     (8, "Red onion", (8, "Red_onion", False)), (9, "Milk", (9, "Milk", False)), (0, "Plum", (0, "Plum", True)),
     (None, "Plum", (11, "Plum", True)), (None, "pear", (11, "pear", True))],
)  # fmt: skip
def test_which_product_is_meant(number, name, expected):
    (one,) = place_products([ListedProduct(number, name)], KNOWN)
    assert (one.product.id, one.product.name, one.is_new) == expected


@pytest.mark.parametrize(
    ("number", "name", "words"),
    [(5, "Plum", "photos/5 Plum: the product 5 is called 'Pear' in the gallery, and 'Plum' here"),
     (5, "pear", "is called 'Pear' in the gallery, and 'pear' here"), (None, "Milk", "2 products are called 'Milk'; say by its id which: 9, 10"),
     (6, None, "the gallery has no product 6; give a new one its name"), (-1, "Plum", "a whole number, 0 or more")],
)  # fmt: skip
def test_what_is_refused(number, name, words):
    with pytest.raises(InputError, match=words):
        place_products([ListedProduct(number, name, where="photos/5 Plum")], KNOWN)


@pytest.mark.parametrize(("number", "expected"), [(None, 43), (42, 42), (50, 50)])
def test_the_id_of_a_product_that_was_removed_is_given_only_by_name(number, expected):
    (one,) = place_products([ListedProduct(number, "Dragonfruit")], KNOWN, 42)
    assert (one.product.id, one.is_new) == (expected, True)


@pytest.mark.parametrize(
    ("fields", "new"),
    [({}, ()), ({"price": 1.0, "kind": "fruit"}, ()), ({"note": "sour", "price": None}, ("note",)),
     ({"season": "autumn", "price": 1}, ("season",)), ({"cafe\u0301": 2}, ("caf\u00e9",))],
)  # fmt: skip
def test_fields_of_a_known_product_are_added(fields, new):
    (one,) = place_products([ListedProduct(5, "Pear", fields)], KNOWN)
    assert one.new_fields == new
    added = {
        name: value for name, value in one.product.fields.items() if PEAR.fields.get(name) is None and value is not None
    }
    assert tuple(added) == new
    assert all(one.product.fields[name] == value for name, value in PEAR.fields.items() if value is not None)


@pytest.mark.parametrize("fields", [{"price": 2}, {"kind": "Fruit"}, {"organic": 1}, {"price": True}])
def test_fields_that_differ_are_refused(fields):
    with pytest.raises(
        InputError, match=r"of 'Pear' \(5\) is .* in the gallery, and .* here; change it with: edgevision gallery set"
    ):
        place_products([ListedProduct(5, None, fields)], KNOWN)
