"""Fields of a product that its pictures tell: attributes that a model found, and colours. To filter by, and to explain with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from edgevision.gallery.colours.palette import Palette
from edgevision.gallery.products import FieldValue
from edgevision.tasks.attribute_results import Attributes

COLOUR, COLOURS = "colour", "colours"
LEAST_SHARE = 0.15  # of a product: less of a colour is print, and no reason to find it


def attribute_fields(pictures: Sequence[Attributes]) -> dict[str, FieldValue]:
    """One value for each attribute that is known of any of a product's pictures: the one that has most of their scores together.

    >>> photos = [Attributes((Attribute("packaging", value, score, True),), Timing(0, 0, 0))
    ...           for value, score in (("can", 0.6), ("carton", 0.5), ("carton", 0.5))]
    >>> attribute_fields(photos)
    {'packaging': 'carton'}
    """
    votes: dict[str, dict[str, float]] = {}
    for picture in pictures:
        for row in picture:
            if row.known:
                scores = votes.setdefault(row.name, {})
                scores[row.value] = scores.get(row.value, 0.0) + row.score
    return {name: max(sorted(scores), key=scores.__getitem__) for name, scores in votes.items()}


def colour_fields(palettes: Sequence[Palette]) -> dict[str, FieldValue]:
    """``colour``: the term of which there is most over all of a product's pictures; ``colours``: every term with 15 % or more, most
    first, between commas. Nothing of no picture.

    >>> red, white = Swatch((40.0, 60.0, 40.0), 0.7, "red"), Swatch((98.0, 0.0, 1.0), 0.3, "white")
    >>> colour_fields([Palette((red, white))])
    {'colour': 'red', 'colours': 'red, white'}
    """
    if not palettes:
        return {}
    totals: dict[str, float] = defaultdict(float)
    for palette in palettes:
        for name, share in palette.shares.items():
            totals[name] += share / len(palettes)
    ranked = sorted(totals, key=lambda name: (-totals[name], name))
    return {
        COLOUR: ranked[0],
        COLOURS: ", ".join(name for name in ranked if name == ranked[0] or totals[name] >= LEAST_SHARE),
    }


def in_words(fields: Mapping[str, FieldValue], wanted: Mapping[str, FieldValue]) -> str:
    """Why a product with these ``fields`` fits what was ``wanted``, or does not: for explanations.

    >>> in_words({"colour": "red", "packaging": "can"}, {"colour": "red", "packaging": "carton"})
    'colour is red; packaging is can, not carton'
    """
    parts = []
    for name, value in wanted.items():
        own = fields.get(name)
        if own is None:
            parts.append(f"{name} is not known")
        elif own == value:
            parts.append(f"{name} is {own}")
        else:
            parts.append(f"{name} is {own}, not {value}")
    return "; ".join(parts)
