"""Segmentation with an exported network: NumPy, OpenCV and onnxruntime, no JAX."""
