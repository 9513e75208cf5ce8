"""PyTorch's files and state_dicts, to and from Flax variables; no PyTorch is needed.

May import: checkpoint, settings, models, data, tree, system.
"""
