"""The machine before, during and after: load, frequency, temperature, energy; what cannot be read is said."""

from edgevision.bench.conditions.rules import reasons_against
from edgevision.bench.conditions.watcher import Watcher

__all__ = ["Watcher", "reasons_against"]
