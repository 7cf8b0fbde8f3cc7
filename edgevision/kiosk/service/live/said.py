"""What Stations said of their last placements: what a correction is compared with."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from edgevision.kiosk.events import Answer, StationEvent

MOST = 512  # answers that are remembered, without pictures


class AnswersSaid:
    """The last answers, by Station and placement. Thread-safe.

    >>> AnswersSaid().of(3) is None
    True
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._answers: OrderedDict[tuple[str, int], dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def see(self, event: StationEvent) -> None:
        """Remember it, if it is an answer."""
        if not isinstance(event, Answer):
            return
        key = event.station, event.placement
        with self._lock:
            self._answers[key] = event.to_dict()
            self._answers.move_to_end(key)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)

    def of(self, placement: int, station: str | None = None) -> dict[str, Any] | None:
        """What was said of a placement; None where that is not known.

        Each Station counts from 1: without ``station``, it is known only where a single one had this placement.
        """
        with self._lock:
            if station is not None:
                return self._answers.get((station, placement))
            found = [answer for (_, number), answer in self._answers.items() if number == placement]
        return found[0] if len(found) == 1 else None
