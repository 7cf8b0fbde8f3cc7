"""A product that is turned before a camera: views that add something are taken, and nothing is taken of an empty or dark place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from galleries import BUNDLE, make_gallery
from shop_galleries import BLUE, GREEN, RED, colour_vector, embed, scene

from edgevision.frames import Frame
from edgevision.gallery.gallery import open_gallery
from edgevision.kiosk.service.gallery.lesson import Lesson
from edgevision.kiosk.service.gallery.picking import ViewPicker
from edgevision.tasks.detections import Detections
from edgevision.tasks.products import Products
from edgevision.tasks.results import Label, Timing


class TakesAll:
    """A picker that takes every view."""

    def __init__(self) -> None:
        self.dropped: list[int] = []

    def offer(self, frame, vector):
        return "taken"

    def drop(self, place):
        self.dropped.append(place)


def taught(frames, picker=None, **options):
    lesson = Lesson(embed, picker or TakesAll(), **options)
    lesson.learn_empty()
    words = [lesson.see(frame, 0.1 * number).word for number, frame in enumerate(frames)]
    return lesson, words


def test_the_product_is_cut_out_of_the_place():
    lesson, words = taught([scene(), scene(), scene(RED, 20), scene(RED, 200)])
    assert words == ["learnt", "nothing", "taken", "taken"]
    for view in lesson.views:
        height, width = view.picture.shape[:2]
        assert 90 <= height <= 150
        assert 90 <= width <= 150
        middle = view.picture[height // 4 : -height // 4, width // 4 : -width // 4].reshape(-1, 3).mean(0)
        assert middle.argmax() == 2  # red, in B, G, R
        np.testing.assert_allclose(view.vector, colour_vector(view.picture), atol=1e-6)
    assert len({view.source for view in lesson.views}) == 2


def test_until_the_empty_place_is_known_the_middle_is_looked_at():
    lesson = Lesson(embed, TakesAll())
    assert lesson.see(scene(RED), 0.0).word == "taken"
    assert lesson.views[0].picture.shape == (192, 192, 3)


@pytest.mark.parametrize(("level", "word"), [(0, "dark")])
def test_what_cannot_be_seen_is_not_taken(level, word):
    lesson, words = taught([scene(), Frame.from_array(np.full((240, 320, 3), level, np.uint8))])
    assert words == ["learnt", word]
    assert lesson.views == []


def test_no_more_are_taken_than_may_be_and_a_dropped_one_makes_room():
    lesson, words = taught(
        [scene(), *[scene(colour, left) for left in (10, 100, 200) for colour in (RED, GREEN)]], most=3
    )
    assert words == ["learnt", "taken", "taken", "taken", "full", "full", "full"]
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

    lesson = Lesson(find, TakesAll(), finds=True)
    seen = lesson.see(scene(RED), 0.0)
    assert (asked[0].width, asked[0].height) == (320, 240)
    np.testing.assert_array_equal(seen.embedding.vector, embed([scene(GREEN)])[0].vector)  # the larger one


# ---- which views ----


@pytest.fixture
def gallery(tmp_path):
    make_gallery(tmp_path / "shop.evg", 2)
    return open_gallery(tmp_path / "shop.evg", bundle_id=BUNDLE)


def offered(picker, *frames):
    return [picker.offer(frame, colour_vector(frame.planes[0])) for frame in frames]


def test_views_that_add_nothing_are_not_taken(gallery):
    picker = ViewPicker(gallery)
    words = offered(picker, scene(RED), scene(RED), scene(GREEN), scene(GREEN), scene(RED))
    assert words == ["taken", "alike", "taken", "alike", "alike"]
    picker.drop(1)
    assert offered(picker, scene(RED), scene(GREEN)) == ["alike", "taken"]


def test_a_blurred_view_is_not_taken(gallery):
    blurred = Frame.from_array(cv2.GaussianBlur(scene(BLUE).planes[0], (0, 0), 12))
    assert offered(ViewPicker(gallery), scene(RED), blurred, scene(BLUE)) == ["taken", "blurred", "taken"]


def test_what_a_product_has_already_adds_nothing_to_it_but_to_another(gallery):
    known = gallery.vectors[0]
    frame = scene(RED)
    assert ViewPicker(gallery, gallery.examples[0].product).offer(frame, known) == "alike"
    assert ViewPicker(gallery).offer(frame, known) == "taken"  # it may look like another product
