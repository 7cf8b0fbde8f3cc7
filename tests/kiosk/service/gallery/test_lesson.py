"""A product that is turned before a camera: views that add something are taken, and nothing is taken of an empty or dark place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from galleries import DIMENSION
from shop_galleries import BLUE, GREEN, RED, colour_vector, embed, scene

from edgevision.frames import Frame
from edgevision.gallery.taken_views import TakenViews
from edgevision.gallery.view_choice import Verdict
from edgevision.kiosk.service.gallery.lesson import Lesson
from edgevision.tasks.detections import Detections
from edgevision.tasks.products import Products
from edgevision.tasks.results import Label, Timing


def takes_all():
    """Views of which every one is taken."""
    return TakenViews(None, 1, dimension=DIMENSION, step=-1.0, most_blur=1.0)


def taught(frames, **options):
    lesson = Lesson(embed, takes_all(), **options)
    lesson.learn_empty()
    return lesson, [lesson.see(frame, 0.1 * number) for number, frame in enumerate(frames)]


def words_of(seen):
    return [one.word for one in seen]


def test_the_product_is_cut_out_of_the_place():
    lesson, seen = taught([scene(), scene(), scene(RED, 20), scene(RED, 200)])
    assert words_of(seen) == ["learnt", "nothing", "taken", "taken"]
    for one in seen[2:]:
        height, width = one.picture.shape[:2]
        assert 90 <= height <= 150
        assert 90 <= width <= 150
        middle = one.picture[height // 4 : -height // 4, width // 4 : -width // 4].reshape(-1, 3).mean(0)
        assert middle.argmax() == 2  # red, in B, G, R
        np.testing.assert_allclose(one.view.vector, colour_vector(one.picture), atol=1e-6)
    assert lesson.views == [one.view for one in seen[2:]]
    assert len({view.source for view in lesson.views}) == 2


def test_until_the_empty_place_is_known_the_middle_is_looked_at():
    lesson = Lesson(embed, takes_all())
    seen = lesson.see(scene(RED), 0.0)
    assert (seen.word, seen.picture.shape) == ("taken", (192, 192, 3))


@pytest.mark.parametrize(("level", "word"), [(0, "dark")])
def test_what_cannot_be_seen_is_not_taken(level, word):
    lesson, seen = taught([scene(), Frame.from_array(np.full((240, 320, 3), level, np.uint8))])
    assert words_of(seen) == ["learnt", word]
    assert lesson.views == []


def test_no_more_are_taken_than_may_be_and_a_dropped_one_makes_room():
    lesson, seen = taught(
        [scene(), *[scene(colour, left) for left in (10, 100, 200) for colour in (RED, GREEN)]], most=3
    )
    assert words_of(seen) == ["learnt", "taken", "taken", "taken", "full", "full", "full"]
    lesson.drop(lesson.views[1].source)
    lesson.drop("of no view")
    assert [lesson.see(scene(BLUE), 9.0).word, len(lesson.views)] == ["taken", 3]


def test_a_model_that_finds_products_gets_the_whole_frame():
    asked = []

    def find(frames):
        asked.extend(frames)
        boxes = np.array([[0, 0, 10, 10], [50, 50, 150, 150]], np.float32)
        found = Detections(
            boxes, np.array([0.9, 0.5], np.float32), np.zeros(2, np.int64), (Label(0, "thing"),), Timing(0, 0, 0)
        )
        small, large = embed([scene(RED), scene(GREEN)])
        return [Products(found, (small, large))]

    lesson = Lesson(find, takes_all(), finds=True)
    seen = lesson.see(scene(RED), 0.0)
    assert (asked[0].width, asked[0].height) == (320, 240)
    np.testing.assert_array_equal(seen.embedding.vector, embed([scene(GREEN)])[0].vector)  # the larger one


@pytest.mark.parametrize("verdict", sorted(set(Verdict) - {Verdict.ANOTHERS_EXAMPLE}))
def test_there_is_a_word_for_whatever_is_judged_of_a_frame(monkeypatch, verdict):
    taken = takes_all()
    judge = taken.offer
    monkeypatch.setattr(taken, "offer", lambda *given: replace(judge(*given), verdict=verdict))
    assert Lesson(embed, taken).see(scene(RED), 0.0).word in ("taken", "alike", "blurred", "other")
