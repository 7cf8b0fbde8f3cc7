"""COCO's figures of a detector, by hotcoco: what ``eval`` shows.

``average_precision`` gives the same numbers, and tests hold the two, and pycocotools, to 1e-9. That one is what models are
compared by, for it can draw pictures again; this one is what others publish by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import MissingExtraError
from edgevision.evaluate.statistics.average_precision import Found, Marked


@dataclass(frozen=True)
class CocoSummary:
    """In percent; None where there is no box of that size. ``map``: mean average precision over IoU 0.50:0.05:0.95, ``map50`` and ``map75`` at
    one IoU; ``small``, ``medium``, ``large``: of boxes up to 32², up to 96², and above, in square pixels of the photo.
    ``recall``: average recall of at most 100 boxes of a class in a photo."""

    map: float | None
    map50: float | None
    map75: float | None
    small: float | None
    medium: float | None
    large: float | None
    recall: float | None


def coco_summary(found: Sequence[Found], marked: Sequence[Marked], classes: int) -> CocoSummary:
    """Evaluate detections against the truths of the same pictures. ``classes``: how many there are.

    Raises MissingExtraError without hotcoco.
    """
    hotcoco = import_hotcoco()
    images = [{"id": number, "width": 1, "height": 1} for number in range(1, len(marked) + 1)]
    categories = [{"id": number, "name": str(number)} for number in range(1, classes + 1)]
    truth = hotcoco.COCO.from_arrays(
        images, categories, _numbers([one.classes for one in marked]), 1 + _column([m.classes for m in marked], np.int64),
        _xywh([one.boxes for one in marked]), area=_column([one.areas for one in marked], np.float64),
        iscrowd=_column([one.crowd for one in marked], np.int64),
    )  # fmt: skip
    numbers = _numbers([one.classes for one in found])[:, None]
    scores = _column([one.scores for one in found], np.float64)[:, None]
    own_classes = 1 + _column([one.classes for one in found], np.int64)[:, None]
    detections = np.concatenate([numbers, _xywh([one.boxes for one in found]), scores, own_classes], axis=1)
    run = hotcoco.COCOeval(truth, truth.load_res(detections), "bbox")
    run.evaluate()
    run.accumulate()
    return CocoSummary(*_figures(run.eval))


def import_hotcoco() -> Any:
    """The module ``hotcoco``. Raises MissingExtraError where it is not installed."""
    try:
        import hotcoco
    except ImportError as error:
        raise MissingExtraError("hotcoco", "detect", "the mean average precision of a detector") from error
    return hotcoco


def _figures(accumulated: Any) -> list[float | None]:
    precision = np.asarray(accumulated["precision"])[..., -1]  # [thresholds, recalls, classes, areas]
    recall = np.asarray(accumulated["recall"])[..., 0, -1]  # [thresholds, classes]
    return [
        _mean(precision[..., 0]),
        _mean(precision[0, ..., 0]),
        _mean(precision[5, ..., 0]),
        *(_mean(precision[..., area]) for area in (1, 2, 3)),
        _mean(recall),
    ]


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    """In percent; -1 stands for what has no truth."""
    known = values[values > -1]
    return 100.0 * float(known.mean()) if len(known) else None


def _numbers(columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    return np.repeat(np.arange(1, len(columns) + 1), [len(column) for column in columns])


def _column(columns: Sequence[npt.NDArray[Any]], dtype: Any) -> npt.NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype), *(column.astype(dtype) for column in columns)])


def _xywh(boxes: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    corners = np.concatenate([np.zeros((0, 4)), *(one.reshape(-1, 4).astype(np.float64) for one in boxes)])
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
