"""Which pictures become golden frames, and what is stored of them."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.compiler.golden import COUNT, MAX_FRAME_BYTES, choose_golden, pick_golden, read_golden, storable
from edgevision.decode import encode_png
from edgevision.errors import DataError, InputError
from edgevision.evaluate.base import GoldenWorth
from edgevision.evaluate.tasks.classify import ClassifyEvaluator
from edgevision.tasks.classify import ClassifyTask, classify_spec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx")


def plain(bgr, side=40):
    return np.full((side, side, 3), bgr, np.uint8)


def worth(clear, sensitivity, group=None):
    groups = [0] * len(clear) if group is None else group
    return GoldenWorth(np.array(clear, bool), np.array(sensitivity, np.float64), np.array(groups, np.int64))


def worth_of(probabilities):
    """Of a classifier's answers, as its evaluator has it."""
    p = np.asarray(probabilities, np.float64)
    spec = classify_spec([Label(i, str(i)) for i in range(p.shape[1])], "probabilities")
    return ClassifyEvaluator(spec).golden_worth({"scores": p})


GREY, RED = plain((90, 90, 90)), plain((20, 60, 200))


def test_choice_prefers_clear_then_sensitive_then_coloured():
    p = np.array([[0.50, 0.45, 0.05], [0.999999, 1e-6, 0], [0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.999999, 1e-6, 0]])
    assert choose_golden([RED, GREY, GREY, RED, RED], worth_of(p), 5) == [3, 2, 4, 1, 0]


@pytest.mark.parametrize(
    ("images", "given", "expected"),
    [
        ([RED] * 2, worth([False, True], [0.99, 0.0]), [1, 0]),  # clear comes first, whatever else
        ([GREY, RED], worth([True, True], [0.5, 0.5]), [1, 0]),
        ([GREY, RED], worth([True, True], [0.0, 0.0]), [0, 1]),  # colour shows only where the answer can still move
        ([RED] * 3, worth([True] * 3, [0.9, 0.8, 0.1], [5, 5, 7]), [0, 2, 1]),  # a group's turn comes first
    ],
)
def test_what_a_task_says_decides(images, given, expected):
    assert choose_golden(images, given) == expected


def test_choice_goes_through_the_groups():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 10)
    p = np.full((40, 4), 0.1)
    p[np.arange(40), truth] = 0.7
    images = rng.integers(0, 256, (40, 16, 16, 3), np.uint8)
    assert sorted(truth[choose_golden(images, worth_of(p), 8)]) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert choose_golden(images, worth_of(p)) == choose_golden(iter(images), worth_of(p))


def test_fewer_photos_than_asked_for():
    assert sorted(choose_golden([plain((1, 2, 3))] * 3, worth_of([[0.9, 0.1]] * 3))) == [0, 1, 2]
    assert choose_golden([], worth([], [])) == []


@pytest.mark.parametrize(("count", "n"), [(3, 8), (1, 8), (2, 0)])
def test_choice_refuses_what_does_not_fit(count, n):
    with pytest.raises(InputError, match="the worth of each of 2 photos"):
        choose_golden([plain((1, 2, 3))] * 2, worth([True] * count, [1.0] * count), n)


def _linear_model(images):
    """A small sensitive classifier: logits linear in the mean colour."""
    weights = np.array([[0.03, 0, -0.03], [-0.03, 0.01, 0.02], [0, -0.02, 0.03]])
    return np.stack([image.reshape(-1, 3).mean(axis=0) for image in images]) @ weights


@pytest.mark.parametrize("same_device", [True, False])
def test_swapped_colours_fail(same_device):
    """Of photos most of which are grey, the choice finds those that show a swap."""
    rng = np.random.default_rng(3)
    task = ClassifyTask(classify_spec([Label(i, str(i)) for i in range(3)]))
    images = [plain((v, v, v)) for v in rng.integers(0, 256, 100)] + [plain(c) for c in rng.integers(0, 256, (10, 3))]
    worths = ClassifyEvaluator(task.spec).golden_worth({"scores": _linear_model(images)})
    chosen = [images[i] for i in choose_golden(images, worths)]
    own = {"scores": _linear_model(chosen)}
    swapped = {"scores": _linear_model([image[..., ::-1] for image in chosen])}
    assert task.compare(own, own, own, same_device=same_device).passed
    assert not task.compare(own, own, swapped, same_device=same_device).passed


def test_frames_are_stored_small():
    frames = pick_golden([plain((1, 2, 3), side=900), GREY], worth([True, True], [1.0, 0.5]))
    assert [frame.shape for frame in frames] == [(512, 512, 3), (40, 40, 3)]


@pytest.mark.parametrize(("height", "width"), [(480, 640), (1080, 1920), (300, 260), (90, 900)])
def test_frames_of_any_photo_are_bounded_and_as_large_as_can_be(height, width):
    rng = np.random.default_rng(height)
    noise = rng.integers(0, 256, (height, width, 3), np.uint8)  # nothing takes more bytes
    stored = storable(noise)
    assert 0.5 * MAX_FRAME_BYTES < len(encode_png(stored)) <= MAX_FRAME_BYTES
    assert stored.shape[1] / stored.shape[0] == pytest.approx(width / height, rel=0.1)
    smooth = np.ascontiguousarray(
        np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, width, 3))
    )
    assert max(storable(smooth).shape) == min(512, max(height, width))


def test_coarser_photos_look_the_same():
    rng = np.random.default_rng(5)
    slope = np.linspace(20, 230, 192)[None, :, None] + rng.integers(-4, 5, (192, 192, 3))
    image = slope.astype(np.uint8)
    assert len(encode_png(image)) > MAX_FRAME_BYTES
    stored = storable(image)
    assert stored.shape == image.shape  # the last bits went, no pixel
    assert np.abs(stored.astype(int) - image).max() <= 4
    assert abs(stored.astype(float).mean() - image.mean()) < 0.6  # no darker


def test_without_photos_noise_that_any_model_can_see():
    frames = pick_golden((), None)
    assert len(frames) == COUNT
    assert all(frame.std() > 30 for frame in frames)
    assert all((a == b).all() for a, b in zip(frames, pick_golden((), None), strict=True))


def test_a_folder_of_the_users_own(tmp_path):
    for i in range(COUNT + 2):
        (tmp_path / f"{i:02d}.png").write_bytes(encode_png(plain((i, 0, 0))))
    (tmp_path / "notes.txt").write_text("not a picture")
    assert [int(frame[0, 0, 0]) for frame in read_golden(tmp_path)] == list(range(COUNT))


@pytest.mark.parametrize(("path", "message"), [("nowhere", "expects a folder"), (".", "holds no pictures")])
def test_a_folder_without_pictures(path, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read_golden(tmp_path / path)
