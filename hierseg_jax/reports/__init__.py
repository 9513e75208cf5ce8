"""What the reports that are opened in a browser share: the frame, its style, small pictures.

May import: tree, system.
"""
