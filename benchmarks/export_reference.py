"""The reference's own ONNX export, made with its code from a checkout of it.

python benchmarks/export_reference.py CHECKOUT esnet 7 320 theirs.onnx

Needs PyTorch, onnx and onnxsim; weights are random, which latency does not depend on.
"""

import importlib
import sys


def main(checkout: str, model: str, classes: str, side: str, file: str) -> None:
    """As the reference's export.py does it: opset 11, folded, simplified."""
    import onnx
    import torch
    from onnxsim import simplify

    sys.path.insert(0, checkout)
    models = importlib.import_module("models")
    network = {"esnet": "ESNet", "effunet": "EfficientUnet"}[model]
    network = getattr(models, network)(int(classes)).eval()
    torch.onnx.export(
        network,
        torch.rand(1, 3, int(side), int(side)),
        file,
        opset_version=11,
        input_names=["image"],
        output_names=["mask"],
        do_constant_folding=True,
        dynamo=False,
    )
    simplified, equal = simplify(onnx.load(file))
    if not equal:
        sys.exit("onnxsim changed what the network computes.")
    onnx.save(simplified, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
