"""What a window shows, and what a key changes of it: no window is needed to tell."""

import dataclasses

PAINTS = (0.0, 0.3, 0.6, 0.8, 1.0)
"""Strengths of the paint: the photograph alone, to colours alone."""
ESCAPE, SPACE = 27, 32
SLOW, PATIENCE = 0.04, 10
"""Seconds for a frame's labels, and frames in a row, after which borders along edges end."""
# X11's numbers of AltGr, of the lock of the number pad, and of Shift to Hyper.
_MODIFIERS = {0xFE03, 0xFF7F, *range(0xFFE1, 0xFFEF)}

KEYS = (
    ("1 to 9", "level, coarse to fine"),
    ("l", "next level"),
    ("0", "all levels"),
    ("p", "photo, paint, colours"),
    ("+ and -", "strength of paint"),
    ("e", "borders along edges"),
    ("space", "pause"),
    ("s", "save as PNG"),
    ("h", "keys"),
    ("q, Esc", "end"),
)
"""Key and meaning, short enough for a picture of 200 pixels."""
STILL_KEYS = tuple((key, "next image" if key == "space" else meaning) for key, meaning in KEYS)


@dataclasses.dataclass(frozen=True)
class WindowView:
    """The state that keys change.

    Attributes:
      num_levels: of the network.
      levels: numbers of those shown side by side, 0 being the coarsest.
      paint: how strong, of PAINTS.
      edges: whether borders between classes follow the picture's edges.
      edges_chosen: whether somebody has asked for that, or for the contrary.
      slow: how many frames in a row have taken long with it.
      stills: whether it shows images, which wait for a key.
      paused: whether a video stands still.
      keys_shown: whether the keys are listed.
      ended: whether the window is to be closed.
      images: how many images were left for the next one.
      screenshots: how many were asked for.
    """

    num_levels: int
    levels: tuple[int, ...]
    paint: float = PAINTS[2]
    edges: bool = False
    edges_chosen: bool = False
    slow: int = 0
    stills: bool = False
    paused: bool = False
    keys_shown: bool = False
    ended: bool = False
    images: int = 0
    screenshots: int = 0

    @property
    def photo_share(self) -> float:
        """Of the photograph, where there is paint."""
        return 1 - self.paint


def press(view: WindowView, code: int) -> WindowView:
    """What is shown after a key, by `cv2.waitKeyEx`'s code of it; -1 is none.

    Keys without a meaning do nothing; with images they take the next one, but for Shift and its
    like: windows tell of Shift before they tell of the `+` that it is pressed for.
    """
    if code < 0 or code & 0xFFFF in _MODIFIERS:
        return view
    key = ascii_key(code)
    letter = chr(key).lower() if key else ""
    changes = _levels(view, letter) | _paint(view, letter)
    if key == ESCAPE or letter == "q":
        changes["ended"] = True
    elif key == SPACE and not view.stills:
        changes["paused"] = not view.paused
    elif letter == "s":
        changes["screenshots"] = view.screenshots + 1
    elif letter == "e":
        changes |= {"edges": not view.edges, "edges_chosen": True}
    elif letter == "h":
        changes["keys_shown"] = not view.keys_shown
    elif view.stills and not (letter and letter in "lpe+=-_0123456789"):
        changes["images"] = view.images + 1
    return dataclasses.replace(view, **changes)


def after_frame(view: WindowView, seconds: float) -> WindowView:
    """What is shown after a video's frame whose labels took so long.

    Borders along edges that nobody has asked for are given up where a video would stutter.
    """
    if view.edges_chosen or not view.edges:
        return view
    slow = view.slow + 1 if seconds > SLOW else 0
    return dataclasses.replace(view, slow=slow, edges=slow < PATIENCE)


def ascii_key(code: int) -> int:
    """The character of a key, those of the number pad among them; 0 for arrows and the like.

    X11 numbers what has no character from 0xff00 on, and marks locks and Ctrl in higher bits.
    """
    code &= 0xFFFF
    if 0xFFAA <= code <= 0xFFB9:
        code -= 0xFF80
    return code if code < 128 else 0


def _levels(view: WindowView, letter: str) -> dict:
    if letter == "0":
        return {"levels": tuple(range(view.num_levels))}
    if letter == "l":
        # After all of them side by side comes the first.
        last = view.levels[0] if len(view.levels) == 1 else -1
        return {"levels": ((last + 1) % view.num_levels,)}
    if letter.isdecimal() and int(letter) <= view.num_levels:
        return {"levels": (int(letter) - 1,)}
    return {}


def _paint(view: WindowView, letter: str) -> dict:
    strongest = len(PAINTS) - 1
    if letter == "p":
        usual = PAINTS[::2]
        return {"paint": next((each for each in usual if each > view.paint), usual[0])}
    if letter and letter in "+=-_":
        step = 1 if letter in "+=" else -1
        return {"paint": PAINTS[min(strongest, max(0, PAINTS.index(view.paint) + step))]}
    return {}


def caption(view: WindowView, names: tuple[str, ...], fps: float | None, said: str = "") -> str:
    """The line over the picture: level, its number, frames a second.

    Args:
      view: what is shown.
      names: of all levels, the coarsest first.
      fps: None where it is not known, and for images.
      said: about the last key.
    """
    shown = " | ".join(names[number] for number in view.levels)
    numbers = f" {view.levels[0] + 1}/{view.num_levels}" if len(view.levels) == 1 else ""
    rate = "" if fps is None else f"{fps:.0f} FPS" if fps >= 10 else f"{fps:.1f} FPS"
    state = "paused" if view.paused else rate
    hint = "" if fps and not view.paused else "h: keys"
    return "   ".join(filter(None, [shown + numbers, state, said or hint]))
