"""Training: the state, the step, the loop around it, and what a run writes.

May import: pytorch, for weights to start from, evaluation, and all that this may import.
"""
