"""The frozen workload: the same frames for every target, with their hash."""

from edgevision.bench.workload.workload import Workload, load

__all__ = ["Workload", "load"]
