"""Metrics over a data set, paired statistics, and the pictures of reports."""
