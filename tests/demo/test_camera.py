"""The camera against cases worked out by hand; packages against what makes a solid."""

import numpy as np
import pytest

from edgevision.demo.camera import Camera, Pose, depth, place, project
from edgevision.demo.packages import package
from edgevision.demo.products import LISTED, Shape, unlisted

ONE_OF_EACH = [next(p for p in (*LISTED, *map(unlisted, range(200))) if p.shape is shape) for shape in Shape]


def test_projection_by_hand():
    """From 50 cm in front, focal length 1.4 × 320 px: 10 cm at the target are 89.6 px."""
    matrix = Camera((0, 0, 10), 50, 0, 0).matrix(320)
    got = project(matrix, np.array([(0.0, 0, 10), (10, 0, 10), (0, 0, 20), (10, 50, 10)]))
    assert got == pytest.approx(np.array([(159.5, 159.5), (249.1, 159.5), (159.5, 69.9), (204.3, 159.5)]))


def test_depth_is_the_way_along_the_view():
    camera = Camera((0, 0, 0), 100, 0, 90)  # straight down from 100 cm
    matrix = camera.matrix(480)
    assert np.allclose(depth(matrix, np.array([(0, 0, 0), (30, 40, 20), (0, 0, 130)])), (100, 80, -30))


def test_from_above_the_far_side_is_up():
    matrix = Camera((0, 0, 0), 60, 0, 90).matrix(320)
    (x, y), (_, far) = project(matrix, np.array([(0.0, 0, 0), (0, 5, 0)]))
    assert (x, y) == pytest.approx((159.5, 159.5))
    assert far < y


@pytest.mark.parametrize(("azimuth", "elevation", "roll"), [(0, 0, 0), (40, 30, 10), (-70, 80, -20)])
def test_camera_stands_where_its_matrix_says(azimuth, elevation, roll):
    camera = Camera((1, 2, 3), 45, azimuth, elevation, roll)
    # The centre of projection is the null vector of the matrix.
    *_, vt = np.linalg.svd(camera.matrix(320))
    assert vt[-1][:3] / vt[-1][3] == pytest.approx(camera.position)


@pytest.mark.parametrize("product", ONE_OF_EACH, ids=lambda p: p.shape.value)
def test_packages_stand_on_the_ground_and_face_outwards(product):
    solid = package(product)
    for pose in (Pose(), Pose(30, 90), Pose(-20, 30, 15, 3, -4, 8)):
        placed = place(solid, pose)
        low, high = placed.points.min(axis=0), placed.points.max(axis=0)
        assert low[2] == pytest.approx(pose.lift, abs=1e-4)
        assert ((low + high) / 2)[:2] == pytest.approx((pose.x, pose.y), abs=1e-4)
        middle = (low + high) / 2
        outward = [((s - middle) * n).sum(axis=2) for s, n in zip(placed.samples, placed.normals, strict=True)]
        share = np.mean(np.concatenate([(o > 0).ravel() for o in outward]))
        assert share > 0.9  # gable roofs and bottle necks turn in a little


def test_lying_on_the_back_turns_the_front_up():
    product = next(p for p in LISTED if p.shape is Shape.BOX)
    solid = package(product)
    assert place(solid, Pose()).normals[0][0, 0] == pytest.approx((0, -1, 0), abs=1e-6)
    assert place(solid, Pose(pitch=90)).normals[0][0, 0] == pytest.approx((0, 0, 1), abs=1e-6)
