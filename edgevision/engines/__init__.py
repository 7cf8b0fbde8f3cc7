"""Engines: what runs tensors through a network."""
