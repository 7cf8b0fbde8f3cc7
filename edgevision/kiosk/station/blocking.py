"""When a Station says that it cannot see, and when that it can again: with patience both ways."""

from __future__ import annotations

from edgevision.kiosk.events import Blocked, BlockedReason, StationEvent, Unblocked
from edgevision.kiosk.station.options import StationOptions

_WORDS = {
    BlockedReason.DARK: "it is too dark to see; switch on the light, or uncover the lens",
    BlockedReason.COVERED: "something covers the lens; take it away",
    BlockedReason.HAND: "something keeps moving over the place; take the hand away",
    BlockedReason.CAMERA_GONE: "the camera gives no pictures; look at its cable and power",
}
_TIE_S = 1e-9  # what seconds lose when they are subtracted


class Blocking:
    """Keeps ``reason``: why nothing can be told, or None."""

    def __init__(self, station: str, options: StationOptions) -> None:
        self.reason: BlockedReason | None = None
        self._station = station
        self._waits = {
            BlockedReason.DARK: options.dark_s,
            BlockedReason.COVERED: options.covered_s,
            BlockedReason.HAND: options.hand_s,
            BlockedReason.CAMERA_GONE: 0.0,  # whoever says so has waited already
        }
        self._clear_s = options.clear_s
        self._trouble: BlockedReason | None = None
        self._since_s = 0.0  # since when it is this trouble, or since when there is none

    def tell(self, trouble: BlockedReason | None, at_s: float, words: str = "") -> list[StationEvent]:
        """What is wrong with the newest frame, if anything; ``words``: where more is known of it. The event that follows from it, if one does."""
        if trouble is not self._trouble:
            self._trouble, self._since_s = trouble, at_s
        lasting_s = at_s - self._since_s
        if trouble is None:
            if self.reason is None or lasting_s < self._clear_s - _TIE_S:
                return []
            self.reason = None
            return [Unblocked(self._station, at_s)]
        if trouble is self.reason or lasting_s < self._waits[trouble] - _TIE_S:
            return []
        self.reason = trouble  # also where it was blocked for another reason: one ``Unblocked`` ends both
        return [Blocked(self._station, at_s, trouble, words or _WORDS[trouble])]
