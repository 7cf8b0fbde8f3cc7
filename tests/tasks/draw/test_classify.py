from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.tasks import Classification, Prediction, Timing
from edgevision.tasks.draw import draw
from edgevision.tasks.draw.canvas import MIN_WIDTH_PX

GREEN, AMBER = (96, 200, 64), (40, 160, 250)


def answer(score, known, name="Oat milk"):
    return Classification((Prediction(1, name, score),), known, Timing(0, 0, 0))


def grey(height, width):
    return np.full((height, width, 3), 128, np.uint8)


def bar_length(image, color):
    return int((image == color).all(axis=2).any(axis=0).sum())


@pytest.mark.parametrize("size", [(1, 1), (24, 32), (240, 320), (720, 1280), (2000, 400), (30, 3000)])
def test_any_size_gets_a_readable_answer(size):
    image = grey(*size)
    drawn = draw(image, answer(0.8, True))
    assert drawn.dtype == np.uint8
    assert drawn.shape[1] >= MIN_WIDTH_PX
    assert drawn.shape[0] % size[0] == 0
    assert drawn.shape[1] * size[0] == drawn.shape[0] * size[1]
    if size[0] > 60:
        np.testing.assert_array_equal(drawn[: drawn.shape[0] // 2], 128)  # the upper half is left alone
    assert (drawn > 200).all(axis=2).sum() >= 100  # strokes of letters, in white; thinner before OpenCV 5


def test_the_picture_itself_is_not_touched():
    image = grey(200, 400)
    draw(image, answer(0.9, True))
    assert (image == 128).all()


@pytest.mark.parametrize(("known", "color"), [(True, GREEN), (False, AMBER)])
def test_the_bar_is_as_long_as_the_score(known, color):
    lengths = [bar_length(draw(grey(400, 600), answer(score, known)), color) for score in (0.25, 0.5, 1.0)]
    assert lengths[0] < lengths[1] < lengths[2]
    assert lengths[0] / lengths[2] == pytest.approx(0.25, abs=0.01)
    assert lengths[1] / lengths[2] == pytest.approx(0.5, abs=0.01)
    assert lengths[2] > 550


def test_long_names_do_not_run_into_the_score():
    short, long = (draw(grey(300, 320), answer(0.5, True, name)) for name in ("x", "Very long product name " * 9))
    right = slice(320 - 40, None)  # where "50%" stands
    np.testing.assert_array_equal(short[:, right], long[:, right])


def pictures(*names):
    """A picture for each name; of its bytes, so that they can be compared."""
    return [draw(grey(300, 400), answer(0.5, True, name)).tobytes() for name in names]


def test_the_name_is_drawn():
    assert len(set(pictures("", "Oat milk", "Oat", "milk"))) == 4


def test_other_scripts_can_be_drawn(monkeypatch):
    """OpenCV 5 draws them; for OpenCV 4 accents are dropped, and so is what is no ASCII then."""
    milk, nothing = pictures("牛奶", "")
    assert (milk == nothing) == cv2.__version__.startswith("4.")
    monkeypatch.setattr(cv2, "__version__", "4.13.0")
    accented, plain, without, both = pictures("Crème", "Creme", "Crme", "Crème牛奶")
    assert accented == plain == both
    assert accented != without


@pytest.mark.parametrize("image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3)), "a"])
def test_refuses_what_is_no_bgr_picture(image):
    with pytest.raises(InputError, match="H×W×3 uint8 BGR"):
        draw(image, answer(0.5, True))


def test_an_answer_that_names_nothing_is_drawn_without_a_score():
    drawn = draw(grey(300, 400), Classification((), False, Timing(0, 0, 0)))
    assert (drawn > 200).all(axis=2).any()
    assert bar_length(drawn, AMBER) <= 1
    assert (drawn[:, 400 - 60 :] <= 200).any(axis=2).all()
