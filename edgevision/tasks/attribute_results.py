"""What is said of a frame attribute by attribute: colour, packaging, kind, …, each with the surest of its values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from edgevision.tasks.results import FrameId, Timing, fields_of


@dataclass(frozen=True)
class Attribute:
    """One attribute. ``value``: the surest one. ``score``: the chance that it is right, 0…1, as this attribute's calibration has
    it. ``known`` is False where the model does not say: the score is under the attribute's threshold."""

    name: str
    value: str
    score: float
    known: bool


@dataclass(frozen=True)
class Attributes:
    """All attributes of a frame, in the model's order; each knows for itself whether it is known.

    >>> found = Attributes((Attribute("colour", "red", 0.9, True), Attribute("packaging", "can", 0.3, False)), Timing(0, 0, 0))
    >>> found["colour"].value, found.values
    ('red', {'colour': 'red'})
    """

    rows: tuple[Attribute, ...]
    timing: Timing
    frame: FrameId = field(default_factory=FrameId)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Attribute]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> Attribute:
        """The attribute called ``name``. Raises KeyError where the model has none."""
        found = next((row for row in self.rows if row.name == name), None)
        if found is None:
            raise KeyError(f"{name!r} is none of the attributes {[row.name for row in self.rows]}")
        return found

    @property
    def values(self) -> dict[str, str]:
        """What is known, by attribute: fields of a product, to search and filter by."""
        return {row.name: row.value for row in self.rows if row.known}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "attributes": [fields_of(row) for row in self.rows],
            "timing": fields_of(self.timing),
            "frame": fields_of(self.frame),
        }
