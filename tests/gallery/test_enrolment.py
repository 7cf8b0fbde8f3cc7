"""Learning live: frames with vectors, one by one, of products whose views are known by construction."""

from __future__ import annotations

import numpy as np
import pytest
from galleries import BUNDLE, make_gallery

from edgevision.errors import GalleryError, InputError
from edgevision.frames import Frame
from edgevision.gallery.blur import blur_of
from edgevision.gallery.enrol import Enrolment, EnrolmentOptions
from edgevision.gallery.gallery import open_gallery
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.view_choice import Verdict
from edgevision.gallery.writer import GalleryWriter

DIMENSION = 32
NEW = GalleryProduct(99, "new product")


def frame(seed: int = 0, blurred: bool = False) -> Frame:
    """Rectangles of random grey; blurred over 4 pixels."""
    import cv2

    random = np.random.default_rng(seed)
    grey = np.kron(random.integers(0, 256, (8, 8)), np.ones((20, 20), int)).astype(np.uint8)
    if blurred:
        grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), 4.0), np.uint8)
    return Frame.from_array(np.repeat(grey[..., None], 3, axis=2))


def turned(degrees: float, plane: int = 0) -> np.ndarray:
    """A unit vector, turned in one of the planes; the cosine of two is that of the angle between them."""
    vector = np.zeros(DIMENSION)
    vector[2 * plane], vector[2 * plane + 1] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return vector


def enrolment(gallery=None, product=NEW, **options):
    return Enrolment(product, gallery, dimension=DIMENSION, options=EnrolmentOptions(**options))


def show(one, degrees, *, fps=10.0, start=0.0):
    """The steps for views at these angles, one a frame."""
    return [one.offer(frame(i), turned(angle), time_s=start + i / fps) for i, angle in enumerate(degrees)]


def test_views_are_taken_that_are_far_enough_from_all_that_are_there():
    one = enrolment(step=0.05)  # 18.2 degrees
    steps = show(one, [0, 5, 17, 19, 0, 30, 38, 45])
    assert [step.verdict is Verdict.TAKEN for step in steps] == [True, False, False, True, False, False, True, False]
    assert [step.taken for step in steps] == [1, 1, 1, 2, 2, 2, 3, 3]
    np.testing.assert_allclose(one.vectors, [turned(0), turned(19), turned(38)], atol=1e-6)


def test_it_ends_when_turning_gives_no_new_views():
    """Turned round once at 36 degrees a second, then again: at the second time nothing is new."""
    one = enrolment(step=0.05, settle_s=4.0, most=50)
    steps = show(one, np.arange(0, 1080, 3.6))
    done = next(place for place, step in enumerate(steps) if step.done)
    assert steps[done].taken == 360 // 21.6  # every sixth frame is further than 18.2 degrees from the one before
    assert 360 / 3.6 + 4.0 * 10 - 10 <= done <= 360 / 3.6 + 4.0 * 10 + 10
    assert "Done" in steps[done].say
    assert all(step.taken == steps[done].taken for step in steps[done:])


def test_it_ends_at_most_views():
    one = enrolment(step=0.05, most=4)
    assert [step.done for step in show(one, [0, 20, 40, 60, 80])] == [False, False, False, True, True]
    assert one.taken == 4


def test_a_product_that_lies_still_is_asked_to_turn():
    """And not taken for one whose views are all known: the settling time does not run."""
    one = enrolment(step=0.05, least=2, settle_s=3.0, still_s=20.0)
    show(one, [0, 20])
    steps = show(one, [20] * 100, start=0.2)
    assert not any(step.done for step in steps)
    assert "Turn the product" in steps[-1].say
    steps = show(one, [20] * 150, start=10.2)
    assert steps[-1].done


def test_it_does_not_end_before_least_views():
    one = enrolment(step=0.05, least=3, still_s=2.0)
    assert not any(step.done for step in show(one, [0] * 200))


def test_a_blurred_view_is_refused():
    one = enrolment()
    step = one.offer(frame(blurred=True), turned(0), time_s=0.0)
    assert (step.verdict, step.taken) == (Verdict.BLURRED, 0)
    assert "blurred" in step.say
    assert one.offer(frame(), turned(0), time_s=0.1).verdict is Verdict.TAKEN


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.evg"
    centres = make_gallery(path, 20, 5, dimension=DIMENSION, spread=0.4)
    return open_gallery(path), centres, path


def test_a_view_that_looks_like_another_product_is_refused(shop):
    gallery, centres, _ = shop
    step = enrolment(gallery).offer(frame(), centres[3], time_s=0.0)
    assert (step.verdict, step.like) == (Verdict.ANOTHER_PRODUCT, gallery.find(3))
    assert "looks like product 3" in step.say
    assert enrolment(gallery, look_alikes=True).offer(frame(), centres[3], time_s=0.0).verdict is Verdict.TAKEN


def test_a_product_is_not_another_one_than_itself(shop):
    gallery, centres, _ = shop
    one = enrolment(gallery, GalleryProduct(3, "product 3"))
    assert one.offer(frame(), centres[3], time_s=0.0).verdict is not Verdict.ANOTHER_PRODUCT


def test_a_view_that_is_like_none_before_is_refused(shop):
    gallery, *_ = shop
    random = np.random.default_rng(8)
    first, other = random.normal(size=(2, DIMENSION))
    other -= first * (first @ other) / (first @ first)
    one = enrolment(gallery)
    assert one.offer(frame(), first, time_s=0.0).verdict is Verdict.TAKEN
    assert one.offer(frame(), -first + 0.1 * other, time_s=0.1).verdict is Verdict.NOT_THE_SAME


def test_what_is_saved_is_recognised(shop):
    gallery, _, path = shop
    one = enrolment(gallery, step=0.05)
    random = np.random.default_rng(5)
    centre = random.normal(size=DIMENSION)
    for place in range(5):
        one.offer(frame(place), centre + 0.4 * random.normal(size=DIMENSION), time_s=place)
    with GalleryWriter(path, bundle_id=BUNDLE, dimension=DIMENSION) as writer:
        assert one.save(writer) == one.taken >= 3
    (answer,) = open_gallery(path).match(centre)
    assert (answer.known, answer.best.product) == (True, NEW)
    assert len({example.source for example in open_gallery(path).examples_of(99)}) == one.taken


def test_nothing_is_saved_of_nothing(shop):
    _, _, path = shop
    with pytest.raises(GalleryError, match="no view"), GalleryWriter(path, bundle_id=BUNDLE, dimension=DIMENSION) as w:
        enrolment().save(w)


@pytest.mark.parametrize(
    ("vector", "time_s"),
    [(np.full(DIMENSION, np.nan), 0.0), (np.zeros(DIMENSION), 0.0), (np.ones(3), 0.0), (np.ones(DIMENSION), np.nan)],
)
def test_offers_that_are_none(vector, time_s):
    with pytest.raises(InputError):
        enrolment().offer(frame(), vector, time_s=time_s)


def test_options_that_are_none():
    with pytest.raises(InputError, match="least"):
        enrolment(least=5, most=4)


def test_a_gallery_of_another_dimension(shop):
    with pytest.raises(GalleryError, match="32"):
        Enrolment(NEW, shop[0], dimension=16)


# ---- blur ----


@pytest.mark.parametrize("size", [96, 320, 900])
def test_blur_grows_with_the_width_of_edges(size):
    """σ / √(σ² + 1) of an edge spread over σ pixels, after Sobel's own smoothing, which hides the difference of sharp edges."""
    import cv2

    sharp = np.zeros((size, size), np.uint8)
    sharp[:, size // 2 :] = 200
    scale = min(1.0, 320 / size)
    values = []
    for sigma in (0.0, 1.0, 2.0, 4.0):
        wide = sigma / scale
        blurred = sharp if not sigma else np.asarray(cv2.GaussianBlur(sharp, (0, 0), wide), np.uint8)
        values.append(blur_of(blurred))
        if sigma >= 2:
            assert values[-1] == pytest.approx(sigma / np.sqrt(sigma**2 + 1), abs=0.05)
    assert values == sorted(values)
    assert values[0] < 0.75


@pytest.mark.parametrize(
    "image", [np.zeros((50, 50), np.uint8), np.zeros((1, 1), np.uint8), np.full((3, 90), 7, np.uint8)]
)
def test_nothing_to_see_is_blurred(image):
    assert blur_of(image) == 1.0
