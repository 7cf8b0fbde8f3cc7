"""``Station``: frames of one place become events."""
