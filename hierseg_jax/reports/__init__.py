"""What the reports that are opened in a browser share: frame, style, plots, pictures; and label
maps over photographs.

May import: tree, system.
"""
