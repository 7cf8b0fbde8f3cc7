"""Results written on their pictures."""

from edgevision.tasks.draw.classify import draw

__all__ = ["draw"]
