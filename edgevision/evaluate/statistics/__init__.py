"""Metrics and intervals: NumPy in, numbers out."""
