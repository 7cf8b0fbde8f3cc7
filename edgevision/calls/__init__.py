"""Predictions as calls: with a deadline, and as awaitables."""
