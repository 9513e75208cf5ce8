"""One process of train_step.py: NETWORK SIZE BATCH STEPS CHECKOUT LAYOUT. Needs PyTorch."""

import importlib
import json
import resource
import statistics
import sys
import time
from typing import Any

CLASSES = 7


def dice(torch: Any, probabilities: Any, labels: Any) -> Any:
    """The loss of the reference, over all pixels."""
    one_hot = torch.nn.functional.one_hot(labels, CLASSES).permute(0, 3, 1, 2).float()
    dims = (0, 2, 3)
    true_positive = (probabilities * one_hot).sum(dims)
    score = (true_positive + 1) / (0.5 * probabilities.sum(dims) + 0.5 * one_hot.sum(dims) + 1)
    return (1 - score).mean()


def main(
    network: str, size: int, batch_size: int, steps: int, checkout: str, layout: str
) -> dict[str, float]:
    """Median seconds of a step and of a forward pass, and peak memory."""
    import torch

    sys.path.insert(0, checkout)
    models = importlib.import_module("models")
    model = {"esnet": models.ESNet, "effunet": models.EfficientUnet}[network](CLASSES)
    image = torch.rand(batch_size, 3, size, size)
    labels = torch.randint(0, CLASSES, (batch_size, size, size))
    if layout == "channels_last":
        model = model.to(memory_format=torch.channels_last)
        image = image.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    model.train()
    seconds = []
    for _ in range(steps + 1):
        began = time.perf_counter()
        optimizer.zero_grad()
        # The reference's networks end in a softmax.
        dice(torch, model(image), labels).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    model.eval()
    forward_seconds = []
    with torch.inference_mode():
        for _ in range(steps + 1):
            began = time.perf_counter()
            model(image)
            forward_seconds.append(time.perf_counter() - began)
    return {
        "step": statistics.median(seconds[1:]),
        "forward": statistics.median(forward_seconds[1:]),
        "peak_gb": peak,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], *map(int, sys.argv[2:5]), *sys.argv[5:7])))
