"""Fields of a product from its pictures: what several of them say together."""

from __future__ import annotations

import pytest

from edgevision.gallery.colours.palette import Palette, Swatch
from edgevision.gallery.picture_fields import attribute_fields, colour_fields, in_words
from edgevision.gallery.products import GalleryProduct
from edgevision.tasks.attribute_results import Attribute, Attributes
from edgevision.tasks.results import Timing


def found(*rows):
    return Attributes(tuple(Attribute(*row) for row in rows), Timing(0, 0, 0))


@pytest.mark.parametrize(
    ("pictures", "fields"),
    [
        ([], {}),
        ([found(("kind", "apple", 0.9, True), ("ripe", "no", 0.4, False))], {"kind": "apple"}),
        # Two that are less sure outweigh one; what is not known has no say.
        (
            [found(("kind", "apple", 0.9, True)), found(("kind", "pear", 0.5, True)), found(("kind", "pear", 0.5, True)),
             found(("kind", "plum", 0.99, False))],
            {"kind": "pear"},
        ),
        ([found(("kind", "b", 0.5, True)), found(("kind", "a", 0.5, True))], {"kind": "a"}),
    ],
)  # fmt: skip
def test_pictures_vote_with_their_scores(pictures, fields):
    assert attribute_fields(pictures) == fields


def palette(**shares):
    return Palette(tuple(Swatch((50.0, 0.0, 0.0), share, name) for name, share in shares.items()))


@pytest.mark.parametrize(
    ("palettes", "fields"),
    [
        ([], {}),
        ([palette(red=1.0)], {"colour": "red", "colours": "red"}),
        (
            [palette(red=0.6, white=0.4), palette(white=0.7, red=0.2, black=0.1)],
            {"colour": "white", "colours": "white, red"},
        ),
        ([palette(blue=0.13, red=0.12, grey=0.12, pink=0.12, white=0.12)], {"colour": "blue", "colours": "blue"}),
    ],
)
def test_colours_over_all_pictures(palettes, fields):
    assert colour_fields(palettes) == fields


def test_they_are_fields_of_a_product_to_filter_and_explain_by():
    fields = {**colour_fields([palette(red=1.0)]), **attribute_fields([found(("packaging", "can", 0.9, True))])}
    product = GalleryProduct(7, "Cola", fields)
    assert product.fields["colour"] == "red"
    wanted = {"colour": "red", "packaging": "carton", "size": "l"}
    assert in_words(product.fields, wanted) == "colour is red; packaging is can, not carton; size is not known"
