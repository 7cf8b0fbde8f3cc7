"""Two models, one after the other, on spots whose places and colours are known by construction."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from colors import NAMES, truth
from spots import CELL, CELLS, spot_picture, write_spot_finder

import edgevision as ev
from edgevision.cascade import regions
from edgevision.errors import EdgeVisionError, ImageError, InputError
from edgevision.frames import Frame
from edgevision.preprocess import Region
from edgevision.runtime.runner import Runner

pytestmark = pytest.mark.requires("onnx")

COLORS = {"red": (255, 10, 10), "green": (10, 240, 10), "blue": (10, 10, 230)}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    return write_spot_finder(tmp_path_factory.mktemp("finder") / "spots.edge")


@pytest.fixture
def cascade(finder, color_bundle):
    with ev.load(finder, then=color_bundle()) as loaded:
        yield loaded


def random_spots(random, count):
    """Cells of ``count`` spots, no two of them neighbours, with a colour each."""
    cells = [(row, column) for row in range(0, CELLS[0], 2) for column in range(0, CELLS[1], 2)]
    chosen = random.permutation(len(cells))[:count]
    return {cells[place]: COLORS[NAMES[random.integers(3)]] for place in chosen}


def found_in(products, scale=1):
    """Cell → name of the class that the second model gave it."""
    found = {}
    for product in products:
        x1, y1, x2, y2 = (round(side / CELL / scale, 3) for side in product.detection.box)
        assert (x2, y2) == (x1 + 1, y1 + 1)
        found[int(y1), int(x1)] = product.result.best.name
    return found


def named(spots):
    return {cell: NAMES[int(np.argmax(truth(rgb)))] for cell, rgb in spots.items()}


@pytest.mark.parametrize("scale", [1, 5])
@pytest.mark.parametrize("count", [0, 1, 3, 6])
def test_each_box_is_recognised(cascade, count, scale):
    spots = random_spots(np.random.default_rng(count), count)
    products = cascade.predict(spot_picture(spots, scale))
    assert len(products) == len(products.detections) == count
    assert found_in(products, scale) == named(spots)


def test_products_stay_with_their_frames(cascade):
    """Frames with different numbers of products, some with none: boxes share batches, and none is given to another frame."""
    random = np.random.default_rng(9)
    pictures = [random_spots(random, count) for count in (3, 0, 6, 1, 0, 6, 6, 2, 0, 4)]
    answers = cascade.predict(
        [Frame.from_array(spot_picture(spots, 3), camera=str(i)) for i, spots in enumerate(pictures)]
    )
    assert [found_in(products, 3) for products in answers] == [named(spots) for spots in pictures]
    assert [products.detections.frame.camera for products in answers] == [str(i) for i in range(10)]
    assert [one.frame.camera for products in answers for one in products.results] == [
        str(i) for i, spots in enumerate(pictures) for _ in spots
    ]


def test_boxes_of_all_frames_share_the_batches(finder, color_bundle, monkeypatch):
    """Of eight frames with three products each, the second model runs 16 + 8, not eight times three."""
    sizes = []
    for name, method in (("run", Runner.run), ("submit", Runner.submit)):
        counted = lambda self, items, method=method: sizes.append(len(items)) or method(self, items)  # noqa: E731
        monkeypatch.setattr(Runner, name, counted)
    spots = random_spots(np.random.default_rng(1), 3)
    with ev.load(finder, then=color_bundle()) as cascade:
        sizes.clear()
        cascade.predict([spot_picture(spots)] * 8)
    assert sizes == [8, 16, 8]


def test_a_loaded_model_may_be_the_second(finder, color_bundle):
    with ev.load(color_bundle(), threshold=1.0) as strict, ev.load(finder, then=strict) as cascade:
        assert cascade.recogniser is strict
        (product,) = cascade.predict(spot_picture({(2, 2): COLORS["red"]}))
        assert (product.result.best.name, product.result.known) == ("red", False)


def test_results_as_json(cascade):
    told = cascade.predict(spot_picture({(2, 4): COLORS["blue"]})).to_dict()
    (product,) = told["products"]
    assert product["detection"]["box"] == [32.0, 16.0, 40.0, 24.0]
    assert (product["detection"]["name"], product["result"]["top"][0]["name"]) == ("spot", "blue")
    assert set(told) == {"products", "timing", "frame"}


def test_a_threshold_given_to_load_is_the_finders(finder, color_bundle):
    """The red spot's score is sigmoid(0.1 × 60 - 4) = 0.88, the blue one's 0.998."""
    spots = {(0, 0): (60, 0, 0), (2, 2): (0, 0, 100)}
    for threshold, expected in ((0.5, {(0, 0), (2, 2)}), (0.95, {(2, 2)})):
        with ev.load(finder, then=color_bundle(), threshold=threshold) as cascade:
            assert set(found_in(cascade.predict(spot_picture(spots)))) == expected


def test_a_limit_of_decoded_bytes_given_to_load_counts(finder, color_bundle, tmp_path):
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), np.zeros((200, 200, 3), np.uint8))  # 120,000 bytes when decoded
    with ev.load(finder, then=color_bundle(), max_decode_bytes=50_000) as cascade:
        with pytest.raises(ImageError, match="max_decode_bytes"):
            cascade.predict(path)
        assert len(cascade.predict(path, max_decode_bytes=10_000_000)) == 0


def test_a_threshold_given_to_load_takes_the_place_of_thresholds_by_class(tmp_path):
    path = write_spot_finder(tmp_path / "fitted.edge", thresholds=[0.95])
    picture = spot_picture({(0, 0): (60, 0, 0), (2, 2): (0, 0, 100)})
    for given, count in ((None, 1), (0.5, 2)):
        with ev.load(path, threshold=given) as model:
            assert len(model.predict(picture)) == count


def test_the_first_model_has_to_find_boxes(finder, color_bundle):
    with pytest.raises(InputError, match="expected a model that finds boxes first, got 'color', which can classify"):
        ev.load(color_bundle(), then=finder)


def test_closing_closes_both(finder, color_bundle):
    cascade = ev.load(finder, then=color_bundle())
    cascade.close()
    cascade.close()
    for model in (cascade.finder, cascade.recogniser):
        with pytest.raises(EdgeVisionError, match="closed"):
            model.predict(spot_picture({}))


@pytest.mark.parametrize("second", ["missing.edge", b"no bundle"])
def test_a_second_bundle_that_cannot_be_opened_closes_the_first(finder, second, monkeypatch):
    closed = []
    close = ev.Model.close
    monkeypatch.setattr(ev.Model, "close", lambda self, *a: (closed.append(self.manifest.name), close(self, *a))[1])
    with pytest.raises(EdgeVisionError):
        ev.load(finder, then=second)
    assert closed == ["spots"]


@pytest.mark.parametrize(
    ("box", "margin", "expected"),
    [
        ((10, 20, 30, 40), 0.0, (10, 20, 20, 20)),
        ((10.2, 20.9, 30.1, 40.0), 0.0, (10, 20, 21, 20)),  # whole pixels that hold all of it
        ((10, 5, 30, 35), 0.1, (8, 2, 24, 36)),
        ((-5, 0, 200, 3), 0.0, (0, 0, 100, 3)),  # ends with the frame
        ((99.5, 49.7, 100, 50), 0.5, (99, 49, 1, 1)),
        ((40, 30, 40, 30), 0.0, (40, 30, 1, 1)),  # at least a pixel
        ((100, 50, 100, 50), 0.0, (99, 49, 1, 1)),
    ],
)
def test_regions_hold_their_box(box, margin, expected):
    frame = Frame.from_array(np.zeros((50, 100, 3), np.uint8))
    assert regions(np.array([box], np.float32), frame, margin) == [Region(*expected)]


@pytest.mark.parametrize("margin", [-0.1, 1.5, True, "wide"])
def test_margins_are_shares(finder, color_bundle, margin):
    with ev.load(finder) as first, ev.load(color_bundle()) as second, pytest.raises(InputError, match="margin"):
        ev.Cascade(first, second, margin)
