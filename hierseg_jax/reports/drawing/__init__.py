"""Label maps over photographs, and what their colours mean: one way for every picture that the
project makes. NumPy, OpenCV and Pillow alone.
"""
