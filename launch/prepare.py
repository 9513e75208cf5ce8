"""Makes a raw data set into folders and a data.yaml to train on.

python launch/prepare.py --raw_dir=download --out_dir=data/pascal_person_part
"""

import time

from absl import flags

from hierseg_jax.data.label_statistics import format_statistics
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.spec import read_labelled_tree
from hierseg_jax.system.command_line import run
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART

_RAW_DIR = flags.DEFINE_string("raw_dir", None, "JPEGImages, gt_masks, train_id.txt, val_id.txt.")
_OUT_DIR = flags.DEFINE_string("out_dir", None, "Folder to be made.")
_MOVE = flags.DEFINE_bool("move", False, "Move the files instead of copying them.")
_HIERARCHY = flags.DEFINE_string(
    "hierarchy",
    None,
    "A YAML file with the class tree and the masks' labels; PASCAL-Person-Part's by default.",
)
flags.mark_flags_as_required(["raw_dir", "out_dir"])


def main() -> None:
    """Checks, transfers, and prints what there is."""
    start = time.perf_counter()
    hierarchy, labels = PASCAL_PERSON_PART, ()
    if _HIERARCHY.value:
        hierarchy, labels = read_labelled_tree(_HIERARCHY.value)
    done = prepare(
        _RAW_DIR.value, _OUT_DIR.value, move=_MOVE.value, hierarchy=hierarchy, labels=labels
    )
    print(format_statistics(done.summary["splits"]))
    if done.summary["skipped"]:
        print(f"\nSkipped {done.summary['skipped']:,} images without an annotated person.")
    print(
        f"\n{done.written:,} files {'moved' if _MOVE.value else 'copied'}, {done.kept:,} were "
        f"there already, in {time.perf_counter() - start:.1f} s. The data set is {done.spec.file}."
    )


if __name__ == "__main__":
    run(main)
