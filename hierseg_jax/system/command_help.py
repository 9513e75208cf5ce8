"""`--help` of a command: what it is for, and its flags, on one screen."""

import dataclasses
import itertools
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence

from absl import flags

HELP = ("--help", "-help", "-h", "--helpshort", "--help=keys")
_WIDTH, _INDENT = 100, 22


@dataclasses.dataclass(frozen=True)
class ShortForms:
    """What a command takes beside its flags.

    Attributes:
      expand: the arguments, the command's name before them, to those that absl knows.
      meanings: of names that it expands.
      keys: text of `--help=keys`, of the same arguments.
      config_keys: what `--config.KEY=VALUE` takes.
    """

    expand: Callable[[Sequence[str]], list[str]]
    meanings: Mapping[str, str]
    keys: Callable[[Sequence[str]], str]
    config_keys: Collection[str] = ()


def asks_for_help(argv: Sequence[str]) -> bool:
    """Whether one of the arguments does."""
    return any(word in HELP for word in argv[1:])


def format_help(
    about: str, own_flags: flags.FlagValues, argv: Sequence[str], short: ShortForms | None
) -> str:
    """The text for a command.

    Args:
      about: what it does, and an example.
      own_flags: of the command.
      argv: the command's name, then arguments.
      short: what it takes beside them.
    """
    if "--help=keys" in argv and short is not None:
        return short.keys(argv)
    defined = itertools.chain(*own_flags.flags_by_module_dict().values())
    meanings = {flag.name: _meaning(flag) for flag in defined}
    if short is not None:
        meanings = {**short.meanings, **meanings, "help=keys": "Tells all keys of a config."}
    lines = (_entry(f"--{name}", text) for name, text in meanings.items())
    return "\n".join([about, "", *lines])


def _meaning(flag: flags.Flag) -> str:
    """Its help, and its default where that tells something."""
    shown = flag.default not in (None, False, "", True, []) and not hasattr(flag.default, "to_dict")
    value = ",".join(flag.default) if isinstance(flag.default, list) else flag.default
    meaning = str(flag.help).partition(";\n")[0]  # without absl's "repeat this option"
    return f"{meaning} ({value})" if shown and len(str(value)) < 40 else meaning


def _entry(name: str, meaning: str) -> str:
    """A flag with its meaning beside it, or below where its name is long."""
    first = f"  {name}"
    gap = " " * (_INDENT - len(first)) if len(first) < _INDENT else "\n" + " " * _INDENT
    # To flags that may be repeated absl adds a line of its own.
    text = textwrap.fill(" ".join(meaning.split()), _WIDTH - _INDENT)
    return first + gap + textwrap.indent(text, " " * _INDENT).strip()
