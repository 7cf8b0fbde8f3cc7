"""Metrics over a data set, paired statistics, latency, and the pictures of reports."""
