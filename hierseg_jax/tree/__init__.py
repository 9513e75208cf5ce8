"""The class tree: hierarchies, their parsing, pairs, decoding rules, colours.

NumPy alone. May import: system.
"""
