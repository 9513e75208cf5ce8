"""A data set as it lies on disk: its description, its files, its examples."""
