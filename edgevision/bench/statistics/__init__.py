"""What samples say: percentiles with bounds, paired ratios, when it is decided. NumPy, no clock."""
