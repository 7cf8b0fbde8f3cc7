"""Detect: where products are in a picture, and what they are."""
