"""PASCAL-Person-Part as a TensorFlow Datasets builder; `python -m` of this package builds it."""
