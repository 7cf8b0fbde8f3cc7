"""The ``.edge`` file: manifest, read, write, verify."""
