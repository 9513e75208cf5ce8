"""The command `hierseg`, door to all others."""

import importlib
import importlib.metadata
import sys

from hierseg_jax.system.command_help import asks_for_help
from hierseg_jax.system.console import end_interrupted, end_quietly, is_end_of_pipe
from hierseg_jax.system.errors import wants_tracebacks
from hierseg_jax.system.imports import without_garbage_collection
from hierseg_jax.system.kernel_sources import compile_ahead
from hierseg_jax.system.missing import missing_sentence
from hierseg_jax.system.output import print_anything, refused_output
from hierseg_jax.system.wording import did_you_mean

COMMANDS = {
    "demo": "segment a photograph with the network in the package",
    "prepare": "bring a download or another tool's annotations into the layout for training",
    "inspect": "look a data set over: faults, odd masks, statistics, a training command",
    "train": "train a network, or continue a run",
    "evaluate": "measure every level of a trained network",
    "compare": "tell which of two evaluated runs is better, and where",
    "export": "write one ONNX file, checked against the network",
    "predict": "segment pictures, a video or a camera with such a file",
    "benchmark": "measure how fast such files are on this machine",
    "web": "write a page that runs such a file in the browser",
    "tune": "search for the best values of a config's keys",
    "complete": "fill in the classes that coarse labels leave open",
    "convert": "turn PyTorch weights into a checkpoint, or back",
    "models": "list the networks, or print their layers",
}
"""Name -> what it does, in the order in which a new user meets them."""

TRAIN = ("train", "tune")

_WIDTH = 10


def main() -> None:
    """Runs the command that the first argument names; Ctrl-C may end it while modules are read."""
    print_anything()
    try:
        _run()
        if refused := refused_output():
            sys.exit(refused)
    except KeyboardInterrupt:
        if wants_tracebacks():
            raise
        end_interrupted()
    except OSError as error:
        if not is_end_of_pipe(error):
            raise
        end_quietly()


def _run() -> None:
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "-help", "--help", "help"):
        print(overview(), flush=True)
    elif name == "--version":
        print(f"hierseg_jax {importlib.metadata.version('hierseg-jax')}", flush=True)
    elif name in COMMANDS:
        sys.argv = [f"hierseg {name}", *rest]
        if name in TRAIN and not asks_for_help(sys.argv):
            compile_ahead()
        try:
            with without_garbage_collection():
                command = importlib.import_module(f"hierseg_jax.commands.{name}_command")
            command.main()
        except ModuleNotFoundError as error:
            sentence = missing_sentence(f"hierseg {name}", error)
            if not sentence or wants_tracebacks():
                raise
            sys.exit(f"error: {sentence}")
    else:
        hint = did_you_mean(name, COMMANDS, f"choose one of {', '.join(COMMANDS)}.")
        sys.exit(f"error: hierseg has no command {name!r}; {hint}")


def overview() -> str:
    """All commands, a line each."""
    lines = (f"  {name:{_WIDTH}}{meaning}" for name, meaning in COMMANDS.items())
    return "\n".join(
        [
            "hierseg COMMAND --FLAG=VALUE ...: hierarchical semantic segmentation.",
            "",
            *lines,
            "",
            "hierseg COMMAND --help tells its flags.",
        ]
    )


if __name__ == "__main__":
    main()
