"""Coverage-guided fuzzing with Atheris (`pip install '.[fuzz]'`), without end or for a while.

python tests/fuzz_coverage.py TARGET CORPUS -max_total_time=600

TARGET is data_yaml, npy, png_mask, image, mat, coco, labelme, yolo or onnx_metadata; CORPUS a
folder, made and filled with whole files where it is missing, in which libFuzzer keeps what led to
new code.
An input that ends in anything but a result or a sentence stops it, and is left in crash-*.
"""

import pathlib
import sys
import tempfile

import atheris

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["hierseg_jax", "yaml", "numpy.lib"]):
    from hierseg_jax.data.prepare.pascal_part import merge_table, read_person_parts
    from hierseg_jax.data.read.image_files import read_image, read_mask
    from hierseg_jax.data.read.spec import load_spec
    from hierseg_jax.runtime.metadata import JSON_KEYS, PREFIX, Metadata
    from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART

from tests import test_fuzz_annotations, test_fuzz_documents, test_fuzz_files  # noqa: E402
from tests.fuzzing import read_or_refused  # noqa: E402

PARTS = merge_table(PASCAL_PERSON_PART)
PROPS = Metadata("reference", PASCAL_PERSON_PART, (8, 16), 4, "esnet", "float32", "0").to_props()


def read_metadata(file: pathlib.Path) -> None:
    """The first byte chooses the key whose value the others are."""
    data = file.read_bytes()
    key = PREFIX + JSON_KEYS[data[0] % len(JSON_KEYS)] if data else PREFIX
    Metadata.from_props({**PROPS, key: data[1:].decode("utf-8", "replace")}, str(file))


TARGETS = {
    "data_yaml": ("data.yaml", load_spec, test_fuzz_documents.YAMLS),
    "npy": ("a.npy", read_mask, test_fuzz_files.NPY),
    "png_mask": ("a.png", read_mask, test_fuzz_files.MASK_PNG),
    "image": ("a.png", read_image, test_fuzz_files.IMAGE_PNG + test_fuzz_files.JPEG),
    "mat": (
        "a.mat",
        lambda file: read_person_parts(file, PARTS),
        [test_fuzz_files.annotation(False), test_fuzz_files.annotation(True)],
    ),
    **{name: (file, read, seeds) for name, file, read, seeds in test_fuzz_annotations.TARGETS},
    "onnx_metadata": (
        "a.onnx",
        read_metadata,
        [bytes([i]) + PROPS[PREFIX + key].encode() for i, key in enumerate(JSON_KEYS)],
    ),
}


def main() -> None:
    """Runs one target; libFuzzer reads its own flags."""
    if len(sys.argv) < 3 or sys.argv[1] not in TARGETS:
        sys.exit(f"error: give one of {', '.join(TARGETS)}, and a folder for the corpus.")
    name, read, seeds = TARGETS[sys.argv.pop(1)]
    corpus = pathlib.Path(sys.argv[1])
    if not corpus.exists():
        corpus.mkdir(parents=True)
        for number, seed in enumerate(seeds):
            (corpus / f"seed{number}").write_bytes(seed)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / name

        def once(data: bytes) -> None:
            file.write_bytes(data)
            read_or_refused(file, read)

        atheris.Setup(sys.argv, once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
