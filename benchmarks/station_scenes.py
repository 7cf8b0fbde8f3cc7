"""Visits at one place, rendered with their truth: a hand brings a product, lets go, comes back and takes it away.

What goes wrong in shops happens here: unlisted products, two at once, a product that shows its back, light that jumps or drifts, a lens that
hunts for focus, a bumped table, a hand that rests on the product, a product that is nudged, hands that bring nothing, a dark shop, a covered lens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

import cv2
import numpy as np

from edgevision.demo.backdrops import VARIANTS, Backdrop, Place
from edgevision.demo.camera import Camera, Light, Pose, project
from edgevision.demo.hands import SKINS, Hand, paint_hand
from edgevision.demo.lens import Lens, through
from edgevision.demo.packages import package
from edgevision.demo.products import LISTED, Product, unlisted
from edgevision.demo.scene import UNLISTED_DESIGNS, Scene, SceneKind, render, sample_lens, sample_light
from edgevision.frames import ImageArray

FPS = 12.5
SIDE_PX = 384
_FINGER_CM = 1.9
_JPEG = 97
_CLEAR = Lens(
    slope=0.0, vignette=0.0, focus=0.0, noise=0.0, jpeg=0
)  # the lens comes later: the same scene is kept for many frames
_PLACES = (Place.TRAY, Place.BELT, Place.TABLE, Place.COUNTER)


class Kind(Enum):
    """What is special about a visit."""

    PLAIN = "plain"
    TURNED = "turned anyhow, its back perhaps"
    RESTING = "the hand rests on it"
    NUDGED = "nudged and turned after a while"
    JUMP = "the light jumps"
    DRIFT = "the light drifts"
    SOFT = "the lens hunts for focus"
    BUMPED = "the table is bumped"
    UNLISTED = "unlisted"
    TWO = "two listed at once"
    MIXED = "a listed and an unlisted one at once"
    HAND = "a hand that brings nothing"
    DARK = "the light is off for a while"
    COVERED = "the lens is covered for a while"


# Of twenty placements. The last three are none; a session has one of them.
CYCLE = (Kind.PLAIN,) * 8 + (
    Kind.TURNED, Kind.RESTING, Kind.NUDGED, Kind.JUMP, Kind.DRIFT, Kind.SOFT, Kind.BUMPED, *(Kind.UNLISTED,) * 3, Kind.TWO, Kind.MIXED,
)  # fmt: skip
EMPTY = (Kind.HAND, Kind.DARK, Kind.COVERED)
_LONGER_S = {Kind.NUDGED: 1.4, Kind.DARK: 0.6, Kind.COVERED: 0.6}  # so that what is to happen has the time


@dataclass(frozen=True)
class Visit:
    """One visit, in seconds of its session. ``labels``: of the products, None for an unlisted one; empty where none is placed.

    ``begins_s``: the place is empty from here to ``enters_s``, when the first thing moves; ``ends_s``: it is empty again. ``moving``: when anything
    moves before the camera, as (from, to).
    """

    kind: Kind
    labels: tuple[int | None, ...]
    begins_s: float
    enters_s: float
    ends_s: float
    moving: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class _Plan:
    """A visit before it is drawn; times are those of ``Visit``."""

    visit: Visit
    products: tuple[tuple[Product, Pose], ...]
    put_s: float  # the product lies from here
    free_s: float  # the hand is out of the picture
    nudge_s: float  # half a second of it
    back_s: float  # the hand comes for the product
    take_s: float  # the product leaves with it
    change: float  # of light, focus or place, as the kind has it
    side: float  # where the hand comes from


@dataclass
class Session:
    """One place and camera, with ``count`` placements and one visit that is none, from ``seed``.

    >>> session = Session(seed=1, count=2)
    >>> [len(visit.labels) > 0 for visit in session.visits].count(True)
    2
    """

    seed: int
    count: int
    kinds: tuple[Kind, ...] = ()
    visits: tuple[Visit, ...] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng((0x57A7, self.seed))
        zoom = float(rng.uniform(1.2, 1.6))
        view_cm = float(rng.uniform(38, 44))
        self._camera = Camera(
            (0.0, 0.0, 9.0),
            zoom * view_cm,
            float(rng.normal(0, 6)),
            float(rng.uniform(38, 58)),
            float(rng.normal(0, 2)),
            zoom,
        )
        self._backdrop = Backdrop(
            _PLACES[int(rng.integers(len(_PLACES)))], int(rng.integers(VARIANTS)), float(rng.uniform(-10, 10)),
            (float(rng.uniform(-3, 3)), float(rng.uniform(-3, 3))), float(rng.uniform(50, 90)),
        )  # fmt: skip
        self._light: Light = sample_light(rng)
        self._lens = _on_a_stand(rng)
        self._skin = int(rng.integers(len(SKINS)))
        chosen = self.kinds or _shares(self.seed, self.count)
        order = [*chosen, EMPTY[self.seed % len(EMPTY)]]
        self._plans: list[_Plan] = []
        now_s = 1.0  # the place is learnt
        for place in rng.permutation(len(order)):
            plan = self._planned(rng, order[int(place)], now_s)
            self._plans.append(plan)
            now_s = plan.visit.ends_s
        self.visits = tuple(plan.visit for plan in self._plans)
        self._kept: dict[object, ImageArray] = {}

    def frames(self) -> Iterator[tuple[float, ImageArray]]:
        """(seconds, S×S×3 BGR uint8) at 12.5 frames a second, from the empty place at first to that at the end."""
        count = int((self.visits[-1].ends_s + 0.8) * FPS)
        for index in range(count):
            at_s = index / FPS
            plan = next((one for one in self._plans if one.visit.begins_s <= at_s < one.visit.ends_s), None)
            yield at_s, self._frame(plan, at_s, index)

    # ---- chance ----

    def _planned(self, rng: np.random.Generator, kind: Kind, begins_s: float) -> _Plan:
        products = self._products(rng, kind)
        enters_s = begins_s + float(rng.uniform(0.3, 0.5))
        put_s = enters_s + float(rng.uniform(0.45, 0.8))
        rests_s = float(rng.uniform(0.5, 1.2)) if kind is Kind.RESTING else 0.0
        free_s = put_s + rests_s + float(rng.uniform(0.25, 0.5))
        lies_s = float(rng.uniform(1.2, 1.6))
        nudge_s = free_s + 1.0 if kind is Kind.NUDGED else math.inf
        back_s = free_s + lies_s + _LONGER_S.get(kind, 0.0)
        take_s = back_s + float(rng.uniform(0.25, 0.4))
        ends_s = take_s + float(rng.uniform(0.35, 0.5)) + 0.6
        moving = [(enters_s, free_s), (back_s, ends_s - 0.6)]
        if kind is Kind.NUDGED:
            moving.insert(1, (nudge_s, nudge_s + 1.0))
        if kind is Kind.BUMPED:
            moving.insert(1, (free_s, free_s + 0.4))
        labels = tuple(LISTED.index(product) if product in LISTED else None for product, _ in products)
        change = {
            Kind.JUMP: float(rng.choice([0.7, 1.25])), Kind.DRIFT: float(rng.choice([0.75, 1.2])), Kind.SOFT: float(rng.uniform(3, 5)),
            Kind.BUMPED: float(rng.uniform(2, 5)), Kind.NUDGED: float(rng.uniform(-35, 35)),
        }.get(kind, 0.0)  # fmt: skip
        if kind in (Kind.DARK, Kind.COVERED):
            moving = [(enters_s, take_s)]
        visit = Visit(kind, labels, begins_s, enters_s, ends_s, tuple(moving))
        plan = _Plan(visit, products, put_s, free_s, nudge_s, back_s, take_s, change, float(rng.uniform(0.25, 0.75)))
        if not products:
            return plan
        seen = [(begin, self._out_of_sight_s(plan, begin, end)) for begin, end in moving]
        return replace(plan, visit=replace(visit, moving=tuple(seen)))

    def _out_of_sight_s(self, plan: _Plan, begins_s: float, ends_s: float) -> float:
        """When, at the end of a movement, the last of the hand leaves the picture: before its way is over."""
        at_s = ends_s - 0.01
        while at_s > begins_s and ends_s < plan.back_s:
            away = self._hand_away(plan, at_s)
            if away is not None:
                hand = self._hand(plan, at_s, away)
                if hand.at[1] - 2 * hand.size < 1.0:  # a finger, and the soft edge of its shadow
                    return at_s
            elif plan.visit.kind is Kind.BUMPED and begins_s == plan.free_s:
                return ends_s
            at_s -= 0.01
        return ends_s

    def _products(self, rng: np.random.Generator, kind: Kind) -> tuple[tuple[Product, Pose], ...]:
        def listed() -> Product:
            return LISTED[int(rng.integers(len(LISTED)))]

        def stranger() -> Product:
            return unlisted(int(rng.integers(UNLISTED_DESIGNS)))

        if kind in EMPTY:
            return ()
        yaw = float(rng.uniform(0, 360)) if kind is Kind.TURNED else float(np.clip(rng.normal(0, 24), -60, 60))
        first = stranger() if kind is Kind.UNLISTED else listed()
        pose = Pose(yaw, x=float(rng.uniform(-4, 4)), y=float(rng.uniform(-3, 3)))
        if kind not in (Kind.TWO, Kind.MIXED):
            return ((first, pose),)
        second = stranger() if kind is Kind.MIXED else listed()
        gap = package(first).size[0] / 2 + package(second).size[0] / 2 + float(rng.uniform(0.5, 4.0))
        yaw = float(np.clip(rng.normal(0, 20), -40, 40))
        return (first, replace(pose, x=-gap / 2)), (second, Pose(yaw, x=gap / 2, y=float(rng.uniform(-3, 3))))

    # ---- drawing ----

    def _frame(self, plan: _Plan | None, at_s: float, index: int) -> ImageArray:
        lens = replace(self._lens, grain=self._lens.grain + index)
        if plan is None:
            return through(self._scene(()), lens)
        kind, lies = plan.visit.kind, plan.free_s <= at_s < plan.back_s
        if kind is Kind.DARK and plan.visit.enters_s <= at_s < plan.take_s:
            return through(self._scene(()), replace(lens, exposure=0.03, jpeg=0))
        if kind is Kind.COVERED and plan.visit.enters_s <= at_s < plan.take_s:
            palm = np.full((SIDE_PX, SIDE_PX, 3), SKINS[self._skin], np.uint8)
            return through(palm, replace(lens, exposure=0.4))
        frame = self._scene(self._posed(plan, at_s))
        away = self._hand_away(plan, at_s)
        if away is not None:
            frame = frame.copy()
            paint_hand(frame, self._hand(plan, at_s, away))
        if kind is Kind.BUMPED and plan.free_s <= at_s < plan.free_s + 0.4:
            swing = plan.change * math.sin(40.0 * (at_s - plan.free_s)) * (1 - (at_s - plan.free_s) / 0.4)
            shift = np.array([[1, 0, swing], [0, 1, 0.6 * swing]], np.float64)
            frame = np.asarray(
                cv2.warpAffine(frame, shift, frame.shape[1::-1], borderMode=cv2.BORDER_REFLECT), np.uint8
            )
            lens = replace(lens, motion=8.0)
        if kind is Kind.JUMP and at_s >= plan.free_s + 0.1 and at_s < plan.take_s:
            lens = replace(lens, exposure=lens.exposure * plan.change)
        if kind is Kind.DRIFT:
            share = min(max((at_s - plan.visit.enters_s) / 3.0, 0.0), 1.0) * (at_s < plan.visit.ends_s - 0.5)
            lens = replace(lens, exposure=lens.exposure * (1 + share * (plan.change - 1)))
        if (
            kind is Kind.SOFT
            and at_s < plan.take_s
            and at_s >= plan.visit.enters_s
            and not (lies and at_s > plan.free_s + 1.0)
        ):
            lens = replace(lens, focus=plan.change)
        return through(frame, lens)

    def _scene(self, items: tuple[tuple[Product, Pose], ...]) -> ImageArray:
        """The place with ``items`` as no lens sees it; not to be written to."""
        if items not in self._kept:
            if len(self._kept) > 8:
                self._kept.pop(next(key for key in self._kept if key))
            (product, pose), *others = items or ((None, Pose()),)
            kind = SceneKind.LISTED if product in LISTED else SceneKind.UNLISTED
            self._kept[items] = render(
                Scene(
                    SceneKind.EMPTY if product is None else kind,
                    self._camera,
                    self._backdrop,
                    product,
                    pose,
                    tuple((one, at) for one, at in others if one is not None),
                    None,
                    self._light,
                    _CLEAR,
                    SIDE_PX,
                )
            )
        return self._kept[items]

    def _posed(self, plan: _Plan, at_s: float) -> tuple[tuple[Product, Pose], ...]:
        """The products where they are at this moment: on their way, lying, or away."""
        visit = plan.visit
        if at_s < visit.enters_s or at_s >= visit.ends_s - 0.6:
            return ()
        if at_s < plan.put_s:
            left = (plan.put_s - at_s) / (plan.put_s - visit.enters_s)
        elif at_s >= plan.take_s:
            left = (at_s - plan.take_s) / (visit.ends_s - 0.6 - plan.take_s)
        else:
            left = 0.0
        turned = 0.0
        if at_s >= plan.nudge_s + 0.3:
            turned = plan.change * min(1.0, (at_s - plan.nudge_s - 0.3) / 0.4)
        return tuple(
            (
                product,
                replace(
                    pose, yaw=pose.yaw + 25 * left**2 + turned, y=pose.y - 48 * left**1.5,
                    x=pose.x + 10 * (plan.side - 0.5) * left + 0.05 * turned, lift=9 * left,
                ),
            )
            for product, pose in plan.products
        )  # fmt: skip

    def _hand_away(self, plan: _Plan, at_s: float) -> float | None:
        """How far the hand is back on its way, 0…1; None where it is out of the picture."""
        visit, kind = plan.visit, plan.visit.kind
        if kind in (Kind.DARK, Kind.COVERED) or at_s < visit.enters_s or at_s >= visit.ends_s - 0.6:
            return None
        if kind is Kind.HAND:
            middle = (visit.enters_s + plan.back_s) / 2
            away = abs(at_s - middle) / 1.0
            return away if away < 1 else None
        if at_s < plan.put_s or at_s >= plan.take_s:
            return 0.0  # with the product
        if at_s < plan.free_s:
            leaves_s = max(plan.put_s, plan.free_s - 0.4)
            return max(0.0, (at_s - leaves_s) / (plan.free_s - leaves_s))
        if plan.nudge_s <= at_s < plan.nudge_s + 1.0:
            return min(1.0, abs(at_s - plan.nudge_s - 0.5) / 0.3) if abs(at_s - plan.nudge_s - 0.5) > 0.2 else 0.0
        if at_s >= plan.back_s:
            return (plan.take_s - at_s) / (plan.take_s - plan.back_s)
        return None

    def _hand(self, plan: _Plan, at_s: float, away: float) -> Hand:
        items = self._posed(plan, at_s)
        middle = np.mean([(pose.x, pose.y, pose.lift) for _, pose in items], axis=0) if items else np.zeros(3)
        height = max((package(product).size[2] for product, _ in items), default=8.0)
        point = middle + np.array([0.0, -2.0, 0.6 * height])
        at = (project(self._camera.matrix(SIDE_PX), point) + 0.5) / SIDE_PX
        tremble = 0.002 * np.array([math.sin(31 * at_s), math.cos(23 * at_s)])
        home = np.array([plan.side, 1.5])
        tip = at + tremble + away**1.5 * (home - at)
        towards = at - home
        angle = float(np.degrees(np.arctan2(towards[1], towards[0])))
        size = _FINGER_CM * self._camera.zoom / self._camera.distance_cm
        return Hand((float(tip[0]), float(tip[1])), angle, size, 3 + self.seed % 2, 0.3, self._skin, arm=40.0)


def camera_frames(session: Session, folder: Path | None) -> Iterator[tuple[float, ImageArray]]:
    """The session's frames as a camera with good JPEGs sends them. ``folder``: where they are kept, so that they are drawn once; None: nowhere."""
    kept = None if folder is None else folder / f"{session.seed}-{session.count}.npz"
    if kept is not None and kept.is_file():
        with np.load(kept) as stored:
            times, ends, data = stored["times"], stored["ends"], stored["data"]
        begins = np.concatenate([[0], ends[:-1]])
        for at_s, begin, end in zip(times.tolist(), begins.tolist(), ends.tolist(), strict=True):
            yield at_s, _decoded(data[begin:end])
        return
    times_s: list[float] = []
    coded: list[np.ndarray] = []
    for at_s, picture in session.frames():
        times_s.append(at_s)
        coded.append(cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, _JPEG))[1])
        yield at_s, _decoded(coded[-1])
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        written = kept.with_suffix(".part.npz")
        ends = np.cumsum([len(one) for one in coded])
        np.savez(written, times=np.array(times_s), ends=ends, data=np.concatenate(coded))
        written.rename(kept)


def _decoded(coded: np.ndarray) -> ImageArray:
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def _shares(seed: int, count: int) -> tuple[Kind, ...]:
    """``count`` kinds; over consecutive seeds all come in their shares of the cycle."""
    order = np.random.default_rng((0xC1C1E, seed * count // len(CYCLE))).permutation(len(CYCLE))
    return tuple(CYCLE[int(order[(seed * count + place) % len(CYCLE)])] for place in range(count))


def _on_a_stand(rng: np.random.Generator) -> Lens:
    return replace(
        sample_lens(rng), motion=0.0, focus=float(rng.uniform(0.3, 1.1)), noise=float(rng.uniform(0.8, 3.5)),
        exposure=float(np.exp(rng.normal(0.03, 0.09))), vignette=float(rng.uniform(0, 0.25)),
        slope=float(rng.uniform(0, 0.15)), jpeg=int(rng.integers(70, 96)),
    )  # fmt: skip
