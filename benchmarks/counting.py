"""Products counted on simulated conveyors: our tracker and counter beside ByteTrack of ``trackers``, on the same boxes.

    PYTHONPATH=. python -m benchmarks.counting [--scenes 500] [--peer-scenes 25]

In an environment with ``trackers`` and ``supervision``, which has nothing of ours installed: they bring an OpenCV of their own. Scenes
are in ``conveyor.py``. Constants of the tracker were chosen on other seeds (10000 and up).
A scene is exact where both directions are. Id switches are those of the MOT challenge (``id_switches.py``), of confirmed tracks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common import write_result
from benchmarks.conveyor import CLASSES, HEIGHT, LINE_X, Moment, Scene, frame_times, make_scene, watch
from benchmarks.id_switches import IdSwitches
from edgevision.machine import package_versions
from edgevision.tracking import Counter, Line, Tracker, TrackerOptions, Tracks


class Condition(NamedTuple):
    """``rate_hz`` frames a second, of which the share ``dropped`` never comes."""

    rate_hz: float
    dropped: float

    def __str__(self) -> str:
        return f"{self.rate_hz:g} fps" + (f", {self.dropped:.0%} dropped" if self.dropped else "")


CONDITIONS = (Condition(25, 0), Condition(10, 0), Condition(5, 0), Condition(25, 0.3))
WRITE_EVERY = 10  # scenes: a run that is stopped leaves what it has
LOST_S = TrackerOptions().lost_s


@dataclass
class Tally:
    """One method under one condition, over scenes."""

    scenes: int = 0
    exact: int = 0
    crossings: int = 0
    count_error: int = 0  # of both directions, misses and false counts do not make up for each other between scenes
    id_switches: int = 0
    frames: int = 0
    cpu_seconds: float = 0.0
    wrong_scenes: list[int] = field(default_factory=list)

    def add(self, scene: Scene, counted: tuple[int, int], switches: int, frames: int, seconds: float) -> None:
        """Count one scene."""
        error = sum(abs(one - other) for one, other in zip(counted, scene.crossings, strict=True))
        self.scenes += 1
        self.crossings += sum(scene.crossings)
        self.count_error += error
        self.id_switches += switches
        self.frames += frames
        self.cpu_seconds += seconds
        if error:
            self.wrong_scenes.append(scene.seed)
        else:
            self.exact += 1

    def to_dict(self) -> dict[str, Any]:
        """With shares and means."""
        return {
            **asdict(self),
            "exact_share": self.exact / self.scenes,
            "cpu_ms_per_frame": 1e3 * self.cpu_seconds / self.frames,
        }


class Seen(NamedTuple):
    """Ids [n] of confirmed tracks and their boxes [n, 4] in one frame."""

    ids: list[int]
    boxes: Any


Method = Callable[[list[Moment], Condition], tuple[tuple[int, int], list[Seen]]]


def new_counter() -> Counter:
    line = Line("line", (LINE_X, HEIGHT), (LINE_X, 0))
    return Counter([line], camera="camera", products=[str(one) for one in range(CLASSES)])


def count(counter: Counter, tracks: Iterable[Tracks]) -> tuple[int, int]:
    deltas = [event.delta for one in tracks for event in counter.update(one)]
    return deltas.count(1), deltas.count(-1)


def with_ours(moments: list[Moment], condition: Condition) -> tuple[tuple[int, int], list[Seen]]:
    tracker = Tracker()
    tracks = [tracker.update_arrays(one.boxes, one.scores, one.classes, time_s=one.time_s) for one in moments]
    seen = [Seen([i for i in one.ids if i is not None], one.boxes[one.confirmed].astype(np.float64)) for one in tracks]
    return count(new_counter(), tracks), seen


def peer_tracks(moments: list[Moment], condition: Condition, **options: Any) -> Iterable[tuple[Moment, Any]]:
    """What ByteTrack of ``trackers`` says, told the frame rate and the time of each frame."""
    import supervision as sv
    from trackers import ByteTrackTracker

    tracker = ByteTrackTracker(lost_track_buffer=int(30 * LOST_S), frame_rate=condition.rate_hz, **options)
    for one in moments:
        detections = sv.Detections(
            one.boxes.astype(np.float32), confidence=one.scores.astype(np.float32), class_id=one.classes
        )
        yield one, tracker.update(detections, timestamp=one.time_s)


def with_peer_and_our_line(moments: list[Moment], condition: Condition) -> tuple[tuple[int, int], list[Seen]]:
    """ByteTrack with our thresholds for scores; what it does not confirm is left out; counted by our line."""
    options = {"track_activation_threshold": 0.5, "high_conf_det_threshold": 0.5}
    tracks, seen = [], []
    for moment, answer in peer_tracks(moments, condition, **options):
        confirmed = answer.tracker_id >= 0
        boxes, ids = answer.xyxy[confirmed], answer.tracker_id[confirmed].tolist()
        seen.append(Seen(ids, boxes.astype(np.float64)))
        n = len(ids)
        tracks.append(
            Tracks(
                tuple(ids),
                boxes,
                np.ones(n, np.float32),
                np.zeros(n, np.int64),
                np.zeros(n),
                boxes,
                np.arange(n),
                (),
                moment.time_s,
            )
        )
    return count(new_counter(), tracks), seen


def with_peer_as_documented(moments: list[Moment], condition: Condition) -> tuple[tuple[int, int], list[Seen]]:
    """ByteTrack and supervision's LineZone with their defaults, put together as their pages do."""
    import supervision as sv

    line = sv.LineZone(sv.Point(LINE_X, HEIGHT), sv.Point(LINE_X, 0), triggering_anchors=[sv.Position.CENTER])
    seen = []
    for _, answer in peer_tracks(moments, condition):
        line.trigger(answer)
        confirmed = answer.tracker_id >= 0
        seen.append(Seen(answer.tracker_id[confirmed].tolist(), answer.xyxy[confirmed].astype(np.float64)))
    return (line.out_count, line.in_count), seen


METHODS: dict[str, Method] = {
    "ours": with_ours,
    "trackers, our thresholds, our line": with_peer_and_our_line,
    "trackers, LineZone": with_peer_as_documented,
}


def run(method: Method, scene: Scene, moments: list[Moment], condition: Condition, tally: Tally) -> None:
    start = time.process_time()
    counted, seen = method(moments, condition)
    seconds = time.process_time() - start
    switches = IdSwitches()
    for moment, one in zip(moments, seen, strict=True):
        switches.update(moment.truth_ids.tolist(), moment.truth_boxes, one.ids, one.boxes)
    tally.add(scene, counted, switches.switches, len(moments), seconds)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--scenes", type=int, default=500)
    arguments.add_argument("--peer-scenes", type=int, default=25, help="of these, how many the peers see too")
    options = arguments.parse_args()
    tallies = {name: {condition: Tally() for condition in CONDITIONS} for name in METHODS}
    for seed in range(options.scenes):
        scene = make_scene(seed)
        for condition in CONDITIONS:
            moments = watch(scene, frame_times(scene, *condition))
            for name, method in METHODS.items():
                if name == "ours" or seed < options.peer_scenes:
                    run(method, scene, moments, condition, tallies[name][condition])
        if seed == options.peer_scenes - 1:
            tallies["ours, the peers' scenes"] = deepcopy(tallies["ours"])
        if seed % WRITE_EVERY == WRITE_EVERY - 1 or seed == options.scenes - 1:
            write(tallies)
            print(seed + 1, {str(c): f"{t.exact}/{t.scenes}" for c, t in tallies["ours"].items()}, flush=True)


def write(tallies: Mapping[str, Mapping[Condition, Tally]]) -> None:
    results = [
        {"method": name, "condition": str(condition), **tally.to_dict()}
        for name, by_condition in tallies.items()
        for condition, tally in by_condition.items()
        if tally.scenes
    ]
    write_result("counting", {"peers": package_versions(("trackers", "supervision")), "results": results})


if __name__ == "__main__":
    main()
