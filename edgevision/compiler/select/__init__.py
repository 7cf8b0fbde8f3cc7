"""Which variant is packed: measured here, held against the accuracy budget, ranked."""
