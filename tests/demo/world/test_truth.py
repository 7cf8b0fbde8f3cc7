"""The truth of rendered scenes against a depth buffer that shares nothing with the painter but the scene itself."""

import cv2
import numpy as np
import pytest

from edgevision.demo.hands import paint_hand
from edgevision.demo.raster import Outline, paint_solid, solid
from edgevision.demo.world.truth import CROWD_BELOW, Corners, Owners, Seen, Snapshot
from edgevision.demo.world.worlds import Place, make_world
from edgevision.evaluate.data.boxes import Box, PhotoBoxes

HEIGHT, WIDTH = 180, 240
MOMENTS = [
    (place, seed, 1.5 + 4.7 * seed)
    for place, seeds in ((Place.SHELF, (0, 3)), (Place.CONVEYOR, (0, 1, 2)), (Place.TRAY, (1, 2, 3)))
    for seed in seeds
]


def triangles(corners):
    """Both halves of quads [n, 4, 3]."""
    return np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])


def draw(depth, owner, matrix, parts, who):
    """Fill triangles [n, 3, 3] (cm) into a depth buffer, at the middles of pixels; float64, one triangle at a time."""
    homogeneous = parts @ matrix[:, :3].T + matrix[:, 3]
    for corners in homogeneous:
        x, y = corners[:, 0] / corners[:, 2], corners[:, 1] / corners[:, 2]
        x0, x1 = max(0, int(np.ceil(x.min()))), min(WIDTH - 1, int(np.floor(x.max())))
        y0, y1 = max(0, int(np.ceil(y.min()))), min(HEIGHT - 1, int(np.floor(y.max())))
        area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
        if x0 > x1 or y0 > y1 or abs(area) < 1e-9:
            continue
        px, py = np.meshgrid(np.arange(x0, x1 + 1), np.arange(y0, y1 + 1))
        shares = []
        for k in range(3):
            i, j = (k + 1) % 3, (k + 2) % 3
            shares.append(((x[j] - x[i]) * (py - y[i]) - (y[j] - y[i]) * (px - x[i])) / area)
        inside = np.minimum.reduce(shares) >= 0
        away = 1 / sum(share / w for share, w in zip(shares, corners[:, 2], strict=True))
        room, rooms = depth[y0 : y1 + 1, x0 : x1 + 1], owner[y0 : y1 + 1, x0 : x1 + 1]
        nearer = inside & (away < room)
        room[nearer], rooms[nearer] = away[nearer], who


def seen_by_depth(world, time_s):
    """Owner of each pixel (-1: nobody), and the whole silhouette of every product alone, by id."""
    depth, owner = np.full((HEIGHT, WIDTH), np.inf), np.full((HEIGHT, WIDTH), -1)
    alone = {}
    for layer in world.layers(time_s):
        for surface in layer.surfaces:
            corner, right, down = (np.array(v) for v in (surface.corner, surface.right, surface.down))
            quad = np.array([corner, corner + right, corner + right + down, corner + down])
            # A little farther, so that what stands on it wins.
            draw(depth, owner, world.matrix, triangles(quad[None] + 0.002 * (quad[None] - world.eye)), -1)
        for item in layer.items:
            parts = triangles(solid(item.product).posed(item.pose).corners)
            draw(depth, owner, world.matrix, parts, item.id)
            mine = np.full((HEIGHT, WIDTH), -1)
            draw(np.full((HEIGHT, WIDTH), np.inf), mine, world.matrix, parts, item.id)
            alone[item.id] = mine == item.id
    for hand in world.hands(time_s):
        owner[paint_hand(np.zeros((HEIGHT, WIDTH, 3), np.uint8), hand) >= 128] = -1
    return owner, alone


def edges(mask):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


@pytest.mark.parametrize(("place", "seed", "time_s"), MOMENTS)
def test_boxes_and_shares_are_those_of_a_depth_buffer(place, seed, time_s):
    world = make_world(place, seed, HEIGHT, WIDTH)
    snapshot = world.at(time_s)
    owner, alone = seen_by_depth(world, time_s)
    found = {one.id: one for one in snapshot.seen}
    # A row of single pixels above what stands in front is there or not by half a pixel.
    assert {id for id in alone if (owner == id).sum() > about(alone[id])} <= set(
        found
    )  # nothing that can be seen is missing
    expected = {id for id in alone if (owner == id).sum() > 12} & set(found)
    assert all(
        (owner == id).sum() > 0 for id, one in found.items() if one.pixels > about(alone[id])
    )  # and nothing is made up
    assert len(expected) >= 3
    for id in expected:
        # OpenCV's polygons take the pixels that their edges touch too: about half a pixel more all round.
        one, mine, whole = found[id], owner == id, alone[id]
        assert one.pixels == pytest.approx(mine.sum(), abs=about(whole))
        if not inside(one.full):
            continue
        assert np.abs(np.array(one.full) - edges(whole)).max() <= 1
        assert one.visible == pytest.approx(mine.sum() / whole.sum(), abs=0.1)
        if mine.sum() == whole.sum():
            assert np.abs(np.array(one.box) - one.full).max() <= 1
        elif one.visible > 0.4:  # of what is mostly hidden, slivers of a pixel's width come and go
            assert np.abs(np.array(one.box) - edges(mine)).max() <= 4


def about(whole):
    """Pixels that half a pixel all round may be, of this silhouette."""
    return 12 + 0.14 * whole.sum()


def inside(corners):
    return min(corners) >= 0 and corners[2] <= WIDTH and corners[3] <= HEIGHT


@pytest.mark.parametrize("place", Place)
def test_boxes_fit_flat_masks_to_the_pixel(place):
    """Each product alone on black and on white: where the ground is half gone, the product is."""
    world = make_world(place, 5, HEIGHT, WIDTH)
    snapshot = world.at(3.0)
    items = {item.id: item for layer in world.layers(3.0) for item in layer.items}
    for one in snapshot.seen:
        body = solid(items[one.id].product).posed(items[one.id].pose)
        frames = [np.full((HEIGHT, WIDTH, 3), grey, np.uint8) for grey in (0, 255)]
        for frame in frames:
            paint_solid(frame, body, world.matrix, world.eye, world.light)
        covered = 255 - (frames[1].astype(int) - frames[0]).max(axis=2) >= 128
        if inside(one.full):
            assert edges(covered).tolist() == list(one.full)
        assert one.label == items[one.id].label
        if one.visible == 1:
            assert one.box == one.full
            assert one.pixels == covered.sum()
        assert one.full.x1 <= one.box.x1 < one.box.x2 <= one.full.x2
        assert one.full.y1 <= one.box.y1 < one.box.y2 <= one.full.y2


def rectangle(left, top, width, height):
    return Outline(left, top, np.full((height, width), 255, np.uint8))


def test_owners_by_hand():
    """A 4×6 product, of which 2 columns lie outside of the frame; then one over its lower half; then a hand."""
    owners = Owners(10, 12)
    owners.add(7, 3, rectangle(-2, 1, 6, 4))
    owners.add(2, 0, rectangle(0, 3, 4, 5))
    before = owners.copy()
    hand = np.zeros((10, 12), np.uint8)
    hand[:, 1], hand[:, 2] = 127, 128  # less than half, and half of the pixel
    owners.hide(hand)
    lower, upper = owners.seen()
    assert upper == Seen(7, 3, Corners(0, 1, 4, 3), Corners(-2, 1, 4, 5), 6, 6 / 24)
    assert lower == Seen(2, 0, Corners(0, 3, 4, 8), Corners(0, 3, 4, 8), 15, 15 / 20)
    assert [one.pixels for one in before.seen()] == [20, 8]
    owners.add(9, 1, rectangle(0, 0, 12, 10))
    assert [one.id for one in owners.seen()] == [9]  # the others are wholly hidden


def test_what_is_mostly_hidden_is_crowd():
    box = Corners(2, 3, 10, 20)
    seen = tuple(Seen(k, 4, box, box, 30, CROWD_BELOW + step) for k, step in enumerate((-0.001, 0.0)))
    truth = Snapshot(np.zeros((40, 60, 3), np.uint8), 0.0, seen).truth
    assert truth == PhotoBoxes(40, 60, tuple(Box(4, 2, 3, 10, 20, crowd, 30.0) for crowd in (True, False)))


def test_a_hand_hides_what_is_under_it():
    world = make_world(Place.TRAY, 3, HEIGHT, WIDTH)
    times = [t for t in np.arange(0.5, 8, 0.1) if world.hands(t)]
    shares = {one.id: one.visible for one in world.at(0.0).seen}
    reached = 0
    for time_s in times[:8]:
        hidden = np.zeros((HEIGHT, WIDTH), np.uint8)
        for hand in world.hands(time_s):
            hidden = np.maximum(hidden, paint_hand(np.zeros((HEIGHT, WIDTH, 3), np.uint8), hand))
        reached += cv2.countNonZero(hidden)
        for one in world.at(time_s).seen:
            x1, y1, x2, y2 = (int(v) for v in one.box)
            assert one.pixels <= (hidden[y1:y2, x1:x2] < 128).sum()
            assert one.visible <= shares.get(one.id, 1.0)
    assert reached > 0
