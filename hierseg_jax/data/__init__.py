"""Data sets: their description, their sources, and the way to batches."""
