"""One moment of the demo's gallery, as it is shown while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from edgevision.frames import ImageArray


@dataclass(frozen=True, eq=False)
class Moment:
    """A photo, H×W×3 uint8 BGR, and what is made of it. ``product``: what it truly shows. ``doing``: such as "the gallery says"; ``said``:
    what was decided, or answered; ``right``: whether that is as it should be."""

    photo: ImageArray
    product: str
    doing: str
    said: str
    right: bool
