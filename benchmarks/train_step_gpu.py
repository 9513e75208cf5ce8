"""Training and inference speed on a GPU, beside PyTorch's on the same one.

python benchmarks/train_step_gpu.py --reference=CHECKOUT --torch_python=VENV/bin/python

As train_step.py, a process for each number, in the arithmetics that a GPU has: float32, TF32,
bfloat16; PyTorch as it comes, in `channels_last`, under autocast, and with torch.compile. With
`--warm` every process runs once before, several at once, so that what is timed is compiled; without
it, and with an empty JAX_COMPILATION_CACHE_DIR, our lines have the time to the first step.
XLA_FLAGS=--xla_gpu_exclude_nondeterministic_ops=false has all of cuDNN's algorithms tried.
"""

import concurrent.futures
import json
import statistics
import subprocess
import sys
from pathlib import Path

from absl import flags

from hierseg_jax.system.command_line import run
from hierseg_jax.system.errors import HiersegError

_NETWORKS = flags.DEFINE_list("networks", ["esnet", "effunet"], "Of esnet, effunet.")
_REFERENCE = flags.DEFINE_string("reference", None, "A checkout of the reference.")
_TORCH_PYTHON = flags.DEFINE_string("torch_python", sys.executable, "An interpreter with PyTorch.")
_ROUNDS = flags.DEFINE_integer("rounds", 1, "Processes of each variant.")
_STEPS = flags.DEFINE_integer("steps", 5, "Groups of steps in a process; the median counts.")
_GROUP = flags.DEFINE_integer("group", 10, "Steps in a group.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 320, "Side in pixels.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images in a batch.")
_WARM = flags.DEFINE_integer("warm", 0, "So many processes at once compile everything first.")
_JSON = flags.DEFINE_string("json", None, "A file for all numbers.")

HERE = Path(__file__).parent
OURS = {
    "float32": ["float32", "highest", "auto", "false"],
    "TF32": ["float32", "default", "auto", "false"],
    "TF32, conv_impl=xla": ["float32", "default", "xla", "false"],
    "bfloat16": ["bfloat16", "default", "auto", "false"],
    "bfloat16, remat": ["bfloat16", "default", "auto", "true"],
}
THEIRS = {
    "float32": ["contiguous", "float32", "false"],
    "TF32, channels_last": ["channels_last", "tf32", "false"],
    "TF32, channels_last, compiled": ["channels_last", "tf32", "true"],
    "bfloat16, channels_last": ["channels_last", "bfloat16", "false"],
    "bfloat16, channels_last, compiled": ["channels_last", "bfloat16", "true"],
}
Key = tuple[str, str, str]
"""Framework, network, variant."""


def child(key: Key, steps: int) -> dict[str, float]:
    """The numbers of one process; {} of one that failed, whose last line is printed."""
    framework, network, variant = key
    numbers = [network, str(_IMAGE_SIZE.value), str(_BATCH_SIZE.value), str(steps)]
    if framework == "jax":
        command = [sys.executable, str(HERE / "train_step_jax.py"), *numbers, *OURS[variant]]
    else:
        command = [_TORCH_PYTHON.value, str(HERE / "train_step_torch.py"), *numbers]
        command += [_REFERENCE.value, *THEIRS[variant]]
    command.append(str(_GROUP.value))
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        print(f"{', '.join(key)} failed: {lines[-1] if lines else done.returncode}", flush=True)
        return {}
    return json.loads(done.stdout.splitlines()[-1])


def describe(key: Key, runs: list[dict[str, float]]) -> str:
    """Its medians in a line."""
    step, forward, peak = (
        statistics.median(numbers[name] for numbers in runs)
        for name in ("step", "forward", "peak_gb")
    )
    batch = _BATCH_SIZE.value
    first = ""
    if all("first_step" in numbers for numbers in runs) and not _WARM.value:
        seconds = statistics.median(numbers["first_step"] for numbers in runs)
        first = f"; first step after {seconds:.0f} s"
    return (
        f"{', '.join(key)}: step {1e3 * step:.1f} ms, {batch / step:.0f} images/s; "
        f"forward {1e3 * forward:.2f} ms, {batch / forward:.0f} images/s; peak {peak:.2f} GB{first}"
    )


def main() -> None:
    """All variants of a network in turn, in every round."""
    keys: list[Key] = []
    for network in _NETWORKS.value:
        keys += [("jax", network, variant) for variant in OURS]
        if _REFERENCE.value:
            keys += [("torch", network, variant) for variant in THEIRS]
    if _WARM.value:
        with concurrent.futures.ThreadPoolExecutor(_WARM.value) as pool:
            list(pool.map(lambda key: child(key, 1), keys))
    found: dict[Key, list[dict[str, float]]] = {key: [] for key in keys}
    for turn in range(_ROUNDS.value):
        for key in keys:
            if numbers := child(key, _STEPS.value):
                found[key].append(numbers)
                print(f"round {turn + 1}, {describe(key, [numbers])}", flush=True)
    if _ROUNDS.value > 1:
        for key, runs in found.items():
            if runs:
                print(describe(key, runs))
    if _JSON.value:
        rows = [{"key": key, "runs": runs} for key, runs in found.items()]
        Path(_JSON.value).write_text(json.dumps(rows, indent=1))
    if not any(found.values()):
        raise HiersegError("No process came to its end.")


if __name__ == "__main__":
    run(main)
