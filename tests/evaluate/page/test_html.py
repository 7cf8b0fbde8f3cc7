from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import pytest

from edgevision.errors import InputError
from edgevision.evaluate.page.html import Fact, Facts, Figure, Rich, Section, Side, Table, Text, html_page

SVG = '<svg viewBox="0 0 1 1"><path d="M 0 0"/></svg>'
VOID = {"meta", "path"}


class Reader(HTMLParser):
    """Tags that are open, texts and attributes that were seen; fails where tags do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def page_of(*blocks, title="Report") -> str:
    return html_page(title, [Section("Part", blocks)])


def test_a_whole_page_is_well_formed_and_needs_nothing_else():
    page = html_page(
        "Grocery",
        [
            Section(
                "Verdict", (Text("Passed.", "good"), Facts((Fact("Top-1", "90.9 %", "float 91.2 %"), Fact("n", "296"))))
            ),
            Section(
                "Variants",
                (Table(("name", "ms"), (("int8", 2.34),), "In turns", marked=(0,)), Figure(SVG, "Speed", "left")),
            ),
            Section("Classes", (Table(("name",), (("tea",),), "All", folded=True),)),
        ],
        "296 photos",
    )
    reader = Reader(page)
    assert reader.open == []
    assert page.startswith("<!doctype html>")
    tags = [tag for tag, _ in reader.tags]
    assert tags.count("section") == 3
    assert not {"script", "link", "img", "iframe"} & set(tags)
    assert not re.search(r"https?://|@import|url\(", page)
    viewport = [attrs for tag, attrs in reader.tags if tag == "meta" and attrs.get("name") == "viewport"]
    assert viewport  # readable on a phone
    assert "prefers-color-scheme:dark" in page
    # the contents lead to sections that exist
    targets = {attrs["href"] for tag, attrs in reader.tags if tag == "a"}
    assert targets == {"#" + str(attrs["id"]) for tag, attrs in reader.tags if tag == "section"}
    for text in ("Grocery", "296 photos", "90.9 %", "float 91.2 %", "2.34", "In turns", "Speed"):
        assert text in reader.texts


BAD = '<script>alert("1")</script> & "quotes"'


@pytest.mark.parametrize(
    "page",
    [
        html_page(BAD, [Section(BAD)] * 3, BAD),
        page_of(Text(BAD)),
        page_of(Facts((Fact(BAD, BAD, BAD),))),
        page_of(Table((BAD,), ((BAD,),), BAD)),
        page_of(Table((BAD,), ((BAD,),), BAD, folded=True)),
        page_of(Figure(SVG, BAD, BAD)),
        page_of(Side((Figure(SVG, BAD, BAD),))),
        page_of(Table(("a",), ((Rich(BAD),),))),
        page_of(Table((BAD,), ((Rich(1, shown=BAD, title=BAD),),))),
    ],
)
def test_all_text_is_escaped(page):
    reader = Reader(page)
    assert "<script" not in page
    assert BAD in reader.texts
    assert reader.open == []


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (1.005, "1.00"),
        (-0.25, "−0.25"),
        (1234567, "1 234 567"),
        (-3, "−3"),
        (None, "–"),
        (math.nan, "–"),
        (True, "yes"),
        (False, "no"),
        ("tea", "tea"),
    ],
)
def test_cells(cell, shown):
    assert f">{shown}</td>" in page_of(Table(("value",), ((cell,),)))


def test_columns_of_numbers_are_set_right():
    page = page_of(Table(("name", "ms", "mixed"), (("a", 1.0, 1), ("b", None, "x")), digits=1))
    assert '<th scope="col" class="number">ms</th>' in page
    assert '<td class="number">1.0</td>' in page
    assert '<th scope="col">mixed</th>' in page


@pytest.mark.parametrize(
    ("cell", "html"),
    [
        (Rich(0.5), '<td class="number">0.50</td>'),
        (Rich(0.5, "half"), '<td class="number">half</td>'),
        (Rich(None, title="why"), '<td class="number" title="why">–</td>'),
        (Rich(3, tone="bad"), '<td class="number bad">3</td>'),
        (Rich(3, share=0.25), '<td class="number bar" style="--share:25.0%">3</td>'),
        (Rich(3, share=7.0), '<td class="number bar" style="--share:100.0%">3</td>'),
        (Rich(3, share=-1.0), '<td class="number bar" style="--share:0.0%">3</td>'),
        (Rich(3, share=math.nan), '<td class="number bar">3</td>'),
        (Rich(3, title='"<b>'), '<td class="number" title="&quot;&lt;b&gt;">3</td>'),
    ],
)
def test_rich_cells(cell, html):
    """Beside a number, so that the column is one of numbers."""
    assert html in page_of(Table(("value",), ((cell,), (1,))))


def test_a_rich_text_makes_a_column_of_text():
    assert "<td>x</td>" in page_of(Table(("value",), ((Rich("x"),), (1,))))


def test_figures_side_by_side():
    reader = Reader(page_of(Side((Figure(SVG, "One"), Figure(SVG, "Two")))))
    assert reader.open == []
    assert [tag for tag, _ in reader.tags].count("figure") == 2
    assert ("div", {"class": "side"}) in reader.tags


def test_wrong_blocks_are_refused():
    with pytest.raises(InputError, match="expected 2 cells"):
        Table(("a", "b"), ((1,),))
    with pytest.raises(InputError, match="one <svg> element"):
        Figure("<p>", "Title")


def test_the_same_input_gives_the_same_page():
    blocks = (Text("x"), Figure(SVG, "t"), Table(("a",), ((1,),)))
    assert page_of(*blocks) == page_of(*blocks)
