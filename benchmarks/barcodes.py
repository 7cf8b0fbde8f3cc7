"""Barcodes in photos: how many are read, and how many misread, beside zxing-cpp with its defaults on the whole picture.

    python -m benchmarks.barcodes [--pictures ../shared/data/barcodes] [--rounds 5]

The folder has a folder for each kind with pictures and beside each a ``.txt`` with the text it holds; in those of
``falsepositives…`` nothing must be found. A picture counts as read where that text is among those found, letter by letter, and
as misread where any other is. zxing-cpp's text is taken as it stands in the barcode, not as people read it, which is its
default and would count against it. Times are one thread's; all candidates read all pictures once a round, in turns.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import SHARED, write_result
from edgevision.decode import read_image
from edgevision.errors import ImageError
from edgevision.frames import ImageArray
from edgevision.latency import measure_interleaved, paired_ratio
from edgevision.tracking.barcodes import QUICK, BarcodeReader

ZXING = "zxing-cpp, its defaults"
# The digits below the bars of these say this; their text files say what another photo of the folder holds.
MISLABELLED = {"ean13-2/23": "9784872348880", "ean13-2/28": "9784872348880"}

Read = Callable[[ImageArray], list[str]]


@dataclass(frozen=True, eq=False)
class Photo:
    """``expected``: the text that it holds, None where it holds none."""

    name: str
    image: ImageArray
    expected: str | None

    @property
    def folder(self) -> str:
        """The kind of barcode."""
        return self.name.split("/")[0]


@dataclass
class Count:
    """Pictures of a folder: how many there are, and what a candidate made of them."""

    pictures: int = 0
    read: int = 0
    misread: int = 0


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pictures", type=Path, default=SHARED / "data" / "barcodes")
    p.add_argument("--rounds", type=int, default=5)
    arguments = p.parse_args()
    import cv2

    cv2.setNumThreads(1)
    photos, unreadable = load(arguments.pictures)
    found = {name: {photo.name: read(photo.image) for photo in photos} for name, read in candidates().items()}
    counts = {name: count(photos, texts) for name, texts in found.items()}
    for name, folders in counts.items():
        print(name)
        for folder, one in folders.items():
            print(f"  {folder:20s} {one.read:3d} of {one.pictures:3d} read, {one.misread} misread")
    write_result("barcodes", {
        "zxing_cpp": version("zxing-cpp"),
        "pictures": arguments.pictures,
        "not_decoded": unreadable,
        "mislabelled": MISLABELLED,
        "folders": {name: {f: asdict(one) for f, one in folders.items()} for name, folders in counts.items()},
        "misread": {name: misread(photos, texts) for name, texts in found.items()},
        "not_read": {name: [o.name for o in photos if o.expected and o.expected not in texts[o.name]] for name, texts in found.items()},
        "time": {
            "with a barcode": times([photo for photo in photos if photo.expected is not None], arguments.rounds),
            "without": times([photo for photo in photos if photo.expected is None], arguments.rounds),
        },
    })  # fmt: skip


def candidates() -> dict[str, Read]:
    import zxingcpp

    def with_zxing(image: ImageArray) -> list[str]:
        return [found.text for found in zxingcpp.read_barcodes(image, text_mode=zxingcpp.TextMode.Plain)]

    def with_ours(reader: BarcodeReader) -> Read:
        return lambda image: [found.text for found in reader.read(image)]

    return {
        ZXING: with_zxing,
        "ours, one pass": with_ours(BarcodeReader(passes=QUICK[:1], agree=1)),
        "ours, QUICK": with_ours(BarcodeReader(passes=QUICK)),
        "ours, its defaults": with_ours(BarcodeReader()),
    }


def load(folder: Path) -> tuple[list[Photo], dict[str, str]]:
    """The photos, and those that cannot be decoded, with the reason."""
    photos, unreadable = [], {}
    for path in sorted(folder.glob("*/*")):
        if path.suffix not in (".webp", ".png", ".jpg"):
            continue
        name = f"{path.parent.name}/{path.stem}"
        try:
            image = read_image(path)
        except ImageError as error:
            unreadable[name] = str(error)
            continue
        truth = path.with_suffix(".txt")
        expected = truth.read_bytes().decode() if truth.is_file() else None
        photos.append(Photo(name, image, MISLABELLED.get(name, expected)))
    return photos, unreadable


def count(photos: list[Photo], texts: Mapping[str, list[str]]) -> dict[str, Count]:
    """By folder, and over all of them."""
    counts: dict[str, Count] = {}
    wrong = misread(photos, texts)
    for photo in photos:
        for folder in (photo.folder, "all"):
            one = counts.setdefault(folder, Count())
            one.pictures += 1
            if photo.expected in texts[photo.name]:
                one.read += 1
            if photo.name in wrong:
                one.misread += 1
    counts["all"] = counts.pop("all")  # last
    return counts


def misread(photos: list[Photo], texts: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """What was found and is not there, by picture."""
    wrong = {photo.name: [text for text in texts[photo.name] if text != photo.expected] for photo in photos}
    return {name: found for name, found in wrong.items() if found}


def times(photos: list[Photo], rounds: int) -> dict[str, Any]:
    """Milliseconds a picture, and how many times as long as zxing-cpp."""

    def all_of(read: Read) -> Callable[[], object]:
        return lambda: [read(photo.image) for photo in photos]

    samples = measure_interleaved({name: all_of(read) for name, read in candidates().items()}, rounds, warmup=1)
    result = {}
    for name, taken in samples.items():
        ratio = paired_ratio(taken, samples[ZXING])
        result[name] = {"ms_a_picture_p50": taken.p50_ms / len(photos), "this_over_zxing": asdict(ratio)}
        print(
            f"  {name:26s} {taken.p50_ms / len(photos):7.2f} ms a picture, {ratio.median:.2f}× [{ratio.low:.2f}…{ratio.high:.2f}]"
        )
    megapixels = float(np.mean([photo.image.shape[0] * photo.image.shape[1] for photo in photos])) / 1e6
    return {"pictures": len(photos), "mean_megapixels": megapixels, "candidates": result}


if __name__ == "__main__":
    main()
