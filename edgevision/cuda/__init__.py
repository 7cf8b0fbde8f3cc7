"""The CUDA driver, and what engines and preprocessing share of it."""
