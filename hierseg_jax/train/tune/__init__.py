"""Hyperparameter search with Optuna; `space`, `metric`, `plots` and `report` do without it."""
