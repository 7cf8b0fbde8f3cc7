"""Stock: inventory events in a database, and what they add up to."""
