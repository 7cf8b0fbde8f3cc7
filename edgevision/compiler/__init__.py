"""From a model file to a bundle: load, export, calibrate, quantize, measure, choose, pack."""
