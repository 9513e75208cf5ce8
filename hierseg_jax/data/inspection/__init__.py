"""The data doctor: what is wrong or odd in a data set, and what to train on it with."""
