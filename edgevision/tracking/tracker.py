"""ByteTrack in seconds: which box of this frame is which product of the frames before.

After Y. Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", ECCV 2022: boxes with high scores
are associated first, then those with low ones, for a covered product still has a box, only a weak one. Here the life of a
track is counted in seconds of camera time, so that it does not change with the frame rate or with dropped frames; and what is
seen for the second time is looked for where others went before (``flow``), and where it can have moved to.

Where no frame comes for a while, as when a connection breaks, nobody looked: tracks do not end by it (``gap``), and what is first seen after it was
somewhere else before, if it moves. So a product that crosses a line meanwhile is counted, if it is seen after.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.tracking.assignment import assign
from edgevision.tracking.detected import Columns, Detected, camera_of, check_columns, check_weights, time_of
from edgevision.tracking.flow import Flow
from edgevision.tracking.gap import Gap, Rhythm
from edgevision.tracking.motion import JITTER, Floats, Motion, scale_of
from edgevision.tracking.overlap import iou
from edgevision.tracking.tracks import Tracks

Rows = npt.NDArray[np.int64]

LEAST_SIGHTINGS = 3  # before a track is confirmed: two false boxes find each other by chance, three hardly ever
LEAST_FREQUENCY = 0.5  # of the frames since it was first seen, in which a track is found before it is confirmed
REACH = 2.0  # standard deviations: how far from its prediction an uncertain track is looked for
MOST_REACH = 0.5  # sizes: and no further than that
LATELY_S = 0.2  # a track that is not seen for longer is lost: no weak box continues it
DOUBLE_IOU = 0.5  # a box that overlaps a stronger one more than that is taken for a second box on the same product
LEAST_SHARE = 0.2  # of its usual score: under that, a box is not taken for more inexact
WAY = 12  # sightings that the velocity over a gap is taken from
FLOW_STEP = 0.5  # sizes: a track that moved so far tells its velocity to those that follow
LEAST_MOVE = 3 * JITTER  # sizes, from the first sighting to the id: what moves less is taken to stand


@dataclass(frozen=True)
class TrackerOptions:
    """How a tracker decides. The defaults suit products on belts and shelves, at 3 to 60 frames a second.

    ``high_score``: detections with this score or more begin tracks, and are associated first. ``low_score``: those between continue
    a track; those under it are not looked at. ``least_iou``: boxes that overlap their prediction no more than that are not its product.
    ``confirm_s``: a track gets its id when it has been seen for that many seconds of camera time, at least three times, and in at least half
    of the frames. ``lost_s``: a confirmed track that is not seen for longer ends; more than the longest time between two frames.
    ``gap_s``: the longest time without any frame that ends no track, for nobody looked, see ``gap``; 0: every time counts.
    ``class_aware``: associate boxes of equal classes only; for detectors that never take one product for another.
    """

    high_score: float = 0.5
    low_score: float = 0.1
    least_iou: float = 0.1
    confirm_s: float = 0.15
    lost_s: float = 1.0
    gap_s: float = 3.0
    class_aware: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.low_score <= self.high_score <= 1:
            raise InputError(
                f"expected 0 ≤ low_score ≤ high_score ≤ 1, got low_score={self.low_score}, high_score={self.high_score}"
            )
        if not 0 <= self.least_iou < 1:
            raise InputError(f"least_iou is a share of 0 up to, not including, 1, got {self.least_iou}")
        for name in ("confirm_s", "lost_s", "gap_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} is a number of seconds, 0 or more, got {value}")


@dataclass
class _Life:
    """What is known of a track besides its motion."""

    first_s: float
    first_box: Floats
    flow_center: Floats  # where it was when it last told its velocity
    came_from: Floats  # where it was before a gap that ended when it was first seen; else where it was first seen
    unlooked_s: float = 0.0  # for so long it can have moved before it was first seen, with nobody looking
    unseen_s: float = 0.0
    way: deque[tuple[float, Floats]] = field(default_factory=lambda: deque(maxlen=WAY))  # when and where it was seen
    id: int | None = None
    frames: int = 1  # since it was first seen
    unseen_frames: int = 0
    sightings: int = 1
    score_sum: float = 0.0
    votes: dict[int, float] = field(default_factory=dict)  # class → sum of scores times weights

    def see(self, score: float, kind: int, weight: float) -> None:
        self.unseen_s, self.unseen_frames = 0.0, 0
        self.sightings += 1
        self.vote(score, kind, weight)

    def vote(self, score: float, kind: int, weight: float) -> None:
        self.score_sum += score
        self.votes[kind] = self.votes.get(kind, 0.0) + score * weight

    @property
    def kind(self) -> int:
        """The class with most of the votes; of equal ones the first that was seen."""
        return max(self.votes, key=self.votes.__getitem__)

    @property
    def believable(self) -> bool:
        return self.frequent and self.sightings >= LEAST_SIGHTINGS

    @property
    def frequent(self) -> bool:
        return self.sightings >= LEAST_FREQUENCY * self.frames


class Tracker:
    """Gives products their ids, frame after frame of one camera. One thread at a time uses it.

    Ids count up from 1, are never used again, and are given to confirmed tracks alone.

    >>> tracker = Tracker()
    >>> for frame in range(4):  # ten frames a second
    ...     tracks = tracker.update_arrays([[10 + 9 * frame, 20, 60 + 9 * frame, 90]], [0.9], [0], time_s=frame / 10)
    ...     print(tracks.ids)
    (None,)
    (None,)
    (1,)
    (1,)
    """

    def __init__(self, options: TrackerOptions | None = None, *, camera: str | None = None) -> None:
        self.options = TrackerOptions() if options is None else options
        self.camera = camera
        self._next_id = 1
        self._forget_all()

    def _forget_all(self) -> None:
        self._time_s: float | None = None
        self._rhythm = Rhythm()
        self._gap: Gap | None = None  # before this frame
        self._after_gap: Gap | None = None  # the last one, while it tells what new tracks did before
        self._motion = Motion()
        self._flow = Flow()
        self._lives: list[_Life] = []

    def reset(self) -> None:
        """Forget every track, as after a cut or a camera's restart. Ids go on counting: none comes twice."""
        self._forget_all()

    def update(self, detections: Detected, *, time_s: float | None = None) -> Tracks:
        """Associate the detections of one frame, and give back its tracks, in the detections' order.

        ``detections``: anything with the columns ``boxes``, ``scores`` and ``classes``. ``time_s``: camera time in seconds; without it,
        ``detections.frame.captured_ns`` is. Raises InputError for columns that make no sense, a time that does not come after
        the last one, and frames of another camera.
        """
        camera = camera_of(detections)
        if camera is not None and self.camera is not None and camera != self.camera:
            raise InputError(
                f"this tracker follows camera {self.camera!r}, got a frame of {camera!r}; make one for each"
            )
        seconds = time_of(detections, time_s)
        columns = check_columns(detections.boxes, detections.scores, detections.classes)
        weights = check_weights(None, len(columns.scores))
        tracks = self._step(columns, seconds, self.camera if camera is None else camera, weights)
        self.camera = tracks.camera
        return tracks

    def update_arrays(
        self,
        boxes: npt.NDArray[Any] | Sequence[Any],
        scores: npt.NDArray[Any] | Sequence[Any],
        classes: npt.NDArray[Any] | Sequence[Any],
        *,
        time_s: float,
        weights: npt.NDArray[Any] | Sequence[Any] | None = None,
    ) -> Tracks:
        """The same for plain arrays: ``boxes`` [n, 4] as x1 y1 x2 y2 in pixels, ``scores`` [n], ``classes`` [n].

        ``weights`` [n]: how much each box's class counts in the class of its track, 1 where it is left out; the association does not look
        at them. Raises InputError as ``update``.
        """
        columns = check_columns(boxes, scores, classes)
        return self._step(columns, float(time_s), self.camera, check_weights(weights, len(columns.scores)))

    def _step(self, found: Columns, time_s: float, camera: str | None, weights: Floats) -> Tracks:
        self._pass_time(time_s)
        self._look_after_gap(found, time_s)
        ended = self._drop(np.array([one.unseen_s <= self.options.lost_s for one in self._lives], bool))
        pairs = self._associate(found)
        self._motion.correct(pairs[:, 0], found.boxes[pairs[:, 1]], self._doubt(pairs, found))
        for track, detection in pairs.tolist():
            score, kind = float(found.scores[detection]), int(found.classes[detection])
            self._lives[track].see(score, kind, float(weights[detection]))
            self._lives[track].way.append((time_s, self._motion.center[track].copy()))
        self._confirm(pairs[:, 0], time_s)
        self._tell_flow(pairs[:, 0])

        fresh = found.scores >= self.options.high_score
        fresh[pairs[:, 1]] = False
        begun = self._begin(np.flatnonzero(fresh), found, time_s, weights)
        seen = np.concatenate([pairs, begun])
        tracks = self._tracks(seen[np.argsort(seen[:, 1])], found, ended, time_s, camera)
        self._drop(np.array([one.id is not None or one.frequent for one in self._lives], bool))
        return tracks

    def _pass_time(self, time_s: float) -> None:
        if not math.isfinite(time_s):
            raise InputError(f"time_s is a finite number of seconds, got {time_s}")
        if self._time_s is not None:
            if time_s <= self._time_s:
                raise InputError(
                    f"frames come in the order of their capture: expected a time after {self._time_s} s, got {time_s} s; "
                    "call reset() where a camera or a film begins again"
                )
            passed_s = time_s - self._time_s
            usual_s = self._rhythm.usual_s
            is_gap = self._rhythm.add(passed_s, self.options.gap_s)
            centers, velocity = self._motion.center, self._steady_velocity() if is_gap else None
            self._motion.predict(passed_s)
            self._gap = None
            if velocity is not None:
                self._gap = Gap(time_s, passed_s, centers)
                self._motion.center = centers + passed_s * velocity
            for one in self._lives:
                one.unseen_s += usual_s if is_gap else passed_s
                one.unseen_frames += 1
                one.frames += 1
        self._time_s = time_s

    def _steady_velocity(self) -> Floats:
        """Of each track over its last sightings, [n, 2]: over a gap, the filter's own, which follows every tremble, leads astray."""
        velocity: Floats = self._motion.velocity.copy()
        for row, one in enumerate(self._lives):
            (from_s, start), (to_s, end) = one.way[0], one.way[-1]
            if to_s - from_s >= LATELY_S:
                velocity[row] = (end - start) / (to_s - from_s)
        return velocity

    def _drop(self, kept: npt.NDArray[np.bool_]) -> tuple[int, ...]:
        """Forget all tracks but ``kept``; the ids that end with it."""
        if kept.all():
            return ()
        ended = tuple(one.id for one, keep in zip(self._lives, kept, strict=True) if not keep and one.id is not None)
        self._lives = [one for one, keep in zip(self._lives, kept, strict=True) if keep]
        self._motion.keep(kept)
        return ended

    def _associate(self, found: Columns) -> Rows:
        """Pairs (track, detection): those that are surest are made first."""
        confirmed = np.array([one.id is not None for one in self._lives], bool)
        lately = np.array([one.unseen_frames <= 1 or one.unseen_s <= LATELY_S for one in self._lives], bool)
        lately &= self._gap is None
        strong = found.scores >= self.options.high_score
        weak = ~strong & (found.scores >= self.options.low_score)
        single = strong & ~_doubles(
            found
        )  # what was lost comes back as a product of its own, not as a second box on another
        exactly = np.zeros((len(confirmed), 1))
        reach = np.minimum(
            REACH * np.sqrt(self._motion.center_variance.max(axis=1, keepdims=True)), MOST_REACH * self._motion.scale
        )
        pairs = np.empty((0, 2), np.int64)
        for tracks, detections, grown in (
            (confirmed & lately, strong, exactly),
            (confirmed & lately, weak, exactly),
            (confirmed & ~lately, single, exactly),
            (~confirmed, strong, exactly),
            (confirmed | ~confirmed, single, reach),
        ):
            free_tracks, free_detections = tracks.copy(), detections.copy()
            free_tracks[pairs[:, 0]], free_detections[pairs[:, 1]] = False, False
            rows, columns = np.flatnonzero(free_tracks), np.flatnonzero(free_detections)
            if len(rows) and len(columns):
                made = assign(self._similarity(rows, columns, found, grown[rows]), self.options.least_iou)
                pairs = np.concatenate([pairs, np.stack([rows[made[:, 0]], columns[made[:, 1]]], axis=1)])
        return pairs

    def _similarity(self, rows: Rows, columns: Rows, found: Columns, grown: Floats) -> Floats:
        """IoU [rows, columns] of predictions and detections, both grown by so many pixels [rows, 1] on each side."""
        similarity = iou(self._motion.boxes[rows], found.boxes[columns], grown)
        if self.options.class_aware:
            kinds = np.array([self._lives[row].kind for row in rows])
            similarity[kinds[:, None] != found.classes[columns][None, :]] = 0
        return similarity

    def _doubt(self, pairs: Rows, found: Columns) -> Floats:
        """How many times as inexact as usual each box is, [pairs, 1]. A score under the track's mean tells of a covered part.

        The third power was chosen on simulated conveyors (``benchmarks/conveyor.py``), where products go behind pillars.
        """
        usual = np.array([one.score_sum / one.sightings for one in (self._lives[row] for row in pairs[:, 0])])
        share = found.scores[pairs[:, 1]] / np.maximum(usual, 1e-9)
        doubt: Floats = np.clip(share, LEAST_SHARE, 1.0)[:, None] ** -3.0
        return doubt

    def _confirm(self, rows: Rows, time_s: float) -> None:
        for row in np.sort(rows).tolist():
            one = self._lives[row]
            if one.id is None and one.believable and time_s - one.first_s >= self.options.confirm_s:
                one.id, self._next_id = self._next_id, self._next_id + 1
                if one.unlooked_s:
                    self._look_back(one, self._motion.boxes[row], time_s)

    def _look_after_gap(self, found: Columns, time_s: float) -> None:
        """In the first frame after a gap: move the tracks by as much as explains best what is seen."""
        gap, confirmed = self._gap, np.array([one.id is not None for one in self._lives], bool)
        if gap is not None:
            strong = found.boxes[found.scores >= self.options.high_score]
            gap.judge(self._motion.boxes, confirmed, strong)
            self._motion.center = gap.moved(self._motion.center)
            self._after_gap = gap
        elif self._after_gap is not None and time_s - self._after_gap.end_s > self.options.confirm_s:
            self._after_gap = None

    def _look_back(self, life: _Life, box: Floats, time_s: float) -> None:
        """A track that was first seen right after a gap: where it was when the gap began, going by how it moves now."""
        moved = (box[:2] + box[2:] - life.first_box[:2] - life.first_box[2:]) / 2
        if np.hypot(*moved) > LEAST_MOVE * float(scale_of(box[None])[0, 0]):
            velocity = moved / (time_s - life.first_s)
            life.came_from = life.first_box - life.unlooked_s * np.tile(velocity, 2)

    def _tell_flow(self, rows: Rows) -> None:
        """Confirmed tracks that moved on tell how fast. What stands still does not: it would crowd out what moves."""
        telling = []
        for row in rows.tolist():
            one, center = self._lives[row], self._motion.center[row]
            if one.id is not None and math.dist(center, one.flow_center) >= FLOW_STEP * self._motion.scale[row, 0]:
                one.flow_center = center.copy()
                telling.append(row)
        self._flow.remember(self._motion.center[telling], self._motion.velocity[telling])

    def _begin(self, detections: Rows, found: Columns, time_s: float, weights: Floats) -> Rows:
        """Tracks for detections that are nobody's; their pairs (track, detection)."""
        boxes = found.boxes[detections]
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        velocity, variance = self._flow.expect(centers, scale_of(boxes))
        tracks = np.arange(len(self._lives), len(self._lives) + len(detections))
        gap = self._after_gap
        unlooked_s = gap.moving_s + time_s - gap.end_s if gap is not None and gap.moving_s else 0.0
        self._motion.add(boxes, velocity, variance)
        for detection, box, center in zip(detections.tolist(), boxes, centers, strict=True):
            life = _Life(time_s, box, center, box, unlooked_s)
            life.way.append((time_s, center))
            life.vote(float(found.scores[detection]), int(found.classes[detection]), float(weights[detection]))
            self._lives.append(life)
        return np.stack([tracks, detections], axis=1)

    def _tracks(self, seen: Rows, found: Columns, ended: tuple[int, ...], time_s: float, camera: str | None) -> Tracks:
        lives = [self._lives[row] for row in seen[:, 0]]
        first, earlier = (
            np.array([getattr(one, name) for one in lives], np.float32).reshape(-1, 4)
            for name in ("first_box", "came_from")
        )
        return Tracks(
            ids=tuple(one.id for one in lives),
            boxes=found.boxes[seen[:, 1]].astype(np.float32),
            scores=found.scores[seen[:, 1]].astype(np.float32),
            classes=np.array([one.kind for one in lives], np.int64),
            ages_s=np.array([time_s - one.first_s for one in lives], np.float64),
            first_boxes=first,
            came_from=earlier,
            detections=seen[:, 1],
            ended=ended,
            time_s=time_s,
            camera=camera,
        )


def _doubles(found: Columns) -> npt.NDArray[np.bool_]:
    """Which boxes lie on a stronger one: bool [n]."""
    overlap = iou(found.boxes, found.boxes, np.zeros((len(found.boxes), 1))) > DOUBLE_IOU
    stronger = found.scores[None, :] > found.scores[:, None]
    return np.asarray((overlap & stronger).any(axis=1), bool)
