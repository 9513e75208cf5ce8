"""All that a run can be told, read once and typed; and what parts of it build.

May import: models, losses, data, tree, system.
"""
