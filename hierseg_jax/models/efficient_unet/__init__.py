"""EfficientUNet and its EfficientNet backbones."""
