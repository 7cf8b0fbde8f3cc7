"""How long before the model is free a picture is taken that is still to be decoded."""

from __future__ import annotations

_SMOOTHING = 1 / 8
_LEAST_S = 0.0005  # shorter leads are ignored: waking a thread takes about as long


class DecodeLead:
    """Learns what decoding a picture takes, from taking it to the last pixel. Not thread-safe.

    A picture is taken that long before the model is free for it: not later, or the model would wait; and not sooner, for then a newer frame
    could have been taken. The first value counts whole, as does one after a lead that is ignored; later ones are smoothed.

    >>> lead = DecodeLead()
    >>> lead.add(0.010)
    >>> round(lead.take_s(5.0), 3)
    4.99
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """A picture was decoded."""
        if self.seconds < _LEAST_S:
            self.seconds = seconds
        else:
            self.seconds += _SMOOTHING * (seconds - self.seconds)

    def take_s(self, free_s: float, rounds: int = 1) -> float | None:
        """When to take pictures that the model will be free for at ``free_s``, where each thread decodes ``rounds`` of them; None: not before it is,
        for there is nothing to decode."""
        return None if self.seconds < _LEAST_S else free_s - rounds * self.seconds
