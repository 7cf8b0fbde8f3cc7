"""The kiosk: a Station tells what is placed before its camera, a service answers over HTTP, a page shows it to shoppers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgevision.kiosk.events import Blocked as Blocked
    from edgevision.kiosk.events import BlockedReason as BlockedReason
    from edgevision.kiosk.events import Placed as Placed
    from edgevision.kiosk.events import Recognised as Recognised
    from edgevision.kiosk.events import Removed as Removed
    from edgevision.kiosk.events import StationEvent as StationEvent
    from edgevision.kiosk.events import Unblocked as Unblocked
    from edgevision.kiosk.events import Unknown as Unknown
    from edgevision.kiosk.events import Unsure as Unsure
    from edgevision.kiosk.service.app import make_app as make_app
    from edgevision.kiosk.service.service import Service as Service
    from edgevision.kiosk.station.options import StationOptions as StationOptions
    from edgevision.kiosk.station.placements import Placements as Placements
    from edgevision.kiosk.station.station import Station as Station

_EVENTS = (
    "Blocked", "BlockedReason", "Placed", "Recognised", "Removed", "StationEvent", "Unblocked", "Unknown", "Unsure",
)  # fmt: skip
_HOME = {
    **dict.fromkeys(_EVENTS, "edgevision.kiosk.events"),
    "Placements": "edgevision.kiosk.station.placements",
    "Service": "edgevision.kiosk.service.service",
    "Station": "edgevision.kiosk.station.station",
    "StationOptions": "edgevision.kiosk.station.options",
    "make_app": "edgevision.kiosk.service.app",
}

__all__ = [
    "Blocked",
    "BlockedReason",
    "Placed",
    "Placements",
    "Recognised",
    "Removed",
    "Service",
    "Station",
    "StationEvent",
    "StationOptions",
    "Unblocked",
    "Unknown",
    "Unsure",
    "make_app",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'edgevision.kiosk' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value  # found at once the next time
    return value
