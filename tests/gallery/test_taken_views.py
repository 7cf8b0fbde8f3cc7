"""Which views of a product are taken, dropped and saved."""

from __future__ import annotations

import cv2
import pytest
from galleries import BUNDLE, make_gallery
from shop_galleries import BLUE, GREEN, RED, colour_vector, scene

from edgevision.errors import GalleryError, InputError
from edgevision.frames import Frame
from edgevision.gallery.gallery import open_gallery
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.sources import source_of_frame
from edgevision.gallery.taken_views import TakenViews, save_views
from edgevision.gallery.view_choice import Verdict
from edgevision.gallery.writer import GalleryWriter

TAKEN, ALIKE, BLURRED = Verdict.TAKEN, Verdict.NOTHING_NEW, Verdict.BLURRED


@pytest.fixture
def gallery(tmp_path):
    make_gallery(tmp_path / "shop.evg", 2)
    return open_gallery(tmp_path / "shop.evg", bundle_id=BUNDLE)


def taking(gallery, product_id=99):
    return TakenViews(gallery, product_id, dimension=gallery.dimension, look_alikes=True)


def offered(views, *frames):
    return [views.offer(frame, colour_vector(frame.planes[0])).verdict for frame in frames]


def test_views_that_add_nothing_are_not_taken_until_their_like_is_dropped(gallery):
    views = taking(gallery)
    first, second = scene(RED), scene(GREEN)
    assert offered(views, first, first, second, second, first) == [TAKEN, ALIKE, TAKEN, ALIKE, ALIKE]
    assert [one.source for one in views.views] == [source_of_frame(first), source_of_frame(second)]
    views.drop(source_of_frame(second))
    views.drop("of no view")
    assert offered(views, first, second) == [ALIKE, TAKEN]


def test_a_blurred_view_is_not_taken(gallery):
    blurred = Frame.from_array(cv2.GaussianBlur(scene(BLUE).planes[0], (0, 0), 12))
    assert offered(taking(gallery), scene(RED), blurred, scene(BLUE)) == [TAKEN, BLURRED, TAKEN]


def test_what_a_product_has_already_adds_nothing_to_it_but_to_another(gallery):
    known, frame = gallery.vectors[0], scene(RED)
    assert taking(gallery, gallery.examples[0].product).offer(frame, known).verdict is ALIKE
    assert taking(gallery).offer(frame, known).verdict is TAKEN  # it may look like another product


def test_views_are_saved_with_their_product_and_once(gallery, tmp_path):
    views = taking(gallery)
    for frame in (scene(RED), scene(GREEN)):
        views.offer(frame, 3 * colour_vector(frame.planes[0]), "till")
    for added, new in ((2, views.views), (0, views.views)):
        with GalleryWriter(tmp_path / "shop.evg", bundle_id=BUNDLE, dimension=gallery.dimension) as writer:
            assert save_views(writer, GalleryProduct(99, "new"), new) == added
    now = open_gallery(tmp_path / "shop.evg")
    assert [(one.source, one.note) for one in now.examples_of(99)] == [(one.source, "till") for one in views.views]
    assert now.find(99).name == "new"


def test_nothing_is_saved_of_nothing(gallery, tmp_path):
    with pytest.raises(GalleryError, match="no view of 'new' was taken"):  # noqa: SIM117
        with GalleryWriter(tmp_path / "shop.evg", bundle_id=BUNDLE, dimension=gallery.dimension) as writer:
            save_views(writer, GalleryProduct(99, "new"), [])
    assert len(open_gallery(tmp_path / "shop.evg")) == 2


def test_vectors_of_another_length_are_refused(gallery):
    with pytest.raises(GalleryError, match="as the gallery has"):
        TakenViews(gallery, 99, dimension=gallery.dimension + 1)
    with pytest.raises(InputError):
        taking(gallery).offer(scene(RED), [1.0])
