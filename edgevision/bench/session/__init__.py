"""The run: targets take turns until it is decided or the time is spent; nothing that was measured is lost."""
