"""An embedder's vectors become a classifier's answers, in their places; of an empty gallery nothing is known."""

from __future__ import annotations

import numpy as np
import pytest
from galleries import BUNDLE, DIMENSION, directions, make_gallery

from edgevision.gallery.gallery import open_gallery
from edgevision.gallery.recogniser import RecognisedProduct
from edgevision.gallery.writer import GalleryWriter
from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.gallery.asked import box_in, the_one_in
from edgevision.kiosk.service.gallery.recognition import recognised
from edgevision.tasks.detections import Detections
from edgevision.tasks.embedding import Embedding
from edgevision.tasks.products import Products
from edgevision.tasks.results import Classification, FrameId, Label, Prediction, Timing

TIMING = Timing(1.0, 2.0, 0.1)


def embedding(vector, camera: str = "till") -> Embedding:
    return Embedding(np.asarray(vector, np.float32), TIMING, FrameId(camera))


def products(*results) -> Products:
    boxes = np.array([[10.0 * k, 0, 10.0 * k + 5 * (k + 1), 10] for k in range(len(results))], np.float32).reshape(
        -1, 4
    )
    found = Detections(
        boxes, np.full(len(results), 0.9, np.float32), np.zeros(len(results), np.int64), (Label(0, "thing"),), TIMING
    )
    return Products(found, results)


@pytest.fixture
def gallery(tmp_path):
    make_gallery(tmp_path / "shop.evg", 4, spread=0.3)
    return open_gallery(tmp_path / "shop.evg", bundle_id=BUNDLE)


def test_each_vector_is_answered_in_its_place(gallery):
    centres = directions(4)
    classified = Classification((Prediction(1, "other", 1.0),), True, TIMING)
    found = recognised(
        [embedding(centres[2]), classified, products(embedding(centres[0]), embedding(centres[3])), products()], gallery
    )
    assert (found[0].best.id, found[0].known, found[0].frame, found[0].timing) == (2, True, FrameId("till"), TIMING)
    assert found[0].best.name == "product 2"
    assert found[1] is classified
    assert [row.result.best.id for row in found[2]] == [0, 3]
    assert len(found[3]) == 0
    assert recognised([], gallery) == []


def test_each_answer_has_the_stored_views_that_it_is_like(gallery):
    """Of one product and of several: what ``predict`` with a gallery gives."""
    one, several = recognised([embedding(directions(4)[1]), products(embedding(directions(4)[3]))], gallery)
    for answer, id in ((one, 1), (several.results[0], 3)):
        assert isinstance(answer, RecognisedProduct)
        assert [match.product.id for match in answer.matches.top] == [found.id for found in answer.top]
        assert answer.to_dict()["matches"][0]["example"]["product"] == id


def test_scores_are_chances_that_fall(gallery):
    (found,) = recognised([embedding(directions(4)[1])], gallery)
    scores = [one.score for one in found.top]
    assert scores == sorted(scores, reverse=True)
    assert 0 <= scores[-1] <= scores[0] <= 1


def test_an_empty_gallery_knows_nothing(tmp_path):
    with GalleryWriter(tmp_path / "new.evg", bundle_id=BUNDLE, dimension=DIMENSION):
        pass
    (found,) = recognised([embedding(directions(1)[0])], open_gallery(tmp_path / "new.evg"))
    assert (found.top, found.known) == ((), False)
    assert found.to_dict()["top"] == []


def test_of_several_products_the_largest_is_taught():
    first, second = embedding(directions(2)[0]), embedding(directions(2)[1])
    assert the_one_in(products(first, second)) is second
    assert the_one_in(first) is first
    assert [box_in(one) for one in (products(first, second), first)] == [(10.0, 0.0, 20.0, 10.0), None]
    with pytest.raises(RefusedError, match="no product was found"):
        the_one_in(products())
