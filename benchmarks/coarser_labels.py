"""What labels of groups are worth: a data set of which only a few pictures keep all their labels.

python benchmarks/coarser_labels.py --data=photos/data.yaml --out_dir=coarser

Writes links to the pictures and masks of every tenth training picture (`few/data.yaml`, with the
validation split) and of the others (`rest/LEVEL.yaml`, labelled at that level), and prints the
data.spec of the runs that docs/tree.md compares: all with the same number of steps.
"""

from pathlib import Path

import yaml
from absl import flags

from hierseg_jax.data.read.spec import DatasetSpec, load_spec
from hierseg_jax.system.command_line import run

_DATA = flags.DEFINE_string("data", None, "A data.yaml whose masks hold leaf classes.")
_OUT_DIR = flags.DEFINE_string("out_dir", None, "A folder that does not exist yet.")
_EVERY = flags.DEFINE_integer("every", 10, "One picture of so many keeps its labels.", 2)
flags.mark_flags_as_required(["data", "out_dir"])


def link(spec: DatasetSpec, split: str, wanted: slice, to: Path, invert: bool = False) -> int:
    """Links to some of a split's pictures, in the order of their names, and to their masks."""
    images = sorted(spec.image_dir(split).iterdir())
    chosen = set(images[wanted])
    if invert:
        chosen = set(images) - chosen
    masks = {file.stem: file for file in (spec.image_dir(split).parent / "masks").iterdir()}
    for folder in ("images", "masks"):
        (to / folder).mkdir(parents=True)
    for image in chosen:
        (to / "images" / image.name).symlink_to(image)
        mask = masks[image.stem]
        (to / "masks" / mask.name).symlink_to(mask)
    return len(chosen)


def main() -> None:
    """Writes them."""
    spec, out = load_spec(_DATA.value), Path(_OUT_DIR.value).absolute()
    tree = yaml.safe_load(spec.file.read_text())
    tree = {key: tree[key] for key in ("names", "level_names", "hierarchy", "pairs") if key in tree}
    every = slice(_EVERY.value // 2, None, _EVERY.value)
    few = link(spec, "train", every, out / "few/train")
    rest = link(spec, "train", every, out / "rest/train", invert=True)
    link(spec, "val", slice(None), out / "few/val")
    content = {"path": ".", "train": "train/images", **tree}
    (out / "few/data.yaml").write_text(yaml.safe_dump(content | {"val": "val/images"}))
    few_file, half = out / "few/data.yaml", (few + rest) / 2
    print(f"all {few + rest}: {_DATA.value}")
    print(f"{few} alone: {(few + rest) / few:g}*{few_file}")
    for level in spec.hierarchy.levels[:-1]:
        labels = dict(enumerate(level.class_names[v] for v in level.leaf_to_class.tolist()))
        file = out / f"rest/{level.name}.yaml"
        file.write_text(yaml.safe_dump(content | {"labels": labels}))
        print(f"and {rest} by {level.name}: {half / few:.4g}*{few_file} + {half / rest:.4g}*{file}")


if __name__ == "__main__":
    run(main)
