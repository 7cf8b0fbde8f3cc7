"""Products followed from frame to frame, counted where they cross lines and enter zones; and the barcodes that they carry.

>>> tracker = Tracker()
>>> tracker.update_arrays([[10, 20, 60, 90]], [0.9], [0], time_s=0.0).ids
(None,)
"""

from edgevision.tracking.counter import Counter
from edgevision.tracking.events import Cause, Count, InventoryEvent, Key, Ledger
from edgevision.tracking.places import Anchor, Line, Zone
from edgevision.tracking.tracker import Tracker, TrackerOptions
from edgevision.tracking.tracks import Track, Tracks

__all__ = [
    "Anchor",
    "Cause",
    "Count",
    "Counter",
    "InventoryEvent",
    "Key",
    "Ledger",
    "Line",
    "Track",
    "Tracker",
    "TrackerOptions",
    "Tracks",
    "Zone",
]
