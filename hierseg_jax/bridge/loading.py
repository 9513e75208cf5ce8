"""From a file or a run to what is in it, in one line: `hierseg_jax.load` and `load_run`.

What either needs is imported when it is called: an .onnx file is loaded without JAX.
"""

from __future__ import annotations

import contextlib
import functools
import pathlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError, warn
from hierseg_jax.system.missing import missing_sentence
from hierseg_jax.tree.hierarchy import Hierarchy

if TYPE_CHECKING:
    from hierseg_jax.checkpoint import Checkpoint
    from hierseg_jax.runtime.prediction import Predictor


def load(
    source: str | pathlib.Path | None = None,
    *,
    image_size: int | tuple[int, int] | None = None,
    which: str | int | None = None,
    hierarchy: Hierarchy | None = None,
    provider: str | None = None,
    threads: int | None = None,
    refine: bool = True,
) -> Predictor:
    """A trained network, to be given pictures.

        network = hierseg_jax.load("figures.onnx")  # load(): the network in the package
        prediction = network("photo.jpg")  # or uint8 RGB [H, W, 3], or a list of either
        prediction.labels["part"]  # uint8 [H, W]

    Args:
      source: an .onnx file, of `hierseg export` under either contract or of the PyTorch reference,
        which onnxruntime computes, without JAX; or a run's workdir or a checkpoint's folder, which
        JAX computes. Without one, or by `street_photographs`, the network in the package.
      image_size: side, or (height, width), that pictures are brought to; of a file that leaves it
        open, or of a run. By default that of the training.
      which: of a workdir's checkpoints: `best`, which is the default, `last`, or an epoch.
      hierarchy: of the classes, for a file that has none, such as the reference's.
      provider: of a file: `cpu`, `cuda`, or `auto`, the default, which is CUDA where it works.
      threads: of onnxruntime, for a file; by default one per core.
      refine: whether borders between classes follow the picture's edges, as `hierseg predict` draws
        pictures. It takes about 10 ms for a picture of 1280 x 720 pixels.

    Returns:
      A function of pictures, with `hierarchy` and `class_names`.

    Raises:
      ValueError, FileNotFoundError: one sentence, for what is neither, or is damaged.
    """
    from hierseg_jax.runtime.packaged_network import network_file

    path = network_file(source)
    size = None
    if image_size is not None:
        from hierseg_jax.data.sizes import as_size

        size = as_size(image_size)
    of_file = {"hierarchy": hierarchy, "provider": provider, "threads": threads}
    if path.is_dir():
        _refuse(of_file, f"{path} is a run", "an .onnx file")
        with _needing_all():
            from hierseg_jax.bridge.run_predictor import predictor_of_run

        return predictor_of_run(load_run(path, "best" if which is None else which), size, refine)
    if not path.exists():
        raise HiersegFileNotFoundError(
            f"{path} does not exist; give an .onnx file (see hierseg export), or the workdir of a "
            "training run."
        )
    _refuse({"which": which}, f"{path} is a file", "a run's workdir")
    from hierseg_jax.runtime.prediction import Predictor
    from hierseg_jax.runtime.segmenter import Segmenter

    segmenter = Segmenter(
        path,
        hierarchy=hierarchy,
        provider="auto" if provider is None else provider,
        threads=threads,
        image_size=size,
    )
    if segmenter.note:
        warn(segmenter.note)
    return Predictor(segmenter.hierarchy, functools.partial(segmenter, refine=refine))


def load_run(source: str | pathlib.Path, which: str | int = "best") -> Checkpoint:
    """What a training run has learned, to be used in JAX.

        run = hierseg_jax.load_run("runs/mine")
        logits = run.model.apply(run.variables, image)  # float32 RGB [B, H, W, 3] in [0, 1]

    Args:
      source: a run's workdir, or a checkpoint's folder.
      which: of a workdir: `best`, `last`, or the number of an epoch.

    Returns:
      `model`, `variables`, `hierarchy` and `settings`; and `path` and `meta`, of the checkpoint.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    with _needing_all():
        from hierseg_jax.checkpoint import open_checkpoint
        from hierseg_jax.checkpoint.stored_network import check_own_arrays

    run = open_checkpoint(source, which)
    check_own_arrays(run)
    return run


@contextlib.contextmanager
def _needing_all() -> Iterator[None]:
    """Of imports: a sentence where the small installation has not what they need."""
    try:
        yield
    except ModuleNotFoundError as error:
        if sentence := missing_sentence("A run's network", error):
            raise HiersegError(sentence) from error
        raise


def _refuse(options: Mapping[str, object], what: str, theirs: str) -> None:
    """Raises ValueError where an option is given that is for the other kind of source."""
    for name, value in options.items():
        if value is not None:
            raise HiersegError(f"{what}, and `{name}` is for {theirs}; leave it out.")
