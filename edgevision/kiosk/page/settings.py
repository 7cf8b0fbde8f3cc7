"""What the page is told before it starts: whose camera it uses, how large its pictures are, when it empties the basket."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from edgevision.errors import InputError


class CameraPlace(Enum):
    """Whose camera looks at the products."""

    PAGE = "page"  # the browser's: it sends pictures to WS /v1/station
    SERVER = "server"  # the service's: the page reads GET /v1/events


@dataclass(frozen=True)
class PageSettings:
    """Told to every page that is opened.

    ``camera``: whose camera it uses. ``picture_px``: the longer side of the pictures that the page sends, in pixels; what the model
    needs, and no more. ``language``: such as ``"de"``; None: the first of the browser's that the page has. ``idle_s``: seconds
    without a touch after which the page asks whether anybody is there; ``warn_s``: seconds that it then waits before it empties the
    basket. 20 are the least that WCAG 2.2 allows (2.2.1). ``title``: the shop's name, empty for none. ``allow_frames``: origins of pages
    that may show this one in a frame, such as ``"https://shop.example"``; not told to the page.
    """

    camera: CameraPlace = CameraPlace.PAGE
    picture_px: int = 640
    language: str | None = None
    idle_s: float = 120.0
    warn_s: float = 60.0
    title: str = ""
    allow_frames: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 32 <= self.picture_px <= 4096:
            raise InputError(f"the page's pictures have a longer side of 32 to 4096 pixels, got {self.picture_px}")
        if not self.idle_s >= 10:
            raise InputError(f"the page waits at least 10 seconds before it asks who is there, got {self.idle_s:g}")
        if not self.warn_s >= 20:
            raise InputError(f"the page gives at least 20 seconds to answer (WCAG 2.2.1), got {self.warn_s:g}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        fields = {**asdict(self), "camera": self.camera.value}
        del fields["allow_frames"]
        return fields
