"""Fewer channels: what to remove, how to make up for it, and how much is fast enough."""
