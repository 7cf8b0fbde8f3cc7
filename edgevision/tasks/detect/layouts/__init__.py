"""One module for each family of detection heads."""
