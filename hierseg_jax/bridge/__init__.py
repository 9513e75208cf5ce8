"""The bridge: from a checkpoint to one verified .onnx file that onnxruntime runs fast.

May import: runtime (metadata), evaluation, and all that this may import.
"""
