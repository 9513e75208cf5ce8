"""Segmentation with an exported network, without JAX.

`Segmenter` needs NumPy, OpenCV, onnxruntime and PyYAML; streams also need tqdm.

May import: data (reading, resize, sampling), reports (overlay), tree, system.
"""
