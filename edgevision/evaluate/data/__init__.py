"""Labelled photos: data sets, label files, and a model run over them."""
