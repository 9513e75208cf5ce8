"""mIoU by level of exported files on a split, and processor time of a picture on one thread.

python benchmarks/exported_quality.py --data=data.yaml a.onnx b.onnx

At the network's size labels are brought to it, and bars of a letterbox are ignored; else label
maps are at the pictures' own size. Time includes bringing the picture to the network and label
maps back. Other views of the same pictures are in views.py: --near=CLASS, a part of 16:9 of every
picture that has that class, as a camera on a desk sees it; --persons=2, so many pictures side by
side; --bars=0, black ones, and --backdrop=128, a grey one. Poor cameras:

--dark=0.25     with that share of the light
--coarse=0.25   enlarged from that share of its sides
--blur=2        by a Gaussian with a standard deviation of so many pixels
--shaken=15     moved sideways by so many pixels, an odd number
--noise=15      Gaussian, with a standard deviation of so many steps of 255
--grey          without colours

--negatives=FOLDER takes the pictures of a folder that show none of the classes in place of the
data, and tells how much of them is painted.
"""

import time

import numpy as np
from absl import flags

from benchmarks import views
from hierseg_jax.data.picture_labels import picture_labels
from hierseg_jax.data.read.picture_folder import PictureFolder
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.read.sources import open_split
from hierseg_jax.data.resize import place
from hierseg_jax.evaluation.metrics import LevelMetrics, evaluate_levels
from hierseg_jax.evaluation.whole_pictures import confusion_matrix
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.system.command_line import parse_size, run
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy

FLAGS = flags.FlagValues()
_FILES = flags.DEFINE_list("files", None, "Exported files of `deploy`.", flag_values=FLAGS)
_DATA = flags.DEFINE_string("data", None, "A data.yaml.", flag_values=FLAGS)
_NEGATIVES = flags.DEFINE_string("negatives", None, "A folder of pictures.", flag_values=FLAGS)
flags.mark_flags_as_mutual_exclusive(["data", "negatives"], required=True, flag_values=FLAGS)
_REFINE = flags.DEFINE_bool(
    "refine",
    False,
    "Have borders follow the pictures' edges on their own pixels.",
    flag_values=FLAGS,
)
_NEAR = flags.DEFINE_string("near", None, "Class whose top a part begins at.", flag_values=FLAGS)
_SHARE = flags.DEFINE_float("share", 0.6, "Of a picture's width, of that.", flag_values=FLAGS)
_PERSONS = flags.DEFINE_integer("persons", 1, "Pictures side by side.", flag_values=FLAGS)
_BARS = flags.DEFINE_integer("bars", None, "Grey of bars.", 0, 255, flag_values=FLAGS)
_BACKDROP = flags.DEFINE_integer(
    "backdrop", None, "Grey of the background.", 0, 255, flag_values=FLAGS
)
_DARK = flags.DEFINE_float("dark", None, "Share of the light.", 0, 1, flag_values=FLAGS)
_COARSE = flags.DEFINE_float("coarse", None, "Share of the sides.", 0.05, 1, flag_values=FLAGS)
_BLUR = flags.DEFINE_float("blur", None, "Pixels of a deviation.", 0.1, flag_values=FLAGS)
_SHAKEN = flags.DEFINE_integer("shaken", None, "Pixels, an odd number.", 1, flag_values=FLAGS)
_NOISE = flags.DEFINE_float("noise", None, "Standard deviation, of 255.", 0, flag_values=FLAGS)
_GREY = flags.DEFINE_bool("grey", False, "Without colours.", flag_values=FLAGS)
_IMAGE_SIZE = flags.DEFINE_list(
    "image_size", None, "Side, or height,width, if files are open.", flag_values=FLAGS
)
_SPLIT = flags.DEFINE_string("split", "val", "Of it.", flag_values=FLAGS)

MUCH = 0.05
"""Share of a picture without any of the classes that is painted, above which it is counted."""


def measure(segmenter: Segmenter, source: Source) -> tuple[list[dict[str, LevelMetrics]], float]:
    """Metrics at the network's size and at the pictures', and seconds of a picture (median)."""
    hierarchy = segmenter.hierarchy
    network, own, seconds = [], [], []
    for index in range(len(source)):
        image_hwc, label_hw = source[index]["image"], source[index]["label"]
        started = time.process_time()
        result = segmenter(image_hwc, refine=_REFINE.value)
        seconds.append(time.process_time() - started)
        finest = result.levels[hierarchy.level_names[-1]]
        own.append(confusion_matrix(label_hw, finest, hierarchy.num_classes))
        small_hw = result.placement.fit_labels(label_hw)
        size = result.placement.size
        whole = place(size, size, "stretch")
        leaf_hw = picture_labels(result.output.planes, whole, hierarchy, segmenter.decoding)
        network.append(confusion_matrix(small_hw, leaf_hw, hierarchy.num_classes))
    levels = [
        evaluate_levels(np.stack(counts), hierarchy, batch_size=1) for counts in (network, own)
    ]
    return levels, float(np.median(seconds))


def painted(segmenter: Segmenter, folder: str) -> list[float]:
    """The share of each picture that has a class other than the background."""
    background = segmenter.hierarchy.background
    if background is None or _NEAR.value:
        raise HiersegError("--negatives wants networks with a background, and no --near.")
    source, shares = PictureFolder(folder, background, "negatives"), []
    views_of = seen(source, segmenter.hierarchy)
    for index in range(len(views_of)):
        result = segmenter(views_of[index]["image"], refine=_REFINE.value)
        finest = result.levels[segmenter.hierarchy.level_names[-1]]
        shares.append(float((finest != background).mean()))
    return shares


def seen(source: Source, hierarchy: Hierarchy) -> Source:
    """The pictures as the flags have them seen."""
    if _NEAR.value:
        label = hierarchy.levels[-1].class_names.index(_NEAR.value)
        source = views.Views(views.PicturesWith(source, label), views.near(label, _SHARE.value))
    if _BACKDROP.value is not None:
        source = views.Views(source, views.before_backdrop(_BACKDROP.value, hierarchy.background))
    if _PERSONS.value > 1:
        source = views.Views(source, views.side_by_side, _PERSONS.value)
    if _BARS.value is not None:
        source = views.Views(source, views.barred(_BARS.value, hierarchy.background))
    if _GREY.value:
        source = views.Views(source, views.grey)
    for flag, view in (
        (_DARK, views.dark),
        (_COARSE, views.coarse),
        (_BLUR, views.out_of_focus),
        (_SHAKEN, views.shaken),
        (_NOISE, views.noisy),
    ):
        if flag.value is not None:
            source = views.Views(source, view(flag.value))
    return source


def main() -> None:
    """Prints two rows for each file, and the classes of the finest level."""
    for file in _FILES.value or ():
        size = parse_size(_IMAGE_SIZE.value)
        segmenter = Segmenter(file, provider="cpu", threads=1, image_size=size)
        if _NEGATIVES.value:
            shares = painted(segmenter, _NEGATIVES.value)
            much = sum(share > MUCH for share in shares)
            print(
                f"{file}: {100 * np.mean(shares):.1f} % painted of {len(shares)} pictures; more "
                f"than {100 * MUCH:.0f} % of {much} of them"
            )
            continue
        source = open_split(_DATA.value, _SPLIT.value, None, {})
        source = seen(source, segmenter.hierarchy)
        sizes, seconds = measure(segmenter, source)
        print(f"{file}: {1e3 * seconds:.1f} ms of processor time a picture")
        for title, levels in zip(("network's size", "own pixels"), sizes, strict=True):
            print(f"  {title:15}", *(f"{name} {level.miou:.4f}" for name, level in levels.items()))
        finest = list(levels.values())[-1]
        rows = zip(finest.class_names, finest.iou, strict=True)
        print("  IoU, own pixels", *(f"{name} {iou:.3f}" for name, iou in rows))


if __name__ == "__main__":
    run(main, FLAGS, bare="files")
