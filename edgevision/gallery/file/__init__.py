"""The ``.evg`` file: one SQLite database, written in transactions, and read as if an enemy had made it."""
