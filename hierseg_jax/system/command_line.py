"""What every command does around its one call: flags in, sentences out."""

import functools
import logging
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence

import cv2
from absl import app, flags

from hierseg_jax.system.command_help import ShortForms, asks_for_help, format_help
from hierseg_jax.system.console import (
    end_interrupted,
    end_quietly,
    ignore_interrupts,
    is_end_of_pipe,
)
from hierseg_jax.system.errors import (
    NO_KERNELS,
    TRACEBACK_VARIABLE,
    HiersegError,
    is_sentence,
    wants_tracebacks,
)
from hierseg_jax.system.flag_mistakes import missing_flag, missing_key, no_number, unknown_flag
from hierseg_jax.system.output import print_anything, refused_output
from hierseg_jax.system.wording import one_line


def run(
    main: Callable[[], None],
    own_flags: flags.FlagValues = flags.FLAGS,
    short: ShortForms | None = None,
    bare: str | None = None,
) -> None:
    """Parses a command's flags and calls `main`; a mistake of the user's ends in one sentence.

    `--help` prints what `main`'s module says, the flags, and their short forms. `bare` names the
    flag that arguments without one are values of; a single argument, unless it is a list.

    This project's own errors, the operating system's and absl's are printed as `error: ...`
    with exit status 1; anything else is a defect and keeps its traceback. With
    `HIERSEG_JAX_TRACEBACK=1` every error shows its traceback.
    """

    def guarded(argv: list[str]) -> None:
        # absl has turned logging on. JAX would tell of all the devices it looks for, jax2onnx
        # of all it converts, orbax of its steps, and of errors that are raised to us as well.
        logging.getLogger().setLevel(logging.WARNING)
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        # It tells at every request what it may not ask about a bucket.
        logging.getLogger("gcsfs").setLevel(logging.ERROR)
        # It tells that it can't keep its list of fonts, where the home folder can't be written.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        # OpenCV reports damaged pictures and videos, and tags of TIFFs that it doesn't know, in
        # its own words, raw bytes of the file among them; so it would in reading processes.
        cv2.utils.logging.setLogLevel(0)
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
        if unused := argv[1:]:
            several = f"; give one --{bare}" if bare else ""
            sys.exit(f"error: unexpected argument {unused[0]!r}; flags start with --{several}.")
        try:
            main()
            sys.stdout.flush()
            if refused := refused_output():
                sys.exit(refused)
        except SystemExit:
            ignore_interrupts()
            raise
        except KeyboardInterrupt as interrupt:
            if wants_tracebacks():
                raise
            end_interrupted(*interrupt.args)
        except Exception as error:
            if is_end_of_pipe(error) and not _has_company():
                end_quietly()
            _, begun, rest = str(error).partition(NO_KERNELS)
            if begun and not wants_tracebacks():
                _end(f"error: {begun}{rest.splitlines()[0]}")
            if _has_company() and _may_be_of_the_network(error):
                if wants_tracebacks() or not _is_of_the_network(error):
                    traceback.print_exc()
                if not _is_of_the_network(error):
                    _end(
                        "error: This process has failed (see above). Where another process of the "
                        "run ended first, its last words tell why."
                    )
                _end(
                    "error: Another process of this run has ended or can't be reached "
                    f"({str(error).splitlines()[0]}). Give the same command on all hosts to go on "
                    "from the last checkpoint."
                )
            if is_sentence(error) and not wants_tracebacks():
                _end(f"error: {error}")
            if not _has_company():
                raise
            _end(traceback.format_exc())

    _pass_over_late_reports()
    print_anything()
    if asks_for_help(sys.argv):
        about = (sys.modules[main.__module__].__doc__ or "").strip()
        try:
            print(format_help(about, own_flags, sys.argv, short), flush=True)
        except OSError as error:
            if not is_end_of_pipe(error):
                raise
            end_quietly()
        return
    app.run(guarded, flags_parser=functools.partial(_parse_flags, own_flags, short, bare))


def command(
    own_flags: flags.FlagValues, short: ShortForms | None = None, bare: str | None = None
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Makes a function a command: called, it is run as by `run`."""
    return lambda main: functools.partial(run, main, own_flags, short, bare)


def _check_aliases(own_flags: flags.FlagValues) -> None:
    """Ends where a flag and its alias are given: the last one would count, without a word."""
    for name in own_flags:
        _, is_alias, other = str(own_flags[name].help).partition("Alias for --")
        other = other.removesuffix(".")
        if is_alias and 0 < own_flags[name].present < own_flags[other].present:
            sys.exit(f"error: --{name} and --{other} say the same; give one of them.")


def _take_bare(
    arguments: Sequence[str], own_flags: flags.FlagValues, bare: str | None
) -> Sequence[str]:
    """Gives them to the flag `bare`; returns what it has no room for."""
    if bare is None or not arguments:
        return arguments
    flag = own_flags[bare]
    given, flag.present = flag.present, flag.present + 1
    if _takes_several(flag):
        flag.value = [*((given and flag.value) or ()), *arguments]  # in place of its default
        return []
    if not given:
        flag.value, *arguments = arguments
    return arguments


def _takes_several(flag: flags.Flag) -> bool:
    return isinstance(flag, flags.MultiFlag) or isinstance(flag.parser, flags.ListParser)


def _pass_over_late_reports() -> None:
    """What is reported to an event loop that has ended is not printed as a traceback.

    Where one of several reads or writes of a checkpoint fails, orbax ends its event loop and
    raises. tensorstore's threads may be about to report the others' ends to that loop: they find
    it closed, at any time until the process ends, and nobody waits for what they have to say.
    """
    show = sys.unraisablehook

    def show_others(unraisable: "sys.UnraisableHookArgs") -> None:
        # From a callback of C++ there is no object that it was raised in.
        if not (
            isinstance(unraisable.exc_value, RuntimeError)
            and str(unraisable.exc_value) == "Event loop is closed"
            and unraisable.object is None
        ):
            show(unraisable)

    sys.unraisablehook = show_others


def _end(sentence: str) -> None:
    """Ends with exit status 1, without waiting for other processes of the run."""
    if _has_company():
        print(sentence, file=sys.stderr, flush=True)
        os._exit(1)
    sys.exit(sentence)


def _may_be_of_the_network(error: Exception) -> bool:
    """JAX raises one or the other where a peer is gone in the middle of a collective."""
    return type(error).__name__ == "JaxRuntimeError" or "Gloo" in str(error)


def _is_of_the_network(error: Exception) -> bool:
    """Whether its text says so; a `JaxRuntimeError` may as well be a defect."""
    text = str(error).lower()
    return any(word in text for word in ("gloo", "connect", "unavailable", "deadline", "peer"))


def _has_company() -> bool:
    """Whether other processes belong to this run; those that don't use JAX stay without it."""
    jax = sys.modules.get("jax")
    return jax is not None and jax.distributed.is_initialized()


def quoted(flag: str, value: object) -> str:
    """A flag for a shell, with its value."""
    return shlex.quote(f"--{flag}={value}")


def parse_size(sides: list[str] | None, flag: str = "image_size") -> tuple[int, int] | None:
    """The value of a flag, one side or height,width, as (height, width) in pixels.

    Raises:
      ValueError: for anything else.
    """
    if sides is None:
        return None
    if len(sides) not in (1, 2) or not all(map(_is_side, sides)):
        raise HiersegError(
            f"--{flag} is {','.join(sides)!r}; give one side or height,width in pixels."
        )
    return int(sides[0]), int(sides[-1])


def _is_side(text: str) -> bool:
    digits = text.strip()
    return digits.isdecimal() and len(digits) < 6 and int(digits) > 0


def _parse_flags(
    own_flags: flags.FlagValues, short: ShortForms | None, bare: str | None, argv: Sequence[str]
) -> list[str]:
    """Reads the flags; returns the command and the arguments that belong to none."""
    if own_flags is not flags.FLAGS:
        flags.FLAGS(argv[:1])  # absl wants its own to be parsed, too
        own_flags.set_gnu_getopt()  # flags may follow arguments without one
    try:
        if short is not None:
            # ml_collections looks there for what is set of a config.
            argv = sys.argv = short.expand(argv)
        needed = bare is not None and bool(own_flags[bare].validators)
        if bare is not None and needed:
            # absl would miss it before arguments without a flag are given to it.
            own_flags.set_default(bare, "")
        command, *arguments = own_flags(argv)
        _check_aliases(own_flags)
        if bare is not None and not _takes_several(own_flags[bare]) and own_flags[bare].present > 1:
            # The last one would count, without a word of the others.
            sys.exit(f"error: --{bare} is given {own_flags[bare].present} times, and takes one.")
        arguments = [*_take_bare(arguments, own_flags, bare)]
        if bare is not None and needed and not own_flags[bare].present:
            sys.exit(missing_flag(own_flags[bare]))
        return [command, *arguments]
    except HiersegError as error:
        sys.exit(f"error: {error}")
    except flags.UnrecognizedFlagError as error:
        sys.exit(unknown_flag(error.flagname, argv[0], own_flags, short))
    except flags.Error as error:
        for name in own_flags:
            if own_flags[name].value is None and f"flag --{name}=None:" in str(error):
                sys.exit(missing_flag(own_flags[name]))
        sys.exit(f"error: {no_number(str(error), short) or one_line(error)}")
    except Exception as error:
        if (missing := missing_key(error)) is not None:
            sys.exit(f"error: {missing}")
        # A config file is Python and may fail in any way.
        if wants_tracebacks():
            raise
        reason = one_line(error)
        sys.exit(
            f"error: the config can't be loaded: {type(error).__name__}: {reason} "
            f"({TRACEBACK_VARIABLE}=1 shows where.)"
        )
