"""Tasks: how output tensors become results."""
