"""Segmentation with an exported network: NumPy, OpenCV, Pillow and onnxruntime, no JAX.

May import: data (reading, resize), reports (overlay), tree, system.
"""
