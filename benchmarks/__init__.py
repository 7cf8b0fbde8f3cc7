"""Runnable comparisons; each writes JSON and says what it compared."""
