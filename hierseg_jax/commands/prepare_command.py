"""Makes pictures and masks, or a download, into folders and a data.yaml to train on.

hierseg prepare my_pictures --out_dir=data/mine
"""

import time

from hierseg_jax.data.label_statistics import format_statistics
from hierseg_jax.data.prepare.formats import FORMATS
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.spec import read_classes
from hierseg_jax.system.command_flags import CommandFlags
from hierseg_jax.system.command_line import command, quoted
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted

FLAGS = CommandFlags()
_RAW_DIR = FLAGS.string("raw_dir", None, "The pictures and masks, or the download.", required=True)
_OUT_DIR = FLAGS.string("out_dir", None, "Folder to be made.", required=True)
FLAGS.alias("output", "out_dir")
_FROM = FLAGS.enum("from", None, list(FORMATS), "Its format; by default it is found out.")
_MOVE = FLAGS.bool("move", False, "Move the files instead of copying them.")
_LINK = FLAGS.bool("link", False, "Link the files instead of copying them.")
_VAL_SHARE = FLAGS.float(
    "val_share", 0.1, "Of the pictures, for validation, where the download has no such split."
)
_VAL_NAMES = FLAGS.multi_string(
    "val_names",
    None,
    "In place of a share, pictures for validation by name, as 'clip3_*' or 'clip3/*'.",
)
_ORDER = FLAGS.enum(
    "order",
    None,
    ["area", "file"],
    "What lies on top where regions overlap: the smaller one, or the later one in the file.",
)
_SKIP_MISSING = FLAGS.bool(
    "skip_missing", False, "Leave out pictures that annotations name and that are not there."
)
_HIERARCHY = FLAGS.string(
    "hierarchy",
    None,
    "A YAML file with the class tree, and the labels of masks; by default the download's own.",
)


@command(FLAGS, bare="raw_dir")
def main() -> None:
    """Checks, transfers, and prints what there is."""
    start = time.perf_counter()
    if _VAL_NAMES.present and _VAL_SHARE.present:
        raise HiersegError(
            "--val_share and --val_names both say what is for validation; give one of them."
        )
    tree = read_classes(_HIERARCHY.value) if _HIERARCHY.value else None
    done = prepare(
        _RAW_DIR.value,
        _OUT_DIR.value,
        source=_FROM.value or "",
        move=_MOVE.value,
        link=_LINK.value,
        val_share=_VAL_SHARE.value,
        val_names=_VAL_NAMES.value or (),
        order=_ORDER.value or "",
        hierarchy=tree.hierarchy if tree else None,
        labels=tree.labels if tree else (),
        ignored=tree.ignored if tree else (),
        skips_unknown=tree is not None and tree.skips_unknown,
        skip_missing=_SKIP_MISSING.value,
    )
    print(format_statistics(done.summary["splits"], done.spec.hierarchy))
    if done.summary["skipped"]:
        print(
            f"\nSkipped {counted(done.summary['skipped'], 'image')} in which nothing is annotated."
        )
    if done.notes:
        print("", *done.notes, sep="\n")
    way = "moved" if _MOVE.value else "linked or drawn" if _LINK.value else "copied"
    print(
        f"\n{counted(done.written, 'file')} {way}, {done.kept:,} were there already, in "
        f"{time.perf_counter() - start:.1f} s. The data set is {done.spec.file}.\n"
        f"Next: hierseg inspect {quoted('data', done.spec.file)} --output=inspection"
    )
