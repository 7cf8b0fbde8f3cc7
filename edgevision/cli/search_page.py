"""The page of ``edgevision search --html``: what was asked, and each product with its picture and the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.errors import ImageError

if TYPE_CHECKING:
    from edgevision.gallery.found import Found, SearchResult


def search_page(result: SearchResult, asked: Mapping[str, str], pictures: Mapping[str, Path]) -> str:
    """One HTML file with everything in it. ``asked``: what was asked for, by kind; a ``photo`` is shown. ``pictures``: files of the
    examples' pictures, by their source."""
    from edgevision.evaluate.page.html import Figure, Section, Side, Table, Text, html_page

    question = [Text(f"{name}: {value}") for name, value in asked.items()]
    photo = _drawn(Path(asked["photo"])) if "photo" in asked else None
    shown = [Figure(photo, "The photo that was asked for")] if photo else []
    figures = []
    for one in result.top:
        drawn = (
            None if one.example is None or one.example.source not in pictures else _drawn(pictures[one.example.source])
        )
        if drawn is not None:
            figures.append(
                Figure(drawn, f"{one.product.name} ({one.score:.3f})", "; ".join(why.text for why in one.why))
            )
    rows = tuple((one.product.id, one.product.name, one.score, *_told(one)) for one in result.top)
    verdict = (
        [Text("The gallery does not know this product; these are the closest.", "warning")]
        if result.known is False
        else []
    )
    found = Table(("id", "product", "score", "fields", "why"), rows, digits=3) if rows else Text("Nothing was found.")
    return html_page(
        "Search",
        [
            Section("Asked", (*question, *shown)),
            Section("Found", (*verdict, *((Side(tuple(figures)),) if figures else ()), found)),
        ],
    )


def _told(one: Found) -> tuple[str, str]:
    fields = ", ".join(f"{name}: {value}" for name, value in one.product.fields.items() if value is not None)
    return fields, "; ".join(reason.text for reason in one.why)


def _drawn(path: Path) -> str | None:
    """The picture as one ``<svg>``; None where it cannot be read any more."""
    from edgevision.decode import read_image
    from edgevision.evaluate.page.photo_boxes import photo_with_boxes

    try:
        return photo_with_boxes(read_image(path), ())
    except ImageError:
        return None
