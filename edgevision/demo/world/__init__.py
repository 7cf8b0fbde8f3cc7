"""Rendered shop scenes with known boxes: shelves, a conveyor, a checkout tray."""
