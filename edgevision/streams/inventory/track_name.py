"""What the product of a track is called: by all views of it together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNKNOWN = "unknown"  # the product of a box that the second model does not know
# Of such a view, against 1 of a view that is known. The threshold of the second model refuses many views of products that it knows (turned,
# blurred, half covered), and lets few of others pass. So a track has a name that was known in one view of ten; less may be those few,
# and the track stays unknown.
UNKNOWN_WEIGHT = 0.1


@dataclass(frozen=True)
class View:
    """What one frame says of a product. ``chances``: name → how likely it is that, 0…1; what is not named has none. ``weight``: how much
    the view counts. ``is_known``: whether the model knows the product, going by this view alone."""

    chances: Mapping[str, float]
    weight: float = 1.0
    is_known: bool = True


class TrackName:
    """Adds up the chances over the views of a track.

    A view that the model does not know for itself takes part in which name it is: two doubtful views that agree tell something.

    >>> name = TrackName()
    >>> name.see(View({"tea": 0.6, "milk": 0.4}))
    >>> name.see(View({"milk": 0.9, "tea": 0.1}, is_known=False))
    >>> name.best
    'milk'
    """

    def __init__(self) -> None:
        self._support: dict[str, float] = {}
        self._known = self._unknown = 0.0

    def see(self, view: View) -> None:
        """One more view."""
        for name, chance in view.chances.items():
            self._support[name] = self._support.get(name, 0.0) + view.weight * chance
        if view.is_known:
            self._known += view.weight
        else:
            self._unknown += view.weight

    @property
    def best(self) -> str:
        """The name with the greatest sum, of equal ones the first that was seen; ``UNKNOWN`` where too few views are known."""
        if not self._support or self._known < UNKNOWN_WEIGHT * self._unknown:
            return UNKNOWN
        return max(self._support, key=self._support.__getitem__)
