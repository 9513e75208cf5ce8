"""Builds the record files of PASCAL-Person-Part from the raw download.

python -m hierseg_jax.data.pascal_person_part --manual_dir=raw --data_dir=records
"""

import tensorflow_datasets as tfds
from absl import flags

from hierseg_jax.data.pascal_person_part.pascal_person_part_dataset_builder import Builder
from hierseg_jax.system.command_line import run

_MANUAL_DIR = flags.DEFINE_string(
    "manual_dir",
    None,
    "Folder with JPEGImages/, gt_masks/, train_id.txt and val_id.txt, or with a folder "
    "pascal_person_part that holds them.",
    required=True,
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where to write; by default $TFDS_DATA_DIR or ~/tensorflow_datasets."
)


def main() -> None:
    """Builds, and prints what there is then."""
    builder = Builder(data_dir=_DATA_DIR.value)
    if builder.is_prepared():
        print(f"Already built, left as it is; delete {builder.data_path} to build it anew.")
    else:
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=_MANUAL_DIR.value)
        )
    counts = ", ".join(f"{s.num_examples} {name}" for name, s in builder.info.splits.items())
    print(f"{builder.data_path}: {counts}")


if __name__ == "__main__":
    run(main)
