"""Segmentation with an exported network: NumPy, OpenCV, Pillow and onnxruntime, no JAX."""
