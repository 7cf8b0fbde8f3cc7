"""The quick painter against the demo's first one, which warps every cell by itself."""

import cv2
import numpy as np
import pytest

from edgevision.demo.camera import Camera, Light, Pose, paint, place
from edgevision.demo.packages import package
from edgevision.demo.products import LISTED, Shape
from edgevision.demo.raster import paint_solid, solid

ONE_OF_EACH = [next(p for p in LISTED if p.shape is shape) for shape in {p.shape: None for p in LISTED}]
POSES = [Pose(20), Pose(-130, 90, 40), Pose(60, 0, 0, 2, -3, 5)]
CAMERA = Camera((0, 0, 8), 110, 10, 30)
SIDE = 240


def painted(product, pose, camera=CAMERA, ground=128, height=SIDE, width=SIDE):
    frame = np.full((height, width, 3), ground, np.uint8)
    matrix = camera.matrix(height, width)
    outline = paint_solid(frame, solid(product).posed(pose), matrix, camera.position, Light())
    coverage = np.zeros((height, width), np.uint8)
    rows, columns, inside = outline.within(height, width)
    coverage[rows, columns] = inside
    return frame, coverage, outline


@pytest.mark.parametrize("product", ONE_OF_EACH, ids=lambda p: p.shape.value)
@pytest.mark.parametrize("pose", POSES, ids=["stands", "lies", "held"])
def test_it_draws_what_the_first_painter_draws(product, pose):
    expected = np.full((SIDE, SIDE, 3), 128, np.uint8)
    expected_coverage = paint(expected, place(package(product), pose), CAMERA, Light())
    frame, coverage, _ = painted(product, pose)
    assert (np.abs(coverage.astype(int) - expected_coverage) > 64).sum() <= 3
    # They filter the print differently: compare what is left without its finest detail.
    soft, expected_soft = (cv2.GaussianBlur(f, (0, 0), 1.5).astype(int) for f in (frame, expected))
    inside = cv2.erode(coverage, np.ones((5, 5), np.uint8)) == 255
    assert inside.sum() > 100
    assert np.abs(soft - expected_soft)[inside].mean() < 6


@pytest.mark.parametrize("product", ONE_OF_EACH, ids=lambda p: p.shape.value)
def test_what_is_covered_hides_the_ground_and_nothing_else_changes(product):
    """The share of the ground that is left in each pixel, from black and white grounds, against the coverage."""
    (dark, coverage, _), (bright, _, _) = (painted(product, POSES[0], ground=grey) for grey in (0, 255))
    left = (bright.astype(int) - dark).max(axis=2)
    assert np.abs(255 - left - coverage).max() <= 2


def test_solids_stand_where_placed_packages_stand():
    product, pose = LISTED[-1], Pose(30, 90, 50, 3, -4, 7)
    placed = place(package(product), pose)
    assert solid(product).posed(pose).points == pytest.approx(placed.points, abs=1e-4)


def test_a_wide_frame_is_a_square_one_with_more_beside():
    square, _, _ = painted(LISTED[0], POSES[0])
    wide, _, _ = painted(LISTED[0], POSES[0], width=SIDE + 100)
    assert np.abs(wide[:, 50:-50].astype(int) - square).max() <= 1


@pytest.mark.parametrize(
    ("target", "at"), [((-39, 0, 8), "right"), ((39, 0, 8), "left"), ((0, 0, 48), "bottom"), ((400, 0, 8), "outside")]
)
def test_the_outline_goes_on_outside_of_the_frame(target, at):
    """The same camera with a larger frame: same scale, the small frame in the middle."""
    zoom = CAMERA.zoom
    small = Camera(target, 110, 0, 20, 0, zoom)
    large = Camera(target, 110, 0, 20, 0, zoom / 3)
    _, coverage, outline = painted(LISTED[3], Pose(20), small)
    _, whole, _ = painted(LISTED[3], Pose(20), large, height=3 * SIDE, width=3 * SIDE)
    if at == "outside":
        assert not coverage.any()
        return
    assert 0 < (coverage > 0).sum() < (whole > 0).sum()
    expected = np.zeros_like(whole)
    h, w = outline.coverage.shape
    top, left = outline.top + SIDE, outline.left + SIDE
    expected[top : top + h, left : left + w] = outline.coverage
    assert np.abs(expected.astype(int) - whole).max() <= 1


def test_every_shape_of_the_catalogue_is_tested():
    assert {p.shape for p in ONE_OF_EACH} == {p.shape for p in LISTED} == set(Shape) - {Shape.TIN}


def test_a_cell_seen_from_its_edge_has_places_in_it():
    from edgevision.demo.raster import _places

    edge_on = np.array([[(0.0, 0.0), (4.0, 0.0), (4.0, 0.0), (0.0, 0.0)]])
    pixels = np.arange(5)
    right, down = _places(edge_on, np.zeros(5, np.int32), pixels, np.zeros(5, np.intp))
    for places in (right, down):
        assert ((places >= 0) & (places <= 1)).all()  # NaN is neither
