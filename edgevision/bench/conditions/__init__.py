"""The machine before, during and after: load, frequency, temperature, energy; what cannot be read is said."""
