"""Which fonts have the letters of class names, for the pictures they are written into.

DejaVu Sans comes with matplotlib and has the letters of European, Arabic and Hebrew writing.
Others, such as Chinese, are looked for among the system's fonts.
"""

import dataclasses
import importlib.util
import os
import shutil
import subprocess
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFont

# No font has it: it is no letter and never becomes one.
_NONE = "\U0010ffff"
# Spaces, controls and the like need no picture of their own.
_INVISIBLE = ("Cc", "Cf", "Zs", "Zl", "Zp")
_SUFFIXES = (".ttf", ".otf", ".ttc")
_TRIED_SIZE = 16
# Every one starts a process; a class tree has few systems of writing.
_MOST_SEARCHES = 8


@dataclasses.dataclass(frozen=True)
class Fonts:
    """Fonts for some texts.

    Attributes:
      files: the first is DejaVu Sans, or None, Pillow's own font, where there is no matplotlib;
        there are none without Pillow.
      missing: letters that none of them has.
    """

    files: tuple[Path | None, ...]
    missing: str = ""

    def file_for(self, text: str) -> Path | None:
        """The font that has most of a text's letters."""
        return _best(self.files, text)


def missing_note(letters: str) -> str:
    """A sentence about letters of class names that pictures can't show; "" for none."""
    if not letters:
        return ""
    remedy = "a font that has them (such as Noto), and fontconfig"
    return (
        f"no font here has the letters {' '.join(letters[:20])} of the class names, so pictures "
        f"lack them; install {remedy if has_pillow() else f'Pillow, {remedy}'}."
    )


def has_pillow() -> bool:
    """Whether Pillow is installed; without it OpenCV writes."""
    return importlib.util.find_spec("PIL") is not None


def system_fonts(letter: str) -> list[Path]:
    """The system's fonts that have a letter, as fontconfig knows them; none without it."""
    program = shutil.which("fc-list")
    if program is None:
        return []
    command = [program, "-f", "%{file}\n", f":charset={ord(letter):x}"]
    found = subprocess.run(command, capture_output=True, check=False).stdout  # noqa: S603
    lines = os.fsdecode(found).splitlines()
    return sorted(Path(line) for line in lines if line.endswith(_SUFFIXES))


def find_fonts(texts: Iterable[str], search: Callable[[str], list[Path]] = system_fonts) -> Fonts:
    """Fonts that have, together, as many letters of the texts as can be had.

    Args:
      texts: such as the names of classes.
      search: fonts of the system that have a letter.
    """
    if not has_pillow():
        return Fonts((), "".join(dict.fromkeys("".join(texts))))
    files = [_dejavu()]
    letters = letters_missing(files[0], "".join(texts))
    missing = ""
    for _ in range(_MOST_SEARCHES):
        if not letters:
            break
        # Of a family, the plain one has the shortest name or says that it is the regular one.
        found = search(letters[0])
        found = sorted(found, key=lambda file: ("Regular" not in file.name, len(file.name), file))
        font = _best(found, letters)
        left = letters if font is None else letters_missing(font, letters)
        if font is None or left == letters:
            missing, letters = missing + letters[0], letters[1:]
        else:
            files, letters = [*files, font], left
    return Fonts(tuple(files), missing + letters)


def open_font(file: Path | None, size: int) -> "ImageFont.FreeTypeFont":
    """A font for Pillow with an em of `size` pixels; None is Pillow's own.

    Raises:
      OSError: for a file that is no font that can be drawn at any size.
    """
    from PIL import ImageFont

    if file is None:
        return ImageFont.load_default(size)  # type: ignore[return-value]  # with a size, always one
    return ImageFont.truetype(file, size)


def letters_missing(file: Path | None, text: str) -> str:
    """Letters of a text that a font lacks, each once; all where it can't be used."""
    letters = "".join(
        letter for letter in dict.fromkeys(text) if unicodedata.category(letter) not in _INVISIBLE
    )
    try:
        font = open_font(file, _TRIED_SIZE)
        absent = _shape(font, _NONE)
        return "".join(letter for letter in letters if _shape(font, letter) == absent)
    except OSError:
        return letters


def _best(files: Sequence[Path | None], text: str) -> Path | None:
    """The font that lacks the fewest letters, the first of equals; None where there is none."""
    return min(files, key=lambda file: len(letters_missing(file, text)), default=None)


def _shape(font: "ImageFont.FreeTypeFont", letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)


def _dejavu() -> Path | None:
    """Found without importing matplotlib, which takes longer than all the drawing."""
    package = importlib.util.find_spec("matplotlib")
    for folder in (package.submodule_search_locations or ()) if package else ():
        file = Path(folder) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if file.is_file():
            return file
    return None
