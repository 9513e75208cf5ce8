"""How data sets are named: one, or several with how often each is drawn."""

import dataclasses
import enum
import os
import re
from collections.abc import Iterator, Sequence

from hierseg_jax.data.read.tfds_name import TFDS_PREFIX, tfds_location
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.paths import absolute

FIGURES = "figures"
MOST = 1000.0
"""Of a weight."""
NOTHING = (
    "No data set is given: set data.spec to the path of a data.yaml, to 'figures', to "
    "'tfds:NAME' or to 'module:function'."
)

Spec = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""As `a.yaml`, `a.yaml + 0.5*b.yaml`, the path of a data.yaml, or a list of such."""

_PLUS = re.compile(r"(?:^|(?<=\s))\+(?=\s|$)")
_TERM = re.compile(r"([^*/]*)\*(.*)", re.DOTALL)  # a star behind a slash is part of a path


class Kind(enum.Enum):
    """Where a data set comes from."""

    FILE = "a data.yaml"
    FIGURES = "drawn on the fly"
    TFDS = "prepared by TFDS"
    OWN = "a function of the user's"


@dataclasses.dataclass(frozen=True)
class Member:
    """A data set, and how often its examples are drawn in an epoch.

    Attributes:
      name: the path of a data.yaml, `figures`, `tfds:NAME`, or `module:function`.
      weight: above 0; 1 draws every example once.
    """

    name: str
    weight: float = 1.0

    @property
    def kind(self) -> Kind:
        """Where it comes from; of `module:function` a file of this name comes first."""
        if self.name == FIGURES:
            return Kind.FIGURES
        if self.name.startswith(TFDS_PREFIX):
            return Kind.TFDS
        module, _, function = self.name.partition(":")
        named = all(part.isidentifier() for part in (*module.split("."), function))
        return Kind.OWN if named and not os.path.exists(self.name) else Kind.FILE

    @property
    def location(self) -> str:
        """The same for one data set, however its path was written."""
        if self.kind is Kind.TFDS:
            return tfds_location(self.name)
        return str(absolute(self.name)) if self.name and self.kind is Kind.FILE else self.name


def parse_members(spec: Spec) -> tuple[Member, ...]:
    """The data sets of a spec; a path that exists as it stands is one of them.

    Raises:
      ValueError: nothing is given, a term is empty, a weight is no number above 0 and at most
        MOST, or a data set is named twice.
    """
    members = tuple(
        member
        for part in ((spec,) if isinstance(spec, str | os.PathLike) else spec)
        for member in _read(part)
    )
    if not members:
        raise HiersegError(NOTHING)
    seen = set()
    for member in members if len(members) > 1 else ():
        place = member.location
        place = os.path.realpath(place) if os.path.exists(place) else place
        if place in seen:
            raise HiersegError(
                f"{spec_text(spec)} names the data set {member.name} twice; name it once, with a "
                f"weight such as 2*{member.name} where its examples are to be drawn more often."
            )
        seen.add(place)
    return members


def locations(spec: Spec) -> tuple[tuple[str, float], ...]:
    """The same for the same data sets and weights, however they were written; () for none."""
    members = parse_members(spec) if spec else ()
    return tuple((member.location, member.weight) for member in members)


def names_code(spec: Spec) -> bool:
    """Whether reading a data set means calling a function of the user's."""
    return bool(spec) and any(member.kind is Kind.OWN for member in parse_members(spec))


def spec_text(spec: Spec) -> str:
    """A spec for people, which as an argument gives the same data sets."""
    return str(spec) if isinstance(spec, str | os.PathLike) else " + ".join(map(str, spec))


def _read(text: str | os.PathLike[str]) -> Iterator[Member]:
    if isinstance(text, os.PathLike):
        yield Member(os.fspath(text))
        return
    if not isinstance(text, str):
        raise HiersegError(
            f"data.spec holds {text!r}; give text, such as 'a.yaml + 0.5*b.yaml', or a list of "
            "such texts."
        )
    if not text:
        raise HiersegError(NOTHING)
    if os.path.exists(text):
        yield Member(text)
        return
    parts = _PLUS.split(text)
    for part in parts:
        yield _read_term(part.strip() if len(parts) > 1 else part, text)


def _read_term(term: str, text: str) -> Member:
    """A data set with or without a weight in front."""
    if not term:
        raise HiersegError(f"{text!r} names no data set on one side of a plus; take that out.")
    parts = _TERM.fullmatch(term)
    if parts is None or os.path.exists(term):
        return Member(term)
    number, name = parts[1].strip(), parts[2].strip()
    try:
        weight = float(number)
    except ValueError:
        weight = float("nan")
    if not 0 < weight <= MOST:
        raise HiersegError(
            f"{text!r} gives {name!r} the weight {number!r}; a weight is a number above 0 and at "
            f"most {MOST:g}, such as 0.5*{name}."
        )
    if not name:
        raise HiersegError(f"{text!r} has a weight without a data set, {term!r}; name one.")
    return Member(name, weight)
