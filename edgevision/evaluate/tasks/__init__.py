"""One evaluator for each task."""
