"""The order of painting, on cases where the distance of the middles would be wrong."""

import numpy as np
import pytest

from edgevision.demo.camera import Camera, Pose
from edgevision.demo.products import LISTED, Shape
from edgevision.demo.raster import solid
from edgevision.demo.world.order import far_first

BOX, CAN, CHEST = (next(p for p in LISTED if p.shape is shape) for shape in (Shape.BOX, Shape.CAN, Shape.CHEST))
AISLE, ABOVE = Camera((0, 0, 8), 120, 0, 10), Camera((0, 0, 0), 90, 0, 80)

CASES = {
    # far first; each: product, pose
    "one behind the other": (AISLE, [(CAN, Pose(y=20)), (CAN, Pose(y=8)), (CAN, Pose(y=-4))]),
    # The box is 18 cm wide and turned away: its middle is nearer than the can's, but the can is before its far end.
    "beside a box end on": (AISLE, [(BOX, Pose(80, x=4, y=0)), (CAN, Pose(x=-6, y=5))]),
    "on top, seen from above": (ABOVE, [(CHEST, Pose()), (CAN, Pose(lift=8.5, x=4))]),
    # From below, what stands on top is behind the edge of what carries it.
    "on top, seen from below": (Camera((0, 0, 30), 60, 0, -40), [(CAN, Pose(lift=38.6)), (CHEST, Pose(lift=30))]),
    "a tower behind a low box": (ABOVE, [(CHEST, Pose(y=-9)), (BOX, Pose(y=-1))]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("turned", [False, True])
def test_far_first(case, turned):
    camera, things = CASES[case]
    listed = things[::-1] if turned else things
    order = far_first(
        [solid(product).posed(pose) for product, pose in listed], [pose.rotation() for _, pose in listed],
        camera.matrix(320), camera.position,
    )  # fmt: skip
    got = [listed[k] for k in order]
    if case in ("beside a box end on", "a tower behind a low box"):
        assert in_depth_order(got, camera)
    else:
        assert got == things


def in_depth_order(things, camera):
    """Painting in this order gives what the depth of single pixels says: no pixel of a later thing is farther."""
    matrix, eye = camera.matrix(320), camera.position
    depths = [depth_picture(solid(p).posed(pose), matrix, eye) for p, pose in things]
    wrong = 0
    for k, later in enumerate(depths):
        for earlier in depths[:k]:
            both = np.isfinite(later) & np.isfinite(earlier)
            wrong += int((later[both] > earlier[both] + 0.5).sum())
    return wrong == 0


def depth_picture(body, matrix, eye):
    """Distance (cm) of the nearest of many points of the surface in each pixel; inf where there is none."""
    t = np.linspace(0.02, 0.98, 40)
    s, u = (m.ravel()[:, None, None] for m in np.meshgrid(t, t))
    a, b, c, d = (body.corners[:, k][None] for k in range(4))
    points = ((a * (1 - s) + b * s) * (1 - u) + (d * (1 - s) + c * s) * u).reshape(-1, 3)
    homogeneous = points @ matrix[:, :3].T + matrix[:, 3]
    x, y = np.round(homogeneous[:, :2] / homogeneous[:, 2:]).astype(int).T
    picture = np.full((320, 320), np.inf)
    inside = (x >= 0) & (x < 320) & (y >= 0) & (y < 320)
    np.minimum.at(picture, (y[inside], x[inside]), np.linalg.norm(points - eye, axis=1)[inside])
    return picture


def test_nothing_to_order():
    assert far_first([], [], AISLE.matrix(320), AISLE.position) == []
