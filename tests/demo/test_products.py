import itertools

import numpy as np
import pytest

from edgevision.demo.labels import front, side
from edgevision.demo.lettering import Typeface, draw_text, text_width
from edgevision.demo.motifs import MOTIFS
from edgevision.demo.products import LISTED, Shape, Style, unlisted
from edgevision.demo.scene import UNLISTED_DESIGNS


def test_listed_products_differ_and_some_are_alike():
    assert len(LISTED) == 20
    for of in (lambda p: p.id, lambda p: p.name, lambda p: p.number):
        assert len({of(p) for p in LISTED}) == len(LISTED)
    fronts = [front(p, 120, 160).astype(float) for p in LISTED]
    distances = [np.abs(a - b).mean() for a, b in itertools.combinations(fronts, 2)]
    assert min(distances) > 1
    same_brand = [sum(q.brand == p.brand for q in LISTED) for p in LISTED]
    assert sorted(same_brand)[len(LISTED) // 2] >= 2  # most have a sibling


def test_unlisted_designs_are_none_of_the_listed():
    brands, numbers = {p.brand for p in LISTED}, {p.number for p in LISTED}
    designs = [unlisted(i) for i in range(UNLISTED_DESIGNS)]
    assert not any(p in LISTED or p.brand in brands or p.number in numbers for p in designs)
    assert {p.shape for p in designs} == set(Shape)
    assert {p.style for p in designs} == set(Style)


def test_an_unlisted_design_is_always_the_same():
    assert unlisted(17) == unlisted(17)
    assert unlisted(17) != unlisted(18)


@pytest.mark.parametrize("style", Style, ids=lambda s: s.value)
def test_every_style_draws_all_of_the_panel(style):
    product = next(p for p in map(unlisted, range(200)) if p.style is style)
    for width, height in ((60, 200), (200, 60)):
        panel = front(product, width, height)
        assert panel.shape == (height, width, 3)
        assert len(np.unique(panel.reshape(-1, 3), axis=0)) > 10
    assert not np.array_equal(front(product, 100, 100), side(product, 100, 100))


@pytest.mark.parametrize("name", MOTIFS)
def test_motifs_stay_around_their_point(name):
    image = np.full((200, 200, 3), 255, np.uint8)
    MOTIFS[name](image, 100.0, 100.0, 50.0, (40, 80, 160))
    ys, xs = np.nonzero((image != 255).any(axis=2))
    assert len(ys) > 300
    assert max(abs(xs - 100).max(), abs(ys - 100).max()) <= 75  # leaves may stick out


@pytest.mark.parametrize("face", [Typeface(), Typeface(0.2, 0.8, 0.2, 0.1)])
def test_text_is_as_wide_as_it_says_and_shrinks_to_fit(face):
    text = "MOOVALLE 3.5 %"
    for fit, at in ((None, 400), (120.0, 400)):
        image = np.zeros((100, 800, 3), np.uint8)
        draw_text(image, text, (at, 50), 30, (255, 255, 255), face, fit=fit)
        xs = np.nonzero(image.any(axis=(0, 2)))[0]
        expected = min(text_width(text, 30, face), fit or 1e9)
        assert xs.max() - xs.min() + 1 == pytest.approx(expected, abs=4 + 30 * face.slant)
