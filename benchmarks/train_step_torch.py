"""One process of train_step.py: NETWORK SIZE BATCH STEPS CHECKOUT LAYOUT. Needs PyTorch.

For a GPU three more follow: PRECISION (float32, tf32 or bfloat16), COMPILE (true or false), and
GROUP: only after so many steps is the device waited for, as in training.
"""

import contextlib
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
    network: str,
    size: int,
    batch_size: int,
    steps: int,
    checkout: str,
    layout: str,
    precision: str = "",
    compiled: str = "false",
    group: str = "1",
) -> dict[str, float]:
    """Median seconds of a step and of a forward pass, and peak memory: the process's or a GPU's."""
    import torch

    gpu = bool(precision)
    device = "cuda" if gpu else "cpu"
    if gpu:
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = precision != "float32"
        torch.backends.cudnn.allow_tf32 = precision != "float32"
    half = torch.autocast(device, torch.bfloat16)
    arithmetic = half if precision == "bfloat16" else contextlib.nullcontext()
    wait = torch.cuda.synchronize if gpu else lambda: None

    sys.path.insert(0, checkout)
    models = importlib.import_module("models")
    model = {"esnet": models.ESNet, "effunet": models.EfficientUnet}[network](CLASSES).to(device)
    image = torch.rand(batch_size, 3, size, size, device=device)
    labels = torch.randint(0, CLASSES, (batch_size, size, size), device=device)
    if layout == "channels_last":
        model = model.to(memory_format=torch.channels_last)
        image = image.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    model.train()
    run = torch.compile(model) if compiled == "true" else model
    seconds = []
    for i in range(steps + 1):
        began = time.perf_counter()
        for _ in range(int(group) if i else 1):
            optimizer.zero_grad()
            with arithmetic:
                probabilities = run(image)
            # The reference's networks end in a softmax.
            dice(torch, probabilities.float(), labels).backward()
            optimizer.step()
        wait()
        seconds.append((time.perf_counter() - began) / int(group))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    if gpu:
        peak = torch.cuda.max_memory_allocated() / 1e9
    model.eval()
    forward_seconds = []
    with torch.inference_mode(), arithmetic:
        for _ in range(steps + 1):
            began = time.perf_counter()
            for _ in range(int(group)):
                run(image)
            wait()
            forward_seconds.append((time.perf_counter() - began) / int(group))
    return {
        "step": statistics.median(seconds[1:]),
        "forward": statistics.median(forward_seconds[1:]),
        "peak_gb": peak,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], *map(int, sys.argv[2:5]), *sys.argv[5:10])))
