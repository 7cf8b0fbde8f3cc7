"""A product as a gallery lists it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

FieldValue: TypeAlias = "str | float | bool | None"


@dataclass(frozen=True)
class GalleryProduct:
    """``id``: the user's number for it. ``fields``: anything else that is known, such as price, kind or description.

    >>> GalleryProduct(7, "Royal Gala apple", {"price": 1.29, "kind": "apple"}).fields["kind"]
    'apple'
    """

    id: int
    name: str
    fields: Mapping[str, FieldValue] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"id": self.id, "name": self.name, "fields": dict(self.fields)}
