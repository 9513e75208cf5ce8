"""From Flax variables to a graph that onnxruntime runs fast: folded, NCHW, inference only."""
