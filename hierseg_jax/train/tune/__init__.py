"""Hyperparameter search with Optuna; `space`, `objective` and the page do without it."""
