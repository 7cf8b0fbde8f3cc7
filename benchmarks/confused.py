"""What a classifier gets wrong on photos of other shops: each wrong photo beside what it learnt of both products, and why, as far as one can see.

    .venv/bin/python -m benchmarks.confused model.pt --picture confused.jpg

A row of the picture: the wrong photo, four training photos of what it is, four of what the model says. The reasons in ``confused.csv`` were
given by looking at such pictures, one for each photo of val.txt that some model got wrong.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.common import GROCERY
from edgevision.compiler.float_model import FloatModel
from edgevision.compiler.sources.source import SourceOptions
from edgevision.decode import read_image
from edgevision.evaluate.data.dataset import Dataset, read_dataset
from edgevision.tasks.classify import SCORES

REASONS = Path(__file__).with_suffix(".csv")
NOT_JUDGED = "not judged"
SIDE_PX, STRIP_PX, OF_EACH, COLUMNS = 110, 20, 4, 2

Numbers = npt.NDArray[np.int64]


def main() -> None:
    import cv2

    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path, help="a checkpoint")
    p.add_argument("--picture", type=Path, help="where to write it, as JPEG")
    arguments = p.parse_args()
    val, train = (read_dataset(GROCERY / f"{part}.txt", GROCERY / "classes.csv") for part in ("val", "train"))
    answers = answered(arguments.model, val)
    wrong = np.flatnonzero(answers != val.truth)
    print(f"{len(wrong)} of {len(val)} photos of val.txt are wrong")
    assert val.labels is not None
    names = [label.name for label in val.labels]
    for (product, said), count in Counter((names[val.truth[n]], names[answers[n]]) for n in wrong).most_common():
        print(f"  {count} of {np.sum(val.truth == names.index(product))}  {product} → {said}")
    reasons = read_reasons()
    for reason, count in Counter(reasons.get(photo_name(val.paths[n]), NOT_JUDGED) for n in wrong).most_common():
        print(f"  {count:3}  {reason}")
    if arguments.picture is not None and len(wrong):
        cv2.imwrite(str(arguments.picture), picture(val, train, answers, wrong, reasons))


def answered(checkpoint: Path, dataset: Dataset) -> Numbers:
    """The class that the model says of each photo."""
    with FloatModel(checkpoint, SourceOptions()) as model:
        scores = [model.digest([read_image(path)])[SCORES] for path in dataset.paths]
    return np.asarray(np.concatenate(scores).argmax(1), np.int64)


def read_reasons() -> dict[str, str]:
    """Why a photo is hard, by ``photo_name``."""
    with REASONS.open(encoding="utf-8", newline="") as file:
        return {row["photo"]: row["reason"] for row in csv.DictReader(file)}


def photo_name(path: Path) -> str:
    """Folder of the product, and file."""
    return f"{path.parent.name}/{path.name}"


def picture(
    val: Dataset, train: Dataset, answers: Numbers, wrong: Sequence[int] | Numbers, reasons: Mapping[str, str]
) -> npt.NDArray[np.uint8]:
    """The rows of ``wrong``, in order of their class, BGR."""
    import cv2

    assert val.labels is not None
    rows = []
    for place in sorted(wrong, key=lambda n: int(val.truth[n])):
        shown = [val.paths[place]]
        for product in (val.truth[place], answers[place]):
            learnt = np.flatnonzero(train.truth == product)
            shown += [train.paths[n] for n in learnt[np.linspace(0, len(learnt) - 1, OF_EACH).astype(int)]]
        size = (SIDE_PX, SIDE_PX)
        row = np.hstack([cv2.resize(read_image(path), size, interpolation=cv2.INTER_AREA) for path in shown])
        label = np.full((STRIP_PX, row.shape[1], 3), 255, np.uint8)
        names = f"{val.labels[val.truth[place]].name} > {val.labels[answers[place]].name}"
        text = f"{names}   ({reasons.get(photo_name(val.paths[place]), NOT_JUDGED)})"
        cv2.putText(label, text, (4, STRIP_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        row = np.vstack([label, row])
        rows.append(row)
    while len(rows) % COLUMNS:
        rows.append(np.zeros_like(rows[0]))
    high = len(rows) // COLUMNS
    return np.hstack([np.vstack(rows[n * high : (n + 1) * high]) for n in range(COLUMNS)])


if __name__ == "__main__":
    main()
