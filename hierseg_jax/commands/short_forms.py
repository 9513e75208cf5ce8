"""Arguments as people like to type them, made into absl's flags."""

import functools
import itertools
import os
import textwrap
from collections.abc import Iterator, Sequence

from hierseg_jax.settings.config_files import config_file, config_names, load_config
from hierseg_jax.settings.settings import KEYS
from hierseg_jax.system.command_help import ShortForms
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import did_you_mean

SHORT_FORMS = {
    "data": "config.data.spec",
    "epochs": "config.epochs",
    "batch_size": "config.batch_size",
    "image_size": "config.data.image_size",
}
"""Of flags that change a config: what `--data=...` stands for, and so on."""
DEFAULT_CONFIG = "tree"
_YAML = (".yaml", ".yml")
MEANINGS = {
    "data": "What to train on: a data.yaml, or several as a sum.",
    "image_size": "What the network sees: a side, or height,width, in pixels.",
    "epochs": "Epochs at most.",
    "batch_size": "Images a step.",
}


def expand_short_forms(argv: Sequence[str], named: bool = True) -> list[str]:
    """With `SHORT_FORMS` written out, and the config that is trained by default.

    `--name=mine` is `--workdir=runs/mine`, and `data.yaml` by itself `--data=data.yaml`.

    Args:
      argv: the command's name, then arguments.
      named: whether the command has a workdir, and so `--name`.

    Raises:
      ValueError: where a short form and what it stands for are both given, and for two data sets.
    """
    expanded: list[str] = []
    meant: set[tuple[str, str]] = set()
    may_be_value = False  # of a flag that absl knows, before it
    for flag, value, words in _split(argv[1:]):
        named_data = not flag and not may_be_value and _is_data(words[0])
        may_be_value = flag != "" and len(words) == 1 and "=" not in words[0]
        if named_data:
            if os.path.isfile(os.path.join(words[0], "run.json")):
                raise HiersegError(f"{words[0]} is a run; --workdir={words[0]} goes on with it.")
            flag, value = "data", words[0]
        if flag in SHORT_FORMS:
            words = [f"--{SHORT_FORMS[flag]}={value}"]
        elif named and flag == "name":
            words = [f"--workdir={workdir_of(value)}"]
        now = words[0].partition("=")[0]
        if flag in (*SHORT_FORMS, "name", "workdir") or flag.startswith("config."):
            other = next((form for name, form in meant if name == now and form != flag), None)
            if other is not None:
                raise HiersegError(f"--{other} and --{flag} say the same; give one of them.")
            if flag == "data" and (now, flag) in meant:
                raise HiersegError("Two data sets are one argument, as a sum: 'a.yaml + b.yaml'.")
            meant.add((now, flag))
        expanded += words
    if not any(word.partition("=")[0].lstrip("-") == "config" for word in expanded):
        expanded.insert(0, f"--config={DEFAULT_CONFIG}")
    return name_config([argv[0], *expanded])


def workdir_of(name: str) -> str:
    """What `--name` stands for."""
    return os.path.join("runs", name)


def unused_name() -> str:
    """For a run that continues none of those that are there."""
    names = itertools.chain(["mine"], (f"mine{i}" for i in itertools.count(2)))
    return next(name for name in names if not os.path.lexists(workdir_of(name)))


def _is_data(word: str) -> bool:
    """Whether an argument is meant as a data set; of a folder it is then said how to get one."""
    return word.lower().endswith(_YAML) or os.path.isdir(word)


def name_config(argv: Sequence[str], unnamed: str = "") -> list[str]:
    """With the file of a config that is given by its name, in front of what changes its keys.

    Args:
      argv: the command's name, then arguments.
      unnamed: the config where the arguments have none.

    Raises:
      ValueError: for a name or file that is not there, and for two configs.
    """
    configs: list[str] = []
    others: list[str] = []
    for flag, value, given in _split(argv[1:]):
        if flag == "config":
            configs.append(value)
        else:
            others += given
    if unnamed and not configs:
        configs.append(unnamed)
    if len(configs) > 1:
        raise HiersegError(f"--config is given twice, as {configs[0]} and {configs[1]}; give one.")
    return [*argv[:1], *(f"--config={_find_config(config)}" for config in configs), *others]


def _find_config(given: str) -> str:
    """The file of a config by name, or of a user's own."""
    path, colon, argument = given.partition(":")
    if os.path.exists(path) and not os.path.isdir(path):
        return given
    names = config_names()
    if path in names:
        return f"{config_file(path)}{colon}{argument}"
    known = f"the configs that come with hierseg are {', '.join(names)}."
    hint = did_you_mean(os.path.basename(path).removesuffix(".py"), names, known)
    raise HiersegError(f"--config is {given}: there is no such file; {hint}")


def _split(words: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Flag, value, and the one or two arguments that they stood in.

    Of a flag that is written as two arguments the value is the second one; what begins with no
    dash, or with two dashes alone, has no flag.
    """
    rest = iter(range(len(words)))
    takes_value = {*SHORT_FORMS, "name", "config"}
    for i in rest:
        word = words[i]
        if not word.startswith("-") or word == "--":
            yield "", "", [word]
            continue
        flag, equals, value = word.lstrip("-").partition("=")
        if not equals and flag in takes_value and i + 1 < len(words):
            next(rest)
            yield flag, words[i + 1], [word, words[i + 1]]
        else:
            yield flag, value, [word]


def format_keys(argv: Sequence[str], unnamed: str = DEFAULT_CONFIG) -> str:
    """All keys of a config with their values and meanings.

    Args:
      argv: the command's name, then arguments; of a config of one's own, which is code, and of
        names that don't exist, the values are those of `default`.
      unnamed: the config where the arguments have none.
    """
    given = (value for flag, value, _ in _split(argv[1:]) if flag == "config")
    named = next(given, unnamed)
    named = named if named in config_names() else "default"
    config = load_config(named)
    lines = [f"The values are those of --config={named}."]
    for name, key in KEYS.items():
        value = functools.reduce(getattr, name.split("."), config)
        meaning = textwrap.fill(key.meaning, 94)
        lines += [f"--config.{name}={_plain(value)}", textwrap.indent(meaning, "    ")]
    return "\n".join(lines)


def _plain(value: object) -> str:
    """As a command line has it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


OF_CONFIG = ShortForms(
    functools.partial(name_config, unnamed="default"),
    {},
    functools.partial(format_keys, unnamed="default"),
    KEYS,
)
"""Of commands that take a config."""
OF_TRAINING = ShortForms(
    expand_short_forms, MEANINGS | {"name": "NAME for --workdir=runs/NAME."}, format_keys, KEYS
)
"""Of the command that trains, besides."""
OF_SEARCHES = ShortForms(
    functools.partial(expand_short_forms, named=False), MEANINGS, format_keys, KEYS
)
"""Of the one that trains many, in a folder of their own."""
