"""Reading YAML that someone else wrote: plain data, or a sentence about the file."""

import pathlib
import re
import reprlib
import shlex
from typing import Any, ClassVar

import yaml

from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.wording import one_line

MAX_BYTES = 1 << 20
"""Files that are larger are no description of a data set."""

_PREFIX = "tag:yaml.org,2002:"
_SCALARS = ("null", "bool", "int", "float")
_LONGEST_NUMBER = 40
# A value that begins with a star, which to YAML names an anchor.
_STAR = re.compile(r"[:,\[{-]\s*\*")
# A key or value that begins with #, which YAML takes for a comment.
_UNQUOTED = re.compile(r"(?:^|[{,:]) *(#[0-9a-fA-F]{6})\b(?= *[:,}])", re.MULTILINE)


class PlainLoader(yaml.SafeLoader):
    """Mappings, lists, text, numbers, yes/no, null and `!!python/tuple`; nothing else.

    Keys are text or numbers and stand once. Dates and `<<` are text like any other.
    """

    # PyYAML's own way to bound a loader.
    yaml_constructors: ClassVar[dict] = {
        tag: yaml.SafeLoader.yaml_constructors[tag] for tag in (f"{_PREFIX}seq", f"{_PREFIX}map")
    }
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, regexp) for tag, regexp in resolvers if tag.removeprefix(_PREFIX) in _SCALARS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict:
        """A dict; refuses what PyYAML would take: the last of two equal keys."""
        if not isinstance(node, yaml.MappingNode):
            raise _fault("expected a mapping", node)
        mapping = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node) if key_node.id == "scalar" else ()
            if not isinstance(key, str | float | int | None):
                raise _fault("a key must be text or a number", key_node)
            if key in mapping:
                raise _fault(f"the key {key_node.value[:100]!r} stands twice", key_node)
            mapping[key] = self.construct_object(value_node, deep=deep)
        return mapping


def _fault(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _scalar(loader: PlainLoader, node: yaml.Node) -> Any:
    kind = node.tag.removeprefix(_PREFIX)
    # Numbers in base 60 take quadratic time, and longer ones are none in a data.yaml.
    if not isinstance(node, yaml.ScalarNode) or len(node.value) > _LONGEST_NUMBER:
        raise _fault(f"this is no {kind}", node)
    try:
        return getattr(yaml.SafeLoader, f"construct_yaml_{kind}")(loader, node)
    except (LookupError, ValueError, ArithmeticError) as error:
        raise _fault(f"{node.value!r} is no {kind}", node) from error


def _text(loader: PlainLoader, node: yaml.ScalarNode) -> str:
    text = loader.construct_scalar(node)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _fault("the text holds half of a surrogate pair", node)
    return text


def _tuple(loader: PlainLoader, node: yaml.SequenceNode) -> tuple:
    return tuple(loader.construct_sequence(node))


def _refused(loader: PlainLoader, node: yaml.Node) -> None:
    tag = node.tag.replace(_PREFIX, "!!")
    raise _fault(f"the tag {tag[:100]!r} is not allowed; write plain YAML", node)


for _kind in _SCALARS:
    PlainLoader.add_constructor(_PREFIX + _kind, _scalar)
PlainLoader.add_constructor(_PREFIX + "str", _text)
PlainLoader.add_constructor(_PREFIX + "python/tuple", _tuple)
PlainLoader.add_constructor(None, _refused)


def read_yaml(file: pathlib.Path) -> Any:
    """Content of a YAML file: dicts, lists, tuples, str, int, float, bool, None.

    An anchor may make it contain itself, or unfold to any size when walked.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: one sentence that starts with the file's path.
    """
    try:
        if file.is_dir():
            seen = (each for each in file.iterdir() if each.name[0] != ".")
            there = sorted(each for each in seen if each.suffix in (".yaml", ".yml"))
            raise HiersegError(
                f"{file} is a folder; expected a YAML file such as "
                + (
                    f"{there[0]}, which is in it."
                    if there
                    else "a data.yaml. Of pictures and masks, or of a download, "
                    f"`hierseg prepare {shlex.quote(str(file))} --out_dir=data/mine` makes one."
                )
            )
        if file.exists() and not file.is_file():
            raise HiersegError(f"{file} is no regular file; expected a YAML file.")
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise HiersegFileNotFoundError(f"{file}: there is no such file.") from error
    except OSError as error:
        raise HiersegError(f"{file} cannot be read: {error.strerror or error}.") from error
    if len(data) > MAX_BYTES:
        raise HiersegError(
            f"{file} is larger than {MAX_BYTES >> 20} MiB; is it a data.yaml? Of annotations "
            "`hierseg prepare` makes one."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise HiersegError(
            f"{file} is no UTF-8 text (byte {error.start}); expected a YAML file."
        ) from error
    try:
        return yaml.load(text, PlainLoader)  # noqa: S506 - PlainLoader is a safe one
    except RecursionError:
        raise HiersegError(f"{file}: the content is nested too deep.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" line {mark.line + 1}:" if mark else ""
        problem = one_line(error.problem or error.context, 300)
        colour = _UNQUOTED.search(text)
        if colour:
            line = text.count("\n", 0, colour.start(1)) + 1
            problem += (
                f". Line {line} has {colour[1]} without quotes, where # begins a comment; write "
                f"'{colour[1]}'"
            )
        elif mark and _STAR.search("".join(text.splitlines()[mark.line : mark.line + 1])):
            problem += "; put quotes around what begins with a star, '*.png'"
        raise HiersegError(f"{file}:{where} {problem}.") from error
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError) as error:
        # PyYAML lets such errors out where escapes or directives hold absurd numbers.
        problem = one_line(error, 300)
        raise HiersegError(f"{file} is not readable as YAML: {problem}.") from error


def flow(content: Any) -> str:
    """A line of YAML that can be pasted: with quotes where YAML asks for them, as of `*.png`."""
    text = yaml.safe_dump(
        content, default_flow_style=True, sort_keys=False, width=1e9, allow_unicode=True
    )
    return text.strip()


def found_kind(value: Any) -> str:
    """What was found in place of something else, for a sentence."""
    if isinstance(value, dict | list | tuple):
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
    return "nothing" if value is None else reprlib.repr(value)
