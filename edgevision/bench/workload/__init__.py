"""The frozen workload: the same frames for every target, with their hash."""
