"""Data sets: reading, preparing and inspecting them, and the way to batches. No JAX.

May import: reports, tree, system.
"""
