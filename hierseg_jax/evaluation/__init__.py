"""Evaluation of every level over a split: steps, metrics, tables, and report.html.

May import: checkpoint, settings, models, losses, data, reports, tree, system.
"""
