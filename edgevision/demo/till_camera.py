"""The place at a till, for as long as anybody looks: a hand brings a product, lets go, comes back and takes it away."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from edgevision.demo.backdrops import Backdrop, Place
from edgevision.demo.camera import Camera, Light, Pose, project
from edgevision.demo.hands import SKINS, Hand
from edgevision.demo.lens import Lens, through
from edgevision.demo.packages import package
from edgevision.demo.products import LISTED, Product, unlisted
from edgevision.demo.scene import UNLISTED_DESIGNS, Scene, SceneKind, render
from edgevision.errors import InputError
from edgevision.frames import ImageArray

SIDE_PX = 400
PERIOD_S = 11.0  # from one product to the next: time to look at the page, and at the empty place
FIRST_S = 6.0  # the place is empty at first: whoever looks learns it, on a slow machine too
# Seconds of a visit: the hand comes with it, it stands, the hand is out of the picture; the hand comes for it, has it, is gone with it.
_ENTERS_S, _STANDS_S, _FREE_S, _BACK_S, _TAKES_S, _GONE_S = 0.3, 1.2, 1.8, 6.8, 7.4, 8.2
_FAR_CM = 42.0  # outside the picture
_FINGER_CM = 1.9
_BARE = Lens(
    vignette=0.0, focus=0.0, noise=0.0, jpeg=0
)  # the lens comes later: the scene stays the same while nothing moves
# Of ten visits: seven listed products as they are put down, one that shows its side, two unlisted ones.
_ROUND = ("listed",) * 7 + ("turned",) + ("unlisted",) * 2


@dataclass(frozen=True)
class Visit:
    """One product at the till. ``number``: counts them from 0."""

    number: int
    kind: SceneKind
    product: Product
    pose: Pose


class Visits:
    """The same seed always shows the same. Moments are seconds from the beginning. Raises InputError for a side that cannot be.

    >>> visits = Visits(seed=0)
    >>> visits.visit_at(0.0) is None, visits.visit_at(9.0).number
    (True, 0)
    """

    def __init__(self, seed: int = 0, side_px: int = SIDE_PX) -> None:
        if not 64 <= side_px <= 2000:
            raise InputError(f"the till's picture has a side of 64 to 2000 pixels, got {side_px}")
        self._seed = seed
        self._side_px = side_px
        rng = np.random.default_rng((0x5409, seed))
        self._camera = Camera(
            (0.0, 0.0, 9.0), 1.4 * 37.0, float(rng.normal(0, 3)), float(rng.uniform(38, 46)), 0.0, 1.4
        )
        self._backdrop = Backdrop(Place.TRAY, int(rng.integers(3)), 0.0, (0.0, 0.0), 70.0)
        self._light = Light(float(rng.uniform(-60, 60)), 60.0, 0.6, 0.5)
        self._lens = Lens(vignette=0.12, focus=1.0, noise=1.5, jpeg=0)
        self._skin = int(rng.integers(len(SKINS)))
        self._still = lru_cache(maxsize=2)(
            lambda number: self._scene(self._visit(number) if number >= 0 else None, None, None)
        )

    def visit_at(self, time_s: float) -> Visit | None:
        """Whose product stands there, let go of, at that moment; None for nobody's."""
        number, into_s = self._place_in_time(time_s)
        return self._visit(number) if number >= 0 and _FREE_S <= into_s < _BACK_S else None

    def frame(self, time_s: float) -> ImageArray:
        """The picture of that moment: S×S×3 uint8 BGR."""
        number, into_s = self._place_in_time(time_s)
        lens = replace(self._lens, grain=round(time_s * 1000))
        if number < 0 or not _ENTERS_S <= into_s < _GONE_S:
            return through(self._still(-1), lens)
        if _FREE_S <= into_s < _BACK_S:
            return through(self._still(number), lens)
        visit = self._visit(number)
        with_product = _carried(into_s, _ENTERS_S, _STANDS_S, _TAKES_S, _GONE_S)
        hand_away = _carried(into_s, _ENTERS_S, _STANDS_S, _TAKES_S, _GONE_S)
        if _STANDS_S <= into_s < _FREE_S:
            hand_away = _smooth((into_s - _STANDS_S) / (_FREE_S - _STANDS_S))
        elif _BACK_S <= into_s < _TAKES_S:
            hand_away = 1 - _smooth((into_s - _BACK_S) / (_TAKES_S - _BACK_S))
        return through(self._scene(visit, with_product, hand_away), lens)

    def _place_in_time(self, time_s: float) -> tuple[int, float]:
        """The number of the visit, -1 before the first, and the seconds since it began."""
        if time_s < FIRST_S:
            return -1, 0.0
        number = int((time_s - FIRST_S) // PERIOD_S)
        return number, time_s - FIRST_S - number * PERIOD_S

    def _visit(self, number: int) -> Visit:
        order = np.random.default_rng((0x5409, self._seed, 1, number // len(_ROUND))).permutation(len(_ROUND))
        kind = _ROUND[int(order[number % len(_ROUND)])]
        rng = np.random.default_rng((0x5409, self._seed, 2, number))
        yaw = float(rng.uniform(75, 105)) if kind == "turned" else float(np.clip(rng.normal(0, 18), -40, 40))
        pose = Pose(yaw, x=float(rng.uniform(-2, 2)), y=float(rng.uniform(-2, 1)))
        if kind == "unlisted":
            return Visit(number, SceneKind.UNLISTED, unlisted(int(rng.integers(UNLISTED_DESIGNS))), pose)
        return Visit(number, SceneKind.LISTED, LISTED[int(rng.integers(len(LISTED)))], pose)

    def _scene(self, visit: Visit | None, product_away: float | None, hand_away: float | None) -> ImageArray:
        """Before the lens. ``…_away``: 0 where it is to stand … 1 outside the picture; None for the hand: there is none."""
        empty = Scene(
            SceneKind.EMPTY, self._camera, self._backdrop, light=self._light, lens=_BARE, side_px=self._side_px
        )
        if visit is None:
            return render(empty)
        away = product_away or 0.0
        pose = replace(visit.pose, x=visit.pose.x + away * _FAR_CM, lift=6.0 * min(1.0, 4 * away))
        hand = None if hand_away is None else self._hand(visit, pose, hand_away)
        return render(replace(empty, kind=visit.kind, product=visit.product, pose=pose, hand=hand))

    def _hand(self, visit: Visit, pose: Pose, away: float) -> Hand:
        width, _, height = package(visit.product).size
        x = visit.pose.x + away * _FAR_CM + 0.3 * width
        grip = np.array([[x, pose.y, pose.lift + 0.6 * height], [x + _FINGER_CM, pose.y, pose.lift + 0.6 * height]])
        tip, beside = project(self._camera.matrix(self._side_px), grip) / self._side_px
        size = float(np.linalg.norm(beside - tip))
        return Hand((float(tip[0]), float(tip[1])), 180.0, size, 4, 0.25, self._skin)


def _carried(into_s: float, enters_s: float, stands_s: float, takes_s: float, gone_s: float) -> float:
    """How far a product is from its place: 1 outside, 0 while it stands."""
    if into_s < stands_s:
        return 1 - _smooth((into_s - enters_s) / (stands_s - enters_s))
    return _smooth((into_s - takes_s) / (gone_s - takes_s))


def _smooth(share: float) -> float:
    """From 0 to 1, beginning and ending gently."""
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)
