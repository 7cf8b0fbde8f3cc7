"""Draw the products that a cascade found: boxes of its first model, names of its second."""

from __future__ import annotations

from edgevision.frames import ImageArray
from edgevision.tasks.attribute_results import Attributes
from edgevision.tasks.draw.canvas import Color, canvas_of
from edgevision.tasks.draw.detect import color_of, draw_box
from edgevision.tasks.products import Product, Products
from edgevision.tasks.results import Classification

UNKNOWN: Color = (150, 150, 150)


def draw_products(image: ImageArray, result: Products) -> ImageArray:
    """A copy of ``image`` (H×W×3 uint8 BGR) with a box around each product, and at its head what the second model calls it.

    Products that it does not know are grey. Where it tells attributes, their known values stand there, in the colour of what the first
    model found. Where the second model does neither, the first one's name stands there.
    """
    canvas, factor = canvas_of(image)
    for product in reversed(list(result)):
        text, color = _shown(product)
        draw_box(canvas, product.detection.box, text, factor, color)
    return canvas


def _shown(product: Product) -> tuple[str, Color]:
    """Name with score, and colour."""
    found = product.result
    if isinstance(found, Attributes):
        return ", ".join(found.values.values()) or "unknown", color_of(product.detection.id)
    if not isinstance(found, Classification):
        return f"{product.detection.name} {100 * product.detection.score:.0f}%", color_of(product.detection.id)
    if not found.known:
        return "unknown", UNKNOWN
    return f"{found.best.name} {100 * found.best.score:.0f}%", color_of(found.best.id)
