from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgevision.demo.backdrops import Place
from edgevision.demo.camera import Camera, Light, Pose, paint, place
from edgevision.demo.lens import Lens
from edgevision.demo.packages import package
from edgevision.demo.products import LISTED, Shape, unlisted
from edgevision.demo.scene import SceneKind, render, render_with_truth, sample_scene

CLEAR = Lens(vignette=0, focus=0, noise=0, jpeg=0)
SCENES = [sample_scene(np.random.default_rng((7, i)), kind) for i in range(20) for kind in SceneKind]


def test_the_same_seed_gives_the_same_frame():
    first, again, other = (
        render(sample_scene(np.random.default_rng(seed), SceneKind.LISTED)) for seed in (5, 5, 6)
    )  # fmt: skip
    assert first.shape == (320, 320, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_scenes_cover_kinds_places_and_shapes():
    rng = np.random.default_rng(1)
    scenes = [sample_scene(rng, SceneKind.LISTED) for _ in range(300)]
    assert {s.backdrop.place for s in scenes} == set(Place)
    assert {s.label for s in scenes} == set(range(len(LISTED)))
    assert any(s.hand for s in scenes)
    assert any(s.others for s in scenes)
    assert any(s.pose.pitch == 90 for s in scenes)
    assert any(s.lens.motion for s in scenes)


@pytest.mark.parametrize("scene", SCENES, ids=lambda s: s.kind.value)
def test_labels_and_neighbours_tell_the_truth(scene):
    if scene.kind is SceneKind.LISTED:
        assert LISTED[scene.label] == scene.product
    else:
        assert scene.label is None
        assert scene.product not in LISTED
        assert (scene.product is None) == (scene.kind is SceneKind.EMPTY)
    assert not any(product in LISTED for product, _ in scene.others)


@pytest.mark.parametrize("product", LISTED[::2], ids=lambda p: p.id)
@pytest.mark.parametrize("pose", [Pose(25), Pose(-35, 90), Pose(10, 20, -12, 0, 0, 6)], ids=["stands", "lies", "held"])
def test_the_box_is_where_the_pixels_are(product, pose):
    """The projected box against the pixels that the product changes in an otherwise equal frame."""
    scene = sample_scene(np.random.default_rng(3), SceneKind.LISTED, product=product)
    size = max(package(product).size)
    scene = replace(
        scene, pose=pose, others=(), hand=None, lens=CLEAR, light=Light(strength=0),
        camera=Camera((0, 0, pose.lift + size / 4), 3 * size, 8, 35, 5),
    )  # fmt: skip
    truth = render_with_truth(scene)
    ys, xs = np.nonzero(truth.coverage > 127)
    got = (xs.min(), ys.min(), xs.max(), ys.max())
    assert truth.box == pytest.approx(got, abs=2)
    assert min(truth.box) > 0  # wholly in view, or the test would show nothing
    assert max(truth.box) < 319

    empty = render(replace(scene, kind=SceneKind.EMPTY, product=None))
    changed = np.abs(truth.frame.astype(int) - empty).max(axis=2) > 40
    changed = cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    near = cv2.dilate(truth.coverage, np.ones((5, 5), np.uint8)) > 127
    # The touch shadow darkens ground beside it; everything else that changed is the product.
    assert (changed & ~near).sum() < 0.25 * near.sum()
    assert (changed & (truth.coverage > 127)).sum() > 0.3 * (truth.coverage > 127).sum()


@pytest.mark.parametrize("shape", Shape, ids=lambda s: s.value)
def test_packages_have_no_holes(shape):
    """Every pixel that is covered was painted: nothing of the ground shows through."""
    product = next(p for p in (*LISTED, *map(unlisted, range(200))) if p.shape is shape)
    size = package(product).size
    camera = Camera((0, 0, size[2] / 3), 2.4 * max(size), 0, 40)
    for pose in (Pose(20), Pose(-30, 90)):
        grounds = [np.full((320, 320, 3), grey, np.uint8) for grey in (0, 255)]
        for frame in grounds:
            coverage = paint(frame, place(package(product), pose), camera, Light())
        inside = cv2.erode(coverage, np.ones((3, 3), np.uint8)) == 255
        assert inside.sum() > 2000
        assert np.abs(grounds[0].astype(int) - grounds[1]).max(axis=2)[inside].max() <= 8


def test_frames_of_other_sizes_show_the_same():
    scene = sample_scene(np.random.default_rng(11), SceneKind.LISTED)
    scene = replace(scene, lens=CLEAR)
    large, small = render(scene), render(replace(scene, side_px=160))
    shrunk = cv2.resize(large, (160, 160), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - small).mean() < 6
