"""The bridge: from a checkpoint to one verified .onnx file that onnxruntime runs fast.

And a run's network in place of such a file (`run_predictor.py`).

May import: runtime, evaluation, and all that this may import.
"""
