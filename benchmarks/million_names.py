"""How long a split of very many files takes to open, and what memory: names alone, all empty.

Pairs of names are made in a new folder below --folder, best on a file system in memory; a file
of 30,000 names each stands behind them.
"""

import os
import pathlib
import resource
import tempfile
import time

from absl import app, flags

from hierseg_jax.data.read.sources import open_split

_PAIRS = flags.DEFINE_integer("pairs", 500_000, "Of an image and a mask.", lower_bound=1)
_FOLDER = flags.DEFINE_string("folder", None, "Where they are made, and taken away again.")
_LINKS = 30_000


def main(_: list[str]) -> None:
    """Makes the names, opens the split, and prints what it took."""
    with tempfile.TemporaryDirectory(dir=_FOLDER.value) as folder:
        root = pathlib.Path(folder)
        (root / "data.yaml").write_text("train: train/images\nhierarchy: [1]\n")
        for name, suffix in (("images", ".jpg"), ("masks", ".png")):
            _make_names(root / "train" / name, suffix)
        before = time.perf_counter(), time.process_time()
        source = open_split(str(root / "data.yaml"), "train", 1, {})
        wall, core = time.perf_counter() - before[0], time.process_time() - before[1]
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(f"{len(source):,} pairs: {wall:.1f} s, {core:.1f} s of a core; {memory} MB in all")


def _make_names(folder: pathlib.Path, suffix: str) -> None:
    folder.mkdir(parents=True)
    for i in range(_PAIRS.value):
        file = folder / f"image_{i:07}{suffix}"
        if i % _LINKS == 0:
            linked = file
            linked.touch()
        else:
            os.link(linked, file)


if __name__ == "__main__":
    app.run(main)
