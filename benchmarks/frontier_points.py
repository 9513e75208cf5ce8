"""The points of frontier.py: which networks, at which sizes, and the commands that train them."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class Point:
    """One network at one size.

    Attributes:
      network: its name in the file of points.
      size: (height, width) in pixels.
      epochs: of the training.
      config: a file of configs/; "" for a network of segmentation_models.pytorch.
      keys: of the config, beside size, data, seed and epochs; `{runs}` and `{seed}` in their
        values are the folder of runs and the run's seed.
      theirs: the network's name in segmentation_models.pytorch, else "".
    """

    network: str
    size: tuple[int, int]
    epochs: int
    config: str = ""
    keys: tuple[tuple[str, Any], ...] = ()
    theirs: str = ""

    @property
    def name(self) -> str:
        """As folders and files are called, but for the seed."""
        return f"{self.network}_{format_sides(self.size)}"

    def training(
        self, data: str, workdir: Path, seed: int, python: str, torch_python: str
    ) -> list[str]:
        """The command, which also goes on with a run that was stopped.

        Args:
          data: the data.yaml.
          workdir: of the run.
          seed: of the run.
          python: an interpreter with this project.
          torch_python: one with segmentation_models.pytorch.
        """
        sides = ",".join(map(str, self.size))
        if self.theirs:
            return [
                torch_python,
                str(ROOT / "benchmarks/frontier_torch.py"),
                f"--network={self.theirs}",
                f"--data={data}",
                f"--image_size={sides}",
                f"--epochs={self.epochs}",
                f"--seed={seed}",
                f"--workdir={workdir}",
            ]
        height, width = self.size
        given = {
            "data.spec": data,
            "data.image_size": height if height == width else sides,
            "epochs": self.epochs,
            "seed": seed,
        }
        return [
            python,
            str(ROOT / "launch/train.py"),
            f"--config={ROOT / self.config}",
            *(f"--config.{key}={value}" for key, value in given.items()),
            *(
                f"--config.{key}={str(value).format(runs=workdir.parent, seed=seed)}"
                for key, value in self.keys
            ),
            f"--workdir={workdir}",
        ]


def read_points(file: Path) -> tuple[list[Point], list[int]]:
    """The points of a file such as frontier.yaml, in its order, and their seeds."""
    content = yaml.safe_load(file.read_text())
    points = [
        Point(
            network=network,
            size=_sides(size),
            epochs=given.get("epochs", content["epochs"]),
            config=given.get("config", ""),
            keys=tuple(given.get("keys", {}).items()),
            theirs=given.get("network", ""),
        )
        for network, given in content["networks"].items()
        for size in given["sizes"]
    ]
    return points, content["seeds"]


def is_trained(workdir: Path, epochs: int) -> bool:
    """Whether a run has come to its last epoch."""
    file = workdir / "history.json"
    rows = json.loads(file.read_text())["epochs"] if file.is_file() else []
    return bool(rows) and rows[-1]["epoch"] >= epochs


def training_minutes(workdir: Path) -> float:
    """Spent on steps, validation left out."""
    history = json.loads((workdir / "history.json").read_text())
    rows, batch_size = history["epochs"], history["config"]["batch_size"]
    pictures = batch_size * rows[-1]["step"] / rows[-1]["epoch"]
    return sum(pictures / row["images_per_second"] for row in rows) / 60


def format_sides(size: Sequence[int]) -> str:
    """`192` of a square, else `288x192` (height x width)."""
    height, width = size
    return str(height) if height == width else f"{height}x{width}"


def _sides(size: int | list[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
