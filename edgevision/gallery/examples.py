"""An example: one picture of a product, of which a gallery keeps the vector."""

from __future__ import annotations

from dataclasses import dataclass

from edgevision.tasks.results import fields_of


@dataclass(frozen=True)
class Example:
    """``product``: the product's id. ``source``: the SHA-256 of the picture's bytes, as hexadecimal digits; of a camera's frame,
    of its pixels. ``added``: when, as ISO 8601 in UTC. ``note``: what people call it, such as the file's name."""

    product: int
    source: str
    added: str
    note: str = ""

    def to_dict(self) -> dict[str, object]:
        """Plain JSON values."""
        return fields_of(self)
