"""Write rendered scenes as a data set for detection: ``python -m edgevision.demo.dataset FOLDER``.

The folder can be read as YOLO data (``data.yaml``, ``images/``, ``labels/``) and as COCO data (``annotations/``). Every photo
is of a world of its own, so that no two of them, and no two parts, share a scene.

YOLO's labels have no mark for what need not be found: products of which less than a quarter can be seen are left out there,
and are ``iscrowd`` in COCO's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgevision.demo.world.truth import Seen, Snapshot
from edgevision.demo.world.world import LABELS
from edgevision.demo.world.worlds import Place, make_world
from edgevision.errors import InputError
from edgevision.files import atomic_write
from edgevision.frames import ImageArray
from edgevision.tasks.results import Label

_LATEST_S = 15.0  # moments are drawn from this long a time
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Job:
    """One photo to render: ``world`` is the world's seed."""

    name: str
    place: Place
    world: int
    time_s: float
    height: int
    width: int

    def render(self) -> Snapshot:
        """The frame with its truth."""
        return make_world(self.place, self.world, self.height, self.width).at(self.time_s)


def jobs(
    part: str, count: int, *, seed: int = 0, places: Sequence[Place] = tuple(Place), height: int = 480, width: int = 640
) -> Iterator[Job]:
    """``count`` photos of the part named ``part``, the places in turn. Parts of other names or seeds share no world."""
    key = int.from_bytes(part.encode(), "big")
    for index in range(count):
        rng = np.random.default_rng((0xDA7A, key, seed, index))
        place = places[index % len(places)]
        world, time_s = int(rng.integers(2**62)), float(rng.uniform(0, _LATEST_S))
        yield Job(f"{index:06d}-{place.value}", place, world, time_s, height, width)


def write_dataset(
    folder: Path | str, counts: Mapping[str, int], *, seed: int = 0, places: Sequence[Place | str] = tuple(Place),
    height: int = 480, width: int = 640, one_class: str | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Path:  # fmt: skip
    """Render and write a data set, and return its ``data.yaml``.

    ``counts``: photos of each part, such as ``{"train": 800, "val": 200}``. For each part PART there are
    ``images/PART/*.jpg``, ``labels/PART/*.txt`` (class, middle x, middle y, width, height, as shares of the photo's) and
    ``annotations/PART.json``, whose category ids start at 1. The boxes are those of what can be seen. ``one_class``: the name
    of a class that all products are of, for detectors that leave it to a classifier which product it is. ``progress`` is called with
    the photos that are done and all there will be.

    Raises InputError where ``folder`` holds anything, a part has no photo, or a place is unknown.
    """
    folder = Path(folder)
    if not counts or min(counts.values()) < 1 or not places:
        raise InputError(f"a data set has parts with at least 1 photo, and at least 1 place, got {dict(counts)}")
    known = tuple(_place(one) for one in places)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not an empty folder; give another one, so that no data sets are mixed")
    classes = LABELS if one_class is None else (Label(0, one_class),)
    done = 0
    for part, count in counts.items():
        images, labels = folder / "images" / part, folder / "labels" / part
        for one in (images, labels, folder / "annotations"):
            one.mkdir(parents=True, exist_ok=True)
        coco = _CocoPart(classes)
        for job in jobs(part, count, seed=seed, places=known, height=height, width=width):
            snapshot = job.render()
            if one_class is not None:
                snapshot = replace(snapshot, seen=tuple(replace(one, label=0) for one in snapshot.seen))
            (images / f"{job.name}.jpg").write_bytes(_jpeg(snapshot.frame))
            (labels / f"{job.name}.txt").write_text(yolo_lines(snapshot), encoding="utf-8")
            coco.add(f"{job.name}.jpg", snapshot)
            done += 1
            if progress is not None:
                progress(done, sum(counts.values()))
        atomic_write(folder / "annotations" / f"{part}.json", json.dumps(coco.to_dict()).encode())
    target = folder / "data.yaml"
    atomic_write(target, _data_yaml(counts, classes).encode())
    return target


def yolo_lines(snapshot: Snapshot) -> str:
    """A line for each product that has to be found."""
    height, width = snapshot.frame.shape[:2]
    lines = []
    for one in snapshot.seen:
        if not one.crowd:
            x1, y1, x2, y2 = one.box
            shares = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
            lines.append(f"{one.label} " + " ".join(f"{share:.6f}" for share in shares) + "\n")
    return "".join(lines)


class _CocoPart:
    """COCO's annotations of one part, collected photo by photo."""

    def __init__(self, classes: Sequence[Label]) -> None:
        self._classes = classes
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add(self, name: str, snapshot: Snapshot) -> None:
        height, width = snapshot.frame.shape[:2]
        image = len(self.images) + 1
        self.images.append({"id": image, "file_name": name, "height": height, "width": width})
        for one in snapshot.seen:
            self.annotations.append({"id": len(self.annotations) + 1, "image_id": image, **_annotation(one)})

    def to_dict(self) -> dict[str, Any]:
        categories = [{"id": label.id + 1, "name": label.name, "supercategory": "product"} for label in self._classes]
        return {"images": self.images, "annotations": self.annotations, "categories": categories}


def _annotation(one: Seen) -> dict[str, Any]:
    """``visible`` and ``full_bbox`` are not COCO's own: the visible share, and the box of the whole product."""
    return {
        "category_id": one.label + 1, "bbox": _xywh(one.box), "area": one.pixels, "iscrowd": int(one.crowd),
        "segmentation": [], "visible": round(one.visible, 4), "full_bbox": _xywh(one.full),
    }  # fmt: skip


def _xywh(corners: tuple[float, float, float, float]) -> list[float]:
    x1, y1, x2, y2 = corners
    return [x1, y1, x2 - x1, y2 - y1]


def _data_yaml(counts: Mapping[str, int], classes: Sequence[Label]) -> str:
    """Paths are relative to the file: where there is no ``path`` in it, readers take its own folder."""
    parts = [f"{part}: images/{part}" for part in counts]
    return "\n".join([*parts, "names:", *(f"  {label.id}: {label.name}" for label in classes)]) + "\n"


def _jpeg(frame: ImageArray) -> bytes:
    _, data = cv2.imencode(".jpg", frame, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
    return data.tobytes()


def _place(value: Place | str) -> Place:
    try:
        return Place(value)
    except ValueError:
        known = ", ".join(one.value for one in Place)
        raise InputError(f"expected one of the places {known}, got {value!r}") from None


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m edgevision.demo.dataset", description="Write rendered shop scenes as YOLO and COCO data."
    )
    parser.add_argument("folder", type=Path, help="a new or empty folder")
    parser.add_argument("--train", type=int, default=800, metavar="N", help="photos to train on (default 800)")
    parser.add_argument("--val", type=int, default=200, metavar="N", help="photos to validate with (default 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--place", action="append", choices=[one.value for one in Place],
                        help="may be given more than once (default: all)")  # fmt: skip
    parser.add_argument("--one-class", metavar="NAME", help="all products are of this class (default: each of its own)")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("HEIGHT", "WIDTH"))
    arguments = parser.parse_args()
    counts = {"train": arguments.train, "val": arguments.val}
    height, width = arguments.size
    cv2.setNumThreads(1)  # the renderer's many small steps are quicker without
    try:
        target = write_dataset(arguments.folder, counts, seed=arguments.seed, places=arguments.place or tuple(Place),
                               height=height, width=width, one_class=arguments.one_class)  # fmt: skip
    except InputError as error:
        parser.exit(2, f"{error}\n")
    print(f"Wrote {sum(counts.values())} photos: {target}")


if __name__ == "__main__":
    main()
