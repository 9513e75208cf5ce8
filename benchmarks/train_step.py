"""Training and inference speed beside PyTorch's, memory, and the time to the first step.

python benchmarks/train_step.py --reference=CHECKOUT --torch_python=VENV/bin/python

Every number comes from a process of its own; processes of the two frameworks alternate. The
reference's networks come from a checkout of it; without one only this project is timed. A
step is the whole of it: forward, dice loss, backward, Adam. PyTorch runs as it comes and in
`channels_last`, which the reference does not use. With --data also the images/s of
launch/train.py on that data set beside those of its bare step.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import flags

from hierseg_jax.system.command_line import run
from hierseg_jax.system.errors import HiersegError

_NETWORKS = flags.DEFINE_list("networks", ["esnet", "effunet"], "Of esnet, effunet.")
_REFERENCE = flags.DEFINE_string("reference", None, "A checkout of the reference.")
_TORCH_PYTHON = flags.DEFINE_string("torch_python", sys.executable, "An interpreter with PyTorch.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Processes of each framework.")
_STEPS = flags.DEFINE_integer("steps", 8, "Steps in a process, of which the median counts.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 320, "Side in pixels.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Images in a batch.")
_DATA = flags.DEFINE_string("data", None, "A data.yaml for launch/train.py, run at 192 pixels.")

HERE = Path(__file__).parent
Numbers = dict[str, float]


def child(framework: str, network: str, size: int, batch: int, cache: str) -> Numbers:
    """The numbers of one process."""
    script = "train_step_jax.py" if framework == "jax" else "train_step_torch.py"
    python = sys.executable if framework == "jax" else _TORCH_PYTHON.value
    command = [python, str(HERE / script), network, str(size), str(batch), str(_STEPS.value)]
    if framework != "jax":
        command += [_REFERENCE.value, framework]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"HIERSEG_JAX_CACHE": cache}
    )
    if done.returncode:
        raise HiersegError(f"{' '.join(command)} failed.")
    return json.loads(done.stdout.splitlines()[-1])


def compare(network: str, cache: str) -> None:
    """Rounds of all frameworks; prints medians, and ratios within rounds."""
    size, batch = _IMAGE_SIZE.value, _BATCH_SIZE.value
    cold = tempfile.mkdtemp(dir=cache)
    first = child("jax", network, size, batch, cold)["first_step"]
    warm = child("jax", network, size, batch, cold)["first_step"]
    print(f"{network}: first step {first:.1f} s cold, {warm:.1f} s warm, from the process's start")
    frameworks = ["jax", *(["torch", "channels_last"] if _REFERENCE.value else [])]
    found: dict[str, list[Numbers]] = {name: [] for name in frameworks}
    for _ in range(_ROUNDS.value):
        for name in frameworks:
            found[name].append(child(name, network, size, batch, cold))
    for name, numbers in found.items():
        middle = {key: statistics.median(n[key] for n in numbers) for key in numbers[0]}
        line = (
            f"  {name}: step {middle['step']:.2f} s, {batch / middle['step']:.2f} images/s; "
            f"forward {batch / middle['forward']:.1f} images/s; peak {middle['peak_gb']:.2f} GB"
        )
        if name != "jax":
            pairs = list(zip(numbers, found["jax"], strict=True))
            for key in ("step", "forward"):
                ratios = sorted(theirs[key] / ours[key] for theirs, ours in pairs)
                line += (
                    f"; ours is {statistics.median(ratios):.2f} times as fast in {key} "
                    f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
                )
        print(line, flush=True)


def whole_program(network: str, cache: str) -> None:
    """Images/s of launch/train.py, first epoch left out, beside its bare step's."""
    size, batch, epochs = 192, 16, 3
    bare, whole = [], []
    for _ in range(_ROUNDS.value):
        bare.append(batch / child("jax", network, size, batch, cache)["step"])
        workdir = tempfile.mkdtemp(dir=cache)
        command = [sys.executable, str(HERE.parent / "launch" / "train.py")]
        command += [
            f"--config={HERE.parent / 'configs' / 'default.py'}",
            f"--workdir={workdir}/run",
        ]
        command += [f"--config.data.spec={_DATA.value}", f"--config.model.name={network}"]
        command += [f"--config.batch_size={batch}", f"--config.data.image_size={size}"]
        command += [f"--config.epochs={epochs}", "--config.loss=dice"]
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"HIERSEG_JAX_CACHE": cache},
        )
        rows = json.loads((Path(workdir) / "run" / "history.json").read_text())["epochs"]
        whole.append(statistics.median(row["images_per_second"] for row in rows[1:]))
        shutil.rmtree(workdir)
    shares = sorted(w / b for w, b in zip(whole, bare, strict=True))
    print(
        f"{network} on {_DATA.value} at {size} pixels: launch/train.py "
        f"{statistics.median(whole):.1f} images/s, bare step {statistics.median(bare):.1f}; "
        f"{statistics.median(shares):.0%} ({shares[0]:.0%} to {shares[-1]:.0%})",
        flush=True,
    )


def main() -> None:
    """Both networks, one after the other."""
    with tempfile.TemporaryDirectory() as cache:
        for network in _NETWORKS.value:
            compare(network, cache)
            if _DATA.value:
                whole_program(network, cache)


if __name__ == "__main__":
    run(main)
