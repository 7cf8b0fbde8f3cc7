"""The scenes by name."""

from __future__ import annotations

from enum import Enum

from edgevision.demo.world.conveyor import Conveyor
from edgevision.demo.world.shelf import Shelf
from edgevision.demo.world.tray import Tray
from edgevision.demo.world.world import World


class Place(Enum):
    """Kinds of world."""

    SHELF = "shelf"
    CONVEYOR = "conveyor"
    TRAY = "tray"


_WORLDS: dict[Place, type[World]] = {Place.SHELF: Shelf, Place.CONVEYOR: Conveyor, Place.TRAY: Tray}


def make_world(place: Place | str, seed: int, height: int = 480, width: int = 640) -> World:
    """The world of that kind and seed, for frames of ``height`` × ``width`` pixels.

    >>> moments = list(make_world("conveyor", seed=0).frames(3, fps=10))
    >>> [round(moment.time_s, 1) for moment in moments]
    [0.0, 0.1, 0.2]
    """
    return _WORLDS[Place(place)](seed, height, width)
