"""Many command lines, each a process of its own that has its imports already.

`python -m tests.commands` reads command lines from its input, as JSON lists of the environment's
changes, script, folder and flags, forks for each of them, and answers with the exit status and
what the fork has printed. A script without suffix is a command of `hierseg`.
"""

import functools
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from hierseg_jax.commands.hierseg import COMMANDS


@functools.cache
def _server():
    return subprocess.Popen(
        [sys.executable, "-m", "tests.commands"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # JAX warns of forks, which is why none computes before
        text=True,
    )


def run_quickly(script, *flags, folder=".", **environment):
    """A script, or a command such as `compare`, with these flags and variables.

    The server starts no device, so that what it forks may compute with JAX, and each fork compiles
    as the `XLA_FLAGS` that it is given say.
    """
    server = _server()
    line = [environment, str(script), str(folder), *map(str, flags)]
    print(json.dumps(line), file=server.stdin, flush=True)
    status, output, errors = json.loads(server.stdout.readline())
    return subprocess.CompletedProcess([script, *flags], status, output, errors)


def _fork(main, argv, folder, environment):
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            os.chdir(folder)
            os.environ.update(environment)
            os._exit(_status(main, argv))
        _, status = os.waitpid(child, 0)
        texts = []
        for stream in (output, errors):
            stream.seek(0)
            texts.append(stream.read())
    return os.waitstatus_to_exitcode(status), *texts


def _status(main, argv):
    """The exit status, as the interpreter has it of a script."""
    sys.argv = argv
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


@functools.cache
def _main(script):
    """Of a script, which is imported with all that it imports late."""
    path = Path(script)
    # `hierseg` imports what is asked for.
    names = COMMANDS if path.stem == "hierseg" else [path.stem]
    for command in (f"hierseg_jax.commands.{name}_command" for name in names):
        if importlib.util.find_spec(command):
            module = importlib.import_module(command)
    if path.suffix:
        spec = importlib.util.spec_from_file_location("script", script)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module.main


def _serve():
    for line in sys.stdin:
        environment, script, folder, *flags = json.loads(line)
        name = script if Path(script).suffix else f"hierseg {script}"
        answer = _fork(_main(script), [name, *flags], folder, environment)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
