"""Fills in what masks leave open: the classes below their groups, as a network sees them.

hierseg complete --model=few.onnx --data=groups/data.yaml --output=completed
"""

from hierseg_jax.data.read.dataset_spec import SPLITS
from hierseg_jax.runtime.completion import complete_data_set
from hierseg_jax.runtime.packaged_network import network_file
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.system.command_flags import CommandFlags
from hierseg_jax.system.command_line import command, quoted
from hierseg_jax.system.paths import local_path
from hierseg_jax.system.wording import counted

FLAGS = CommandFlags()
_MODEL = FLAGS.string(
    "model", None, "A file of hierseg export, or street_photographs.", required=True
)
FLAGS.alias("onnx_file", "model")
_DATA = FLAGS.string("data", None, "A data.yaml with labels of groups.", required=True)
_OUTPUT = FLAGS.string("output", None, "Folder to be made.", required=True)
_SPLIT = FLAGS.enum("split", "train", list(SPLITS), "Of the data.")


@command(FLAGS)
def main() -> None:
    """Writes the new data set and says how much was filled in."""
    segmenter = Segmenter(network_file(_MODEL.value))
    output = local_path(_OUTPUT.value).absolute()
    done = complete_data_set(segmenter, _DATA.value, output, _SPLIT.value)
    print(f"Filled in {done.filled / done.pixels:.1%} of all pixels.")
    if done.left:
        print(
            f"{counted(done.left, 'pixel')} of groups ({done.left / done.pixels:.1%} of all) "
            "stayed as they were: the network crops pictures, and has not seen them."
        )
    print(
        f"The new data set is {done.spec.file}; train on it beside the pictures that have all "
        "their labels.\n"
        f"Next: hierseg inspect {quoted('data', done.spec.file)} --output=inspection"
    )
