"""The bridge: from a checkpoint to a verified .onnx."""

import dataclasses
from collections.abc import Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from hierseg_jax.bridge.contracts import Graph, build_graph
from hierseg_jax.bridge.description import check_json_file, describe, write_with_json
from hierseg_jax.bridge.mean_weights import with_mean_weights
from hierseg_jax.bridge.precision import PRECISIONS
from hierseg_jax.bridge.quality import graph_miou
from hierseg_jax.bridge.rounding import open_splits, round_graph
from hierseg_jax.bridge.to_onnx import convert
from hierseg_jax.bridge.training_light import training_light
from hierseg_jax.bridge.verify import largest_difference
from hierseg_jax.checkpoint import Checkpoint, open_checkpoint
from hierseg_jax.checkpoint.digest import tree_digest
from hierseg_jax.checkpoint.stored_network import check_own_arrays
from hierseg_jax.data.brightening import BRIGHT
from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.sizes import as_size, nearest_multiple
from hierseg_jax.runtime.metadata import NETWORK_KEYS, Metadata
from hierseg_jax.settings import Settings
from hierseg_jax.settings.building import build_model, open_source, spec_of_checkpoint
from hierseg_jax.system.atomic_writing import check_room, make_folder
from hierseg_jax.system.devices.exact import exact_on_cpu
from hierseg_jax.system.errors import HiersegError, HiersegFileExistsError
from hierseg_jax.system.paths import as_path

PHOTOS = 2
PACKAGES = ("hierseg_jax", "jax", "flax", "jax2onnx", "onnx", "onnxruntime")


@dataclasses.dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
      file: the .onnx; beside it lies a .json of the same name (`bridge.description`).
      metadata: as it stands in the file.
      difference: largest difference of a probability between onnxruntime and JAX, in
        float32, before weights or activations are rounded.
      miou: where they are: by level, in float32 and after rounding.
      pictures: number of validation pictures that `miou` is over.
    """

    file: Path
    metadata: Metadata
    difference: float
    miou: dict[str, tuple[float, float]]
    pictures: int


@exact_on_cpu()
def export_checkpoint(
    checkpoint: str | Path,
    onnx_file: str | Path,
    *,
    which: str = "best",
    contract: str = "reference",
    image_size: int | tuple[int, int] | None = None,
    opset: int = 17,
    dynamic_size: bool = False,
    dynamic_batch: bool = False,
    precision: str = "float32",
    data: str | None = None,
    plain: bool = False,
    overwrite: bool = False,
    mean_with: Sequence[str | Path] = (),
    brighten: bool | None = None,
) -> Export:
    """Exports a checkpoint, compares the graph with the network, and only then writes it.

    JAX computes on the CPU for it, in full float32, whatever other devices there are. The rule by
    which the run's pictures came to the network's size goes into the metadata.

    Args:
      checkpoint: a run's workdir or a checkpoint's folder.
      onnx_file: to be written, and a .json beside it; their folder is made.
      which: of a workdir: `best`, `last`, or an epoch.
      contract: `reference` or `deploy`; see `bridge.contracts.build_graph`.
      image_size: side, or (height, width), multiples of the network's stride; by default that of
        the training.
      opset: 13 to 23.
      dynamic_size: leave height and width open.
      dynamic_batch: leave the number of images open.
      precision: `float32`; `float16`, of the stored weights; or `int8`, of all but the
        results, its ranges taken from training pictures. What the two lower ones cost is
        measured on the validation pictures.
      data: data set for that, with the checkpoint's class tree; by default its own. How bright
        pictures are is seen in this one, too, where its own can't be read, or where it is given
        for that alone.
      plain: leave `scores` out of the contract `deploy`. Programs that know label maps alone
        take such a file; edges at a picture's own size are not smooth then.
      overwrite: whether an existing `onnx_file` may be replaced, and the .json beside it.
      mean_with: checkpoints of other runs, the mean of whose weights and its own is exported;
        `which` is of these, too.
      brighten: whether what runs the file brings dark pictures to the light of photographs in
        daylight before the network sees them; by default to that of the training pictures.

    Raises:
      ValueError, OSError: one sentence; nothing is written then.
    """
    file = as_path(onnx_file)
    _check_target(file, overwrite)
    if plain and contract != "deploy":
        raise HiersegError("--plain is for --contract=deploy; leave it out.")
    loaded = open_checkpoint(checkpoint, which)
    if isinstance(mean_with, str | Path):
        mean_with = [mean_with]
    others = [open_checkpoint(other, which) for other in mean_with]
    trained, loaded = (loaded, *others), with_mean_weights(loaded, others)
    check_own_arrays(loaded)
    settings, hierarchy = loaded.settings, loaded.hierarchy
    name, decoding = settings.model.name, settings.decoding
    plainly = dataclasses.replace(
        settings.model, conv_impl="xla", dtype="float32", matmul_precision="highest"
    )
    network = build_model(plainly, hierarchy)
    size, resize = settings.data.size, settings.data.resizing
    if image_size is not None:
        size = as_size(image_size)
    _check_size(size, network.stride, name)

    rounded = precision != "float32"
    if precision not in PRECISIONS:
        raise HiersegError(f"The precision is {precision!r}; choose {', '.join(PRECISIONS)}.")
    if rounded and settings.model.network.graph is None:
        raise HiersegError(
            f"{name} has no inference function of its own, whose weights could be rounded; leave "
            "out --half and --int8."
        )
    splits = open_splits(loaded, data, precision) if rounded else None
    bright = BRIGHT if brighten else None
    if brighten is None:
        lights = [training_light(each, data, size, asked=not rounded) for each in trained]
        bright = None if None in lights else min(filter(None, lights))
    resize = dataclasses.replace(resize, bright=bright)

    integers = precision == "int8"
    graph = build_graph(
        contract,
        network,
        loaded.variables,
        hierarchy,
        integers,
        decoding,
        plain,
    )
    model = convert(
        graph, size, opset=opset, dynamic_size=dynamic_size, dynamic_batch=dynamic_batch
    )
    shapes = _shapes(size, network.stride, dynamic_size, dynamic_batch)
    difference = largest_difference(
        model.SerializeToString(),
        graph,
        network,
        loaded.variables,
        hierarchy,
        _photos(settings),
        shapes,
        decoding,
        resize,
    )
    verification: dict[str, Any] = {"largest_difference": difference}
    miou, pictures = {}, 0
    if splits is not None:
        train, val, labelled = splits
        pictures = len(val)
        full, model = model, round_graph(model, graph, precision, train, size, resize)
        _run(model, graph, shapes)
        before, after = (
            graph_miou(each.SerializeToString(), graph, val, labelled, size, resize, decoding)
            for each in (full, model)
        )
        miou = {level: (before[level], after[level]) for level in before}
        verification |= {"miou_float32": before, f"miou_{precision}": after, "pictures": pictures}
    metadata = Metadata(
        contract=contract,
        hierarchy=hierarchy,
        image_size=size,
        stride=network.stride,
        model=settings.model.label,
        precision=precision,
        decoding=decoding,
        resize=resize.rule,
        sampling=resize.sampling,
        score_stride=graph.score_stride,
        bright=resize.bright,
        parameters_sha256=tree_digest(loaded.variables),
        network={key: getattr(settings.model, key) for key in NETWORK_KEYS},
        versions={package: version(package) for package in PACKAGES},
        validation=_validation(loaded),
        verification=verification,
    )
    describe(model, metadata)
    model.producer_name, model.producer_version = "hierseg_jax", version("hierseg_jax")
    make_folder(file.parent)
    write_with_json(file, model, metadata)
    return Export(file, metadata, difference, miou, pictures)


def _run(model: onnx.ModelProto, graph: Graph, shapes: list[tuple[int, int, int]]) -> None:
    """That onnxruntime takes every promised input is all that can be asked of rounded numbers."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for shape in shapes:
        session.run(
            None, {graph.input_name: np.zeros(graph.input_shape(*shape), graph.input_dtype)}
        )


def _check_target(file: Path, overwrite: bool) -> None:
    if file.suffix != ".onnx":
        raise HiersegError(f"--onnx_file is {file}; give a name that ends in .onnx.")
    if file.is_dir():
        raise HiersegError(f"{file} is a folder; give the name of a file.")
    if file.exists() and not overwrite:
        raise HiersegFileExistsError(
            f"{file} exists; choose another name, or replace it by --overwrite."
        )
    check_json_file(file, overwrite)
    check_room(file.parent)


def _check_size(size: tuple[int, int], stride: int, name: str) -> None:
    if min(size) < stride or any(side % stride for side in size):
        raise HiersegError(
            f"--image_size is {size[0]},{size[1]} (height, width); {name} needs multiples of "
            f"{stride}, such as {','.join(str(nearest_multiple(side, stride)) for side in size)}."
        )


def _shapes(
    size: tuple[int, int], stride: int, dynamic_size: bool, dynamic_batch: bool
) -> list[tuple[int, int, int]]:
    """Inputs to try: what is promised, with three other sizes where sizes are open."""
    height, width = size
    sizes = [size]
    if dynamic_size:
        sizes += [(height + stride, width), (2 * stride, 3 * stride), (stride, width + 2 * stride)]
    shapes = [(1, *each) for each in sizes]
    if dynamic_batch:
        shapes.append((3, 2 * stride, 2 * stride) if dynamic_size else (3, *size))
    return shapes


def _photos(settings: Settings) -> list[np.ndarray]:
    """Pictures of the run's own validation data or, where that is gone, of the figures."""
    try:
        spec = spec_of_checkpoint(settings.data, "The checkpoint")
        source = open_source(settings.data, settings.seed, "val", spec)
    except (HiersegError, OSError):
        source = FiguresSource("val", 128, count=PHOTOS, seed=0)
    return [source[i]["image"] for i in islice(range(len(source)), PHOTOS)]


def _validation(loaded: Checkpoint) -> dict[str, Any]:
    """What is known of the checkpoint's epoch, if it ends one."""
    if (row := loaded.row) is None:
        return {}
    return {"epoch": row["epoch"], "loss": row["val_loss"], "levels": row["levels"]}
