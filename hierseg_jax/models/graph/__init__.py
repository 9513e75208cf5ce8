"""What the networks of exported graphs are written in: folded weights and ONNX operations, NCHW."""
