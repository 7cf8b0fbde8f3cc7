"""Photos of a compile: which calibrate, which validate, and whether they are fit for it."""
