"""What a compile found: as data, as tables, as a page."""
