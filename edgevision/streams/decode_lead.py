"""How long before the model is free a batch is taken whose pictures are still to be decoded."""

from __future__ import annotations

_SMOOTHING = 1 / 8
_LEAST_S = 0.0005  # a lead shorter than this is none: waking a thread takes about as long


class DecodeLead:
    """Learns what decoding a batch takes, from taking it to the last pixel. Not thread-safe.

    A batch is taken that long before the model is free for it: not later, or the model would wait; and not sooner, for then a newer frame could
    have been taken.

    >>> lead = DecodeLead()
    >>> lead.add(0.010)
    >>> round(lead.take_s(5.0), 3)
    4.99
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """A batch was decoded; 0 for one that needed no decoding."""
        if self.seconds < _LEAST_S:
            self.seconds = seconds
        else:
            self.seconds += _SMOOTHING * (seconds - self.seconds)

    def take_s(self, free_s: float) -> float | None:
        """When to take a batch that the model will be free for at ``free_s``; None: not before it is, for there is nothing to decode."""
        return None if self.seconds < _LEAST_S else free_s - self.seconds
