"""Data sets: reading, preparing and inspecting them, and the way to batches.

No JAX, but for pipeline.py, whose grain brings it.

May import: reports, tree, system.
"""
