"""Results written on their pictures."""

from __future__ import annotations

from typing import Any

from edgevision.errors import InputError
from edgevision.frames import ImageArray
from edgevision.tasks.attribute_results import Attributes
from edgevision.tasks.detections import Detections
from edgevision.tasks.draw.attributes import draw_attributes
from edgevision.tasks.draw.classify import draw_classification
from edgevision.tasks.draw.detect import draw_detections
from edgevision.tasks.draw.products import draw_products
from edgevision.tasks.products import Products
from edgevision.tasks.results import Classification

DRAWN_TASKS = ("classify", "detect", "attributes")  # the tasks whose results ``draw`` knows


def draw(image: ImageArray, result: Any) -> ImageArray:
    """A copy of ``image`` (H×W×3 uint8 BGR) with the result drawn on it, larger where the picture is too small to read
    anything on it. Raises InputError for another array, and for results of a task that is not in ``DRAWN_TASKS``."""
    if isinstance(result, Detections):
        return draw_detections(image, result)
    if isinstance(result, Products):
        return draw_products(image, result)
    if isinstance(result, Classification):
        return draw_classification(image, result)
    if isinstance(result, Attributes):
        return draw_attributes(image, result)
    raise InputError(f"draw knows the results of {', '.join(DRAWN_TASKS)}, got {type(result).__name__}")
